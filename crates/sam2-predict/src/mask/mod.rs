//! Masks: from the network's logits, from pictures, and in the forms in which people need them.

mod bits;
mod holes;
mod low_res;
mod picture;
mod rle;
mod to_logits;
mod upscale;

pub use bits::Mask;
pub(crate) use bits::set_run;
pub use holes::{Cleanup, fill_holes};
pub use low_res::LowResMask;
pub use picture::object_in_mask_picture;
pub use rle::{Rle, RleError};
pub(crate) use upscale::{MASK_THRESHOLD, non_overlapping_bits};
