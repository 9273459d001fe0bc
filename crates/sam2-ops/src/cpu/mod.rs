//! The implementation for CPUs. It works in place on the memory of burn's CPU backend, with loops that become SIMD, and
//! with the products of `sam2-matmul` where these are faster. Operations that take hardly any time are the portable
//! ones.

mod attention;
mod channels;
mod convolution;
mod cross_attention;
mod depthwise_conv;
mod in_place;
mod linear;
mod mask_down_sampler;
mod masks;
mod math;
mod mlp;
mod online_softmax;
mod output_upscaling;
mod packed;
mod packed_attention;
mod packed_convolution;
mod patches;
mod rotary_attention;
mod softmax_attention;
mod strips;
#[cfg(test)]
mod testing;

use std::sync::OnceLock;

use burn::tensor::{Device, Tensor, module};

use crate::portable;
use crate::*;

/// The number of prompts that are decoded at once.
const PROMPTS: usize = 8;

/// The library that multiplies matrices on the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
    /// burn, with the widest SIMD of the processor and, if enabled, several threads. It is faster natively. WebAssembly
    /// does not have it, which makes the file smaller.
    #[cfg(not(target_arch = "wasm32"))]
    Burn,
    /// `sam2-matmul`, with weights that are packed once, and with bias and activation computed while a block of rows is
    /// in the cache. It is faster in a browser.
    Packed,
}

impl Default for Products {
    /// [`Products::Packed`] in WebAssembly, [`Products::Burn`] elsewhere.
    fn default() -> Self {
        #[cfg(not(target_arch = "wasm32"))]
        return Self::Burn;
        #[cfg(target_arch = "wasm32")]
        return Self::Packed;
    }
}

/// The implementation for CPUs.
#[derive(Debug)]
pub(crate) struct Cpu {
    pub products: Products,
}

impl Operations for Cpu {
    fn device(&self) -> &Device {
        static DEVICE: OnceLock<Device> = OnceLock::new();
        DEVICE.get_or_init(Device::flex)
    }

    fn name(&self) -> &'static str {
        match self.products {
            #[cfg(not(target_arch = "wasm32"))]
            Products::Burn => "cpu",
            Products::Packed => "cpu, packed",
        }
    }

    fn prompts_at_once(&self) -> usize {
        PROMPTS
    }

    fn linear(&self, parameters: LinearParameters) -> Box<dyn LinearOperation> {
        Box::new(linear::Linear::new(self.products, parameters))
    }

    fn mlp(&self, parameters: MlpParameters) -> Box<dyn MlpOperation> {
        Box::new(mlp::Mlp::new(self.products, parameters))
    }

    fn grouped_mlp(&self, parameters: Vec<MlpParameters>) -> Box<dyn GroupedMlpOperation> {
        let mlps = parameters.into_iter().map(|mlp| self.mlp(mlp));
        Box::new(portable::GroupedMlp(mlps.collect()))
    }

    fn attention(&self, parameters: AttentionParameters) -> Box<dyn AttentionOperation> {
        Box::new(attention::Attention::new(self.products, parameters))
    }

    fn rotary_attention(&self, parameters: RotaryAttentionParameters) -> Box<dyn RotaryAttentionOperation> {
        Box::new(rotary_attention::RotaryAttention::new(self.products, parameters))
    }

    fn patch_embed(&self, parameters: PatchEmbedParameters) -> Box<dyn PatchEmbedOperation> {
        match self.products {
            #[cfg(not(target_arch = "wasm32"))]
            Products::Burn => Box::new(portable::PatchEmbed(parameters)),
            Products::Packed => Box::new(patches::PatchEmbed::new(parameters)),
        }
    }

    fn patch_merge(&self, parameters: PatchMergeParameters) -> Box<dyn PatchMergeOperation> {
        Box::new(patches::PatchMerge::new(self.products, parameters))
    }

    fn convolution(&self, parameters: ConvolutionParameters) -> Box<dyn ConvolutionOperation> {
        Box::new(convolution::Convolution::new(parameters))
    }

    fn depthwise_conv(&self, parameters: ConvolutionParameters) -> Box<dyn ConvolutionOperation> {
        Box::new(depthwise_conv::DepthwiseConv::new(parameters))
    }

    fn mask_down_sampler(&self, parameters: MaskDownSamplerParameters) -> Box<dyn MaskDownSamplerOperation> {
        Box::new(mask_down_sampler::MaskDownSampler::new(self.products, parameters))
    }

    fn output_upscaling(&self, parameters: OutputUpscalingParameters) -> Box<dyn OutputUpscalingOperation> {
        Box::new(output_upscaling::OutputUpscaling::new(self.products, parameters))
    }

    fn layer_norm(&self, norm: &LayerNorm, x: Tensor<2>, activation: Option<Activation>) -> Tensor<2> {
        let (weight, bias) = (norm.weight.value(), Some(norm.bias.value()));
        in_place::activate(module::layer_norm(x, weight, bias, norm.eps), activation)
    }

    fn windowed_attention(
        &self,
        qkv: Tensor<4>,
        padding: Tensor<1>,
        attention: WindowedAttention,
    ) -> Tensor<4> {
        let attend = |q, k, v| softmax_attention::attention(self.products, q, k, v);
        portable::windowed_attention(qkv, padding, attention, attend, in_place::max_pool)
    }

    fn latent_attention(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        portable::one_head([q, k, v], |q, k, v| {
            softmax_attention::attention(self.products, q, k, v)
        })
    }

    fn max_pool(&self, x: Tensor<4>) -> Tensor<4> {
        in_place::max_pool(x)
    }

    fn channel_means(&self, x: Tensor<4>) -> Tensor<2> {
        channels::means(x)
    }

    fn scale_channels(&self, x: Tensor<4>, factors: Tensor<2>) -> Tensor<4> {
        channels::scale(x, factors)
    }

    fn by_windows(
        &self,
        x: Tensor<4>,
        window: usize,
        _widest: usize,
        work: &(dyn Fn(Tensor<4>) -> Tensor<4> + Sync),
    ) -> Tensor<4> {
        strips::by_windows(x, window, work)
    }

    fn by_rows(&self, x: Tensor<4>, work: &(dyn Fn(Tensor<4>) -> Tensor<4> + Sync)) -> Tensor<4> {
        strips::by_rows(x, work)
    }
}
