//! What several blocks share.

mod attention;
mod by_rows;
mod gpu;
mod host;
mod layer_norm;
mod linear;
mod mlp;
#[cfg(feature = "flex")]
mod online_softmax;
#[cfg(feature = "flex")]
mod packed;
#[cfg(feature = "flex")]
mod packed_cross_attention;
#[cfg(feature = "flex")]
mod packed_masks;
mod patches;
mod resize;
mod rope;
mod tiled_attention;

pub use attention::{Attention, join_heads, split_heads};
pub use by_rows::{by_rows, by_strips};
#[cfg(feature = "webgpu")]
pub use gpu::set_adapter;
#[cfg(feature = "webgpu")]
pub(crate) use gpu::{adapter, contiguous, is_gpu, rows};
pub(crate) use host::is_host;
pub use host::{attention, gelu, max_pool};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mlp::{Activation, Mlp};
#[cfg(feature = "flex")]
pub(crate) use packed::{PackedConvolution, is_packed};
#[cfg(feature = "flex")]
pub(crate) use packed_cross_attention::Places;
#[cfg(feature = "flex")]
pub(crate) use packed_masks::masks_by_rows;
pub use patches::{PatchExpand, PatchMerge};
pub use resize::BilinearResize;
#[cfg(feature = "webgpu")]
pub use rope::JoinedKeys;
pub use rope::{AxialRope, KeyPart, RopeAttention};
pub use tiled_attention::tiled_attention;
