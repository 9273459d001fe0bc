//! The implementation for GPUs: the kernels of `sam2-kernels`, on the tensors of burn's WebGPU backend. The kernels
//! read four values at a time, so every width is a multiple of 4. Other widths, such as the single value of a score,
//! are padded or computed by burn.

mod attention;
mod convolutions;
mod keys;
mod linear;
mod mask_down_sampler;
mod output_upscaling;
mod rotary_attention;
mod strips;
mod windowed_attention;

use burn::tensor::{Device, Tensor};
use sam2_kernels::{
    Adapter,
    tensors::{self, DryRun},
};

use crate::portable::{self, Portable};
use crate::*;

/// The number of prompts that are decoded at once.
const PROMPTS: usize = 64;
/// The number of masks of a prompt that the kernels support.
const MASKS: usize = 4;

/// Kernels for `adapter` on `device`, which is one of burn's WebGPU backend.
#[derive(Debug)]
pub(crate) struct Gpu {
    pub device: Device,
    pub adapter: Adapter,
}

impl Gpu {
    /// The implementation of operations without kernels.
    fn portable(&self) -> Portable {
        Portable {
            device: self.device.clone(),
        }
    }
}

/// The kernels' type of an activation.
fn activation(activation: Option<Activation>) -> sam2_kernels::Activation {
    match activation {
        None => sam2_kernels::Activation::None,
        Some(Activation::Relu) => sam2_kernels::Activation::Relu,
        Some(Activation::Relu6) => sam2_kernels::Activation::Relu6,
        Some(Activation::Gelu) => sam2_kernels::Activation::Gelu,
        Some(Activation::QuickGelu) => sam2_kernels::Activation::QuickGelu,
        Some(Activation::Sigmoid) => sam2_kernels::Activation::Sigmoid,
    }
}

/// [`LayerNorm::forward_activated`].
fn layer_norm<const D: usize>(
    adapter: Adapter,
    norm: &LayerNorm,
    x: Tensor<D>,
    then: Option<Activation>,
) -> Tensor<D> {
    let (weight, bias) = (norm.weight.value(), norm.bias.value());
    tensors::layer_norm(adapter, x, &weight, &bias, norm.eps, activation(then))
}

impl Operations for Gpu {
    fn device(&self) -> &Device {
        &self.device
    }

    fn name(&self) -> &'static str {
        "gpu"
    }

    fn prompts_at_once(&self) -> usize {
        PROMPTS
    }

    fn largest_tensor(&self) -> u64 {
        self.adapter.largest_tensor()
    }

    fn width_multiple(&self) -> usize {
        4
    }

    fn keeps_f16(&self, sides: [usize; 2]) -> bool {
        self.adapter.f16 && tensors::supports_linear(&sides)
    }

    fn linear(&self, parameters: LinearParameters) -> Box<dyn LinearOperation> {
        Box::new(linear::Linear::new(self.adapter, parameters))
    }

    fn mlp(&self, parameters: MlpParameters) -> Box<dyn MlpOperation> {
        Box::new(linear::Mlp::new(self.adapter, parameters))
    }

    fn grouped_mlp(&self, parameters: Vec<MlpParameters>) -> Box<dyn GroupedMlpOperation> {
        match linear::GroupedMlp::supports(&parameters) {
            true => Box::new(linear::GroupedMlp::new(self.adapter, parameters)),
            false => Box::new(portable::GroupedMlp(
                parameters.into_iter().map(|mlp| self.mlp(mlp)).collect(),
            )),
        }
    }

    fn attention(&self, parameters: AttentionParameters) -> Box<dyn AttentionOperation> {
        Box::new(attention::Attention::new(self.adapter, parameters))
    }

    fn rotary_attention(&self, parameters: RotaryAttentionParameters) -> Box<dyn RotaryAttentionOperation> {
        Box::new(rotary_attention::RotaryAttention::new(self.adapter, parameters))
    }

    fn patch_embed(&self, parameters: PatchEmbedParameters) -> Box<dyn PatchEmbedOperation> {
        match convolutions::PatchEmbed::supports(&parameters) {
            true => Box::new(convolutions::PatchEmbed::new(parameters)),
            false => self.portable().patch_embed(parameters),
        }
    }

    fn patch_merge(&self, parameters: PatchMergeParameters) -> Box<dyn PatchMergeOperation> {
        match convolutions::PatchMerge::supports(&parameters) {
            true => Box::new(convolutions::PatchMerge::new(self.adapter, parameters)),
            false => self.portable().patch_merge(parameters),
        }
    }

    fn convolution(&self, parameters: ConvolutionParameters) -> Box<dyn ConvolutionOperation> {
        Box::new(convolutions::Convolution::new(parameters))
    }

    fn depthwise_conv(&self, parameters: ConvolutionParameters) -> Box<dyn ConvolutionOperation> {
        Box::new(convolutions::DepthwiseConv::new(parameters))
    }

    fn mask_down_sampler(&self, parameters: MaskDownSamplerParameters) -> Box<dyn MaskDownSamplerOperation> {
        Box::new(mask_down_sampler::MaskDownSampler::new(self.adapter, parameters))
    }

    fn output_upscaling(&self, parameters: OutputUpscalingParameters) -> Box<dyn OutputUpscalingOperation> {
        Box::new(output_upscaling::OutputUpscaling::new(self.adapter, parameters))
    }

    fn layer_norm(&self, norm: &LayerNorm, x: Tensor<2>, activation: Option<Activation>) -> Tensor<2> {
        layer_norm(self.adapter, norm, x, activation)
    }

    fn windowed_attention(
        &self,
        qkv: Tensor<4>,
        padding: Tensor<1>,
        attention: WindowedAttention,
    ) -> Tensor<4> {
        windowed_attention::windowed_attention(self.adapter, qkv, padding, attention)
    }

    fn latent_attention(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        attention::of_one_head(self.adapter, q, k, v)
    }

    fn max_pool(&self, x: Tensor<4>) -> Tensor<4> {
        tensors::max_pool(x)
    }

    fn channel_means(&self, x: Tensor<4>) -> Tensor<2> {
        tensors::channel_means(x)
    }

    fn scale_channels(&self, x: Tensor<4>, factors: Tensor<2>) -> Tensor<4> {
        tensors::scale_channels(x, factors)
    }

    fn stack(&self, parts: Vec<Tensor<2>>) -> Tensor<2> {
        keys::stack(parts.into_iter().map(|part| (part, None)).collect())
    }

    fn keys(&self, groups: Vec<KeyGroup>, dim: usize) -> Keys {
        keys::join(groups, dim, self.largest_tensor())
    }

    fn choose(&self, masks: Tensor<3>, ious: Tensor<2>, stability: Option<Stability>) -> Choice {
        if masks.dims()[1] != MASKS {
            return portable::choose(masks, ious, stability);
        }
        let stability = stability.map(|stability| (stability.delta, stability.threshold));
        Choice {
            numbers_and_ious: tensors::choose(&masks, ious, stability),
        }
    }

    fn pick(&self, values: Tensor<3>, choice: Option<&Choice>, hidden: Option<Hidden>) -> Tensor<2> {
        let choices = choice.map(|choice| choice.numbers_and_ious.clone());
        let hidden = hidden.map(|hidden| (hidden.object_score_logits, hidden.instead));
        tensors::pick(values, choices, hidden)
    }

    fn finish_memory(&self, memory: Tensor<2>, absent: Option<Tensor<1>>, score: Tensor<1>) -> Tensor<2> {
        let absent = absent.unwrap_or_else(|| Tensor::zeros([memory.dims()[1]], &self.device));
        tensors::finish_memory(memory, absent, score)
    }

    fn by_windows(
        &self,
        x: Tensor<4>,
        window: usize,
        widest: usize,
        work: &(dyn Fn(Tensor<4>) -> Tensor<4> + Sync),
    ) -> Tensor<4> {
        strips::by_windows(self.largest_tensor(), x, window, widest, work)
    }

    fn warm_up(&self, work: &mut dyn FnMut()) {
        {
            let _nothing_runs = DryRun::new();
            work();
        }
        // Frees the buffers, because not all of these sizes are needed again.
        self.device.memory_cleanup();
    }

    fn before_reading_matrix(&self, x: Tensor<2>) {
        tensors::before_reading(x);
    }

    fn before_reading_maps(&self, x: Tensor<4>) {
        tensors::before_reading(x);
    }
}
