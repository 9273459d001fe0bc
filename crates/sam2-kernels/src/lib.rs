//! What sam2 asks of a GPU, in kernels of its own: fewer and larger steps than burn's general ones.
//!
//! They are WGSL, as text that is put together for each variant: loops over a tile are written out, so that its values stay
//! in registers. Sizes come in a uniform, so that pictures and batches of other sizes need no new pipeline. All is computed
//! in f32, unless [`Adapter::f16_products`] asks otherwise; matrices may lie in f16, where the device has it. No kernel needs
//! subgroups or more than WebGPU's default limits.
//!
//! A kernel here is text and sizes alone, and knows no GPU; [`tensors`] (feature `webgpu`) launches them on burn's tensors.

mod activation;
mod adapter;
mod attention;
mod choose;
mod depthwise;
mod kernel;
mod layer_norm;
mod linear;
mod mask_convolution;
mod masks;
mod max_pool;
mod memory;
mod online_softmax;
mod patch_embed;
mod shared_attention;
#[cfg(feature = "webgpu")]
pub mod tensors;
mod wide_attention;

pub use activation::Activation;
pub use adapter::{Adapter, AdapterClass};
pub use attention::{AttentionShape, HeadRows, attention};
pub use choose::{Picked, SUMS, areas, choose, pick};
pub use depthwise::depthwise;
pub use kernel::{GROUP, Input, Kernel};
pub use layer_norm::layer_norm;
pub use linear::{LinearShape, Patches, ResidualShape, linear};
pub use mask_convolution::{MaskScale, mask_convolution};
pub use masks::mask_product;
pub use max_pool::max_pool;
pub use memory::{JOINED, Part, finish_memory, join};
pub use patch_embed::patch_embed;
pub use wide_attention::wide_attention;
