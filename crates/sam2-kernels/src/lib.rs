//! The operations of SAM 2 as GPU kernels. Each kernel does more than an operation of a general library, so fewer are
//! needed.
//!
//! Kernels are WGSL text that is generated for each variant. Loops over a tile are unrolled, so that its values stay in
//! registers. Sizes are passed in a uniform, so that pictures and batches of other sizes need no new pipeline.
//! Everything is computed in f32, unless [`Adapter::f16_products`] is set. Matrices may be f16 if the device supports
//! it. No kernel needs subgroups or more than WebGPU's default limits.
//!
//! Tensors are row-major, and pictures have their channels last. Values are read four at a time, so most widths must be
//! multiples of 4.
//!
//! A [`Kernel`] consists of text and sizes, and does not depend on a GPU library. The module `tensors` (feature `webgpu`)
//! launches kernels on burn's tensors.

mod activation;
mod adapter;
mod attention;
mod attention_shape;
mod channels;
mod choose;
mod convolution;
mod finish_memory;
mod join;
mod kernel;
mod layer_norm;
mod linear;
mod linear_shape;
mod mask_convolution;
mod mask_product;
mod max_pool;
mod online_softmax;
mod patch_embed;
mod shared_attention;
mod steps;
#[cfg(feature = "webgpu")]
pub mod tensors;
mod wide_attention;

pub use activation::Activation;
pub use adapter::{Adapter, AdapterClass};
pub use attention::attention;
pub use attention_shape::{AttentionShape, HeadRows};
pub use channels::{channel_sums, scale_channels};
pub use choose::{Picked, SUMS, areas, choose, pick};
pub use convolution::{convolution, depthwise};
pub use finish_memory::finish_memory;
pub use join::{JOINED, Part, join};
pub use kernel::{GROUP, Input, Kernel};
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use linear_shape::{LinearShape, Patches, ResidualShape};
pub use mask_convolution::{MaskScale, mask_convolution};
pub use mask_product::mask_product;
pub use max_pool::max_pool;
pub use patch_embed::patch_embed;
pub use steps::Steps;
pub use wide_attention::{KeyPart, wide_attention};
