//! The portable implementation in plain burn, which is differentiable and runs on every backend. The other
//! implementations are tested against it, and use it for operations that they do not make faster.

mod attention;
mod convolutions;
mod linear;
mod mask_down_sampler;
mod output_upscaling;
mod rotary_attention;
mod selection;
mod windowed_attention;

use burn::tensor::{Device, Tensor, activation, module};

use crate::*;

#[cfg(all(feature = "cpu", not(target_arch = "wasm32")))]
pub(crate) use convolutions::PatchEmbed;
pub(crate) use linear::GroupedMlp;
#[cfg(any(feature = "cpu", feature = "gpu"))]
pub(crate) use linear::{add_residual, add_rows};
#[cfg(feature = "cpu")]
pub(crate) use mask_down_sampler::mask_for_memory;
#[cfg(any(feature = "cpu", feature = "gpu"))]
pub(crate) use output_upscaling::expand_weight;
#[cfg(feature = "cpu")]
pub(crate) use output_upscaling::gather_pixels;
#[cfg(any(feature = "cpu", feature = "gpu"))]
pub(crate) use rotary_attention::join_projections;
pub(crate) use selection::{choose, pick};
pub(crate) use windowed_attention::windowed_attention;
#[cfg(feature = "cpu")]
pub(crate) use windowed_attention::{partition, unpartition};

/// The number of prompts that are decoded at once.
const PROMPTS: usize = 64;

/// The portable implementation on `device`.
#[derive(Debug)]
pub(crate) struct Portable {
    pub device: Device,
}

/// Applies `activation` to each value.
pub(crate) fn activate<const D: usize>(x: Tensor<D>, activation: Option<Activation>) -> Tensor<D> {
    match activation {
        None => x,
        Some(Activation::Relu) => activation::relu(x),
        Some(Activation::Relu6) => x.clamp(0.0, 6.0),
        Some(Activation::Gelu) => activation::gelu(x),
        Some(Activation::QuickGelu) => x.clone() * activation::sigmoid(x * 1.702),
        Some(Activation::Sigmoid) => activation::sigmoid(x),
    }
}

/// The 2x2 maximum: `[b, h, w, c]` to `[b, h/2, w/2, c]`.
pub(crate) fn max_pool(x: Tensor<4>) -> Tensor<4> {
    let [b, h, w, c] = x.dims();
    // `[n, 2, c]` to `[n, c]`.
    let pair_max = |x: Tensor<3>| x.clone().narrow(1, 0, 1).max_pair(x.narrow(1, 1, 1));
    let columns = pair_max(x.reshape([b * h * w / 2, 2, c]));
    pair_max(columns.reshape([b * h / 2, 2, w / 2 * c])).reshape([b, h / 2, w / 2, c])
}

/// Applies an attention of heads, `[b, heads, n, c]`, to queries, keys and values of one head, `[b, n, c]`.
pub(crate) fn one_head(
    qkv: [Tensor<3>; 3],
    attention: impl FnOnce(Tensor<4>, Tensor<4>, Tensor<4>) -> Tensor<4>,
) -> Tensor<3> {
    let [q, k, v] = qkv.map(|x| x.unsqueeze_dim(1));
    attention(q, k, v).squeeze_dim(1)
}

/// Rounds to bfloat16, which has 8 significant bits; the result is f32. The official video predictor keeps memories in
/// bfloat16 even if it computes in f32.
///
/// This uses Dekker's splitting, since not every device supports bfloat16. A compiler that reorders f32 sums would
/// leave the numbers unrounded, which is harmless.
fn round_to_bf16(x: Tensor<2>) -> Tensor<2> {
    const SPLIT: f32 = 65_537.0;
    let scaled = x.clone() * SPLIT;
    scaled.clone() - (scaled - x)
}

/// [`Operations::finish_memory`].
pub(crate) fn finish_memory(memory: Tensor<2>, absent: Option<Tensor<1>>, score: Tensor<1>) -> Tensor<2> {
    let Some(absent) = absent else {
        return round_to_bf16(memory);
    };
    let is_gone = score.lower_equal_elem(0.0).float();
    round_to_bf16(memory + absent.unsqueeze_dim(0) * is_gone.unsqueeze_dim(0))
}

impl Operations for Portable {
    fn device(&self) -> &Device {
        &self.device
    }

    fn name(&self) -> &'static str {
        "portable"
    }

    fn prompts_at_once(&self) -> usize {
        PROMPTS
    }

    fn linear(&self, parameters: LinearParameters) -> Box<dyn LinearOperation> {
        Box::new(linear::Linear::new(parameters))
    }

    fn mlp(&self, parameters: MlpParameters) -> Box<dyn MlpOperation> {
        Box::new(linear::Mlp::new(parameters))
    }

    fn grouped_mlp(&self, parameters: Vec<MlpParameters>) -> Box<dyn GroupedMlpOperation> {
        Box::new(GroupedMlp(
            parameters.into_iter().map(|mlp| self.mlp(mlp)).collect(),
        ))
    }

    fn attention(&self, parameters: AttentionParameters) -> Box<dyn AttentionOperation> {
        Box::new(attention::Attention::new(parameters))
    }

    fn rotary_attention(&self, parameters: RotaryAttentionParameters) -> Box<dyn RotaryAttentionOperation> {
        Box::new(rotary_attention::RotaryAttention::new(parameters))
    }

    fn patch_embed(&self, parameters: PatchEmbedParameters) -> Box<dyn PatchEmbedOperation> {
        Box::new(convolutions::PatchEmbed(parameters))
    }

    fn patch_merge(&self, parameters: PatchMergeParameters) -> Box<dyn PatchMergeOperation> {
        Box::new(convolutions::PatchMerge(parameters))
    }

    fn convolution(&self, parameters: ConvolutionParameters) -> Box<dyn ConvolutionOperation> {
        Box::new(convolutions::Convolution(parameters))
    }

    fn depthwise_conv(&self, parameters: ConvolutionParameters) -> Box<dyn ConvolutionOperation> {
        Box::new(convolutions::Convolution(parameters))
    }

    fn mask_down_sampler(&self, parameters: MaskDownSamplerParameters) -> Box<dyn MaskDownSamplerOperation> {
        Box::new(mask_down_sampler::MaskDownSampler::new(parameters))
    }

    fn output_upscaling(&self, parameters: OutputUpscalingParameters) -> Box<dyn OutputUpscalingOperation> {
        Box::new(output_upscaling::OutputUpscaling(parameters))
    }

    fn layer_norm(&self, norm: &LayerNorm, x: Tensor<2>, activation: Option<Activation>) -> Tensor<2> {
        let (weight, bias) = (norm.weight.value(), Some(norm.bias.value()));
        activate(module::layer_norm(x, weight, bias, norm.eps), activation)
    }

    fn windowed_attention(
        &self,
        qkv: Tensor<4>,
        padding: Tensor<1>,
        attention: WindowedAttention,
    ) -> Tensor<4> {
        windowed_attention(qkv, padding, attention, attention::softmax_attention, max_pool)
    }

    fn latent_attention(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        one_head([q, k, v], attention::softmax_attention)
    }

    fn max_pool(&self, x: Tensor<4>) -> Tensor<4> {
        max_pool(x)
    }

    fn channel_means(&self, x: Tensor<4>) -> Tensor<2> {
        let [b, _, _, c] = x.dims();
        x.mean_dim(1).mean_dim(2).reshape([b, c])
    }

    fn scale_channels(&self, x: Tensor<4>, factors: Tensor<2>) -> Tensor<4> {
        let [b, c] = factors.dims();
        x * factors.reshape([b, 1, 1, c])
    }
}
