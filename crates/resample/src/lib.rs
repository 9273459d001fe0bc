//! Pictures, masks and maps to another size, as PyTorch and Pillow do it. Every function is separable and sparse: an
//! output pixel reads only the source pixels under its filter, and no memory is taken by the source's size.
//!
//! | here | there |
//! |---|---|
//! | [`antialiased`] | `F.interpolate(mode="bilinear", antialias=True)` |
//! | [`pillow_bicubic`] | `PIL.Image.resize(…, Image.BICUBIC)` of bytes |
//! | [`bilinear`], [`bilinear_rows`] | `F.interpolate(mode="bilinear", align_corners=False)` |
//! | [`bicubic`] | `F.interpolate(mode="bicubic", align_corners=False)` |
//!
//! Sizes are `[height, width]`, both at least 1.

mod antialias;
mod filter;
mod interpolate;

pub use antialias::{antialiased, pillow_bicubic};
pub use filter::{Filter, Kernel};
pub use interpolate::{bicubic, bilinear, bilinear_rows};
