//! The operations of the networks. Each operation has one public signature, documented with its formula, shapes and
//! source, and three implementations:
//!
//! - *portable*: plain burn, which is differentiable and runs on every backend. The others are tested against it;
//! - *cpu* (feature `cpu`): in place on the memory of burn's CPU backend, with matrix products by `sam2-matmul` where
//!   packed weights are faster;
//! - *gpu* (feature `gpu`): the kernels of `sam2-kernels`.
//!
//! The implementation is a value, [`Implementation`], that is made once when a model is loaded. An operation with
//! parameters is *prepared* when it is loaded: the implementation arranges the official parameters for its device.

mod activation;
mod attention;
mod batch_norm;
mod by_rows;
mod choice;
mod convolution;
#[cfg(feature = "cpu")]
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
mod implementation;
mod keys;
mod latent_attention;
mod layer_norm;
mod linear;
mod mask_down_sampler;
mod mlp;
mod nms;
mod operations;
mod output_upscaling;
mod patch_embed;
mod patch_merge;
mod portable;
mod rotary_attention;
mod squeeze_excite;
mod weights;
mod windowed_attention;

pub use activation::Activation;
pub use attention::{Attention, AttentionOperation, AttentionParameters, Picture, Projections};
pub use batch_norm::BatchNorm;
pub use by_rows::{by_rows, by_windows};
pub use choice::{Choice, Hidden, Stability, choose, pick};
pub use convolution::{
    Convolution, ConvolutionOperation, ConvolutionOptions, ConvolutionParameters, DepthwiseConv,
};
#[cfg(feature = "cpu")]
pub use cpu::Products;
pub use implementation::Implementation;
pub use keys::{KeyGroup, KeyPositions, Keys};
pub use latent_attention::latent_attention;
pub use layer_norm::LayerNorm;
pub use linear::{Linear, LinearOperation, LinearOptions, LinearParameters, Residual};
pub use mask_down_sampler::{
    MaskDownSampler, MaskDownSamplerOperation, MaskDownSamplerParameters, MaskForMemory,
    StridedConvParameters,
};
pub use mlp::{GroupedMlp, GroupedMlpOperation, Mlp, MlpOperation, MlpParameters};
pub use nms::nms;
pub use operations::Operations;
pub use output_upscaling::{OutputUpscaling, OutputUpscalingOperation, OutputUpscalingParameters};
pub use patch_embed::{PatchEmbed, PatchEmbedOperation, PatchEmbedParameters};
pub use patch_merge::{PatchMerge, PatchMergeOperation, PatchMergeParameters};
pub use rotary_attention::{
    RotaryAttention, RotaryAttentionOperation, RotaryAttentionParameters, RotaryPositions,
};
#[cfg(feature = "gpu")]
pub use sam2_kernels::{Adapter, AdapterClass};
pub use squeeze_excite::SqueezeExcite;
pub use weights::{
    Parameter, ParameterSpec, Prepared, TensorSource, TrackedParameter, Weights, WeightsError,
    list_parameters,
};
pub use windowed_attention::{WindowedAttention, windowed_attention};
