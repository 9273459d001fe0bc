//! Resizes pictures, masks and feature maps with the results of PyTorch and Pillow. Every function resizes one axis
//! after the other, an output pixel reads only the source pixels under its filter, and no function allocates memory in
//! proportion to the source's area.
//!
//! | function | equivalent |
//! |---|---|
//! | [`antialiased`] | `F.interpolate(mode="bilinear", antialias=True)` |
//! | [`blurred`] | torchvision's `gaussian_blur` by the reduction, then `F.interpolate(mode="bilinear")` |
//! | [`pillow_bicubic`] | `PIL.Image.resize(…, Image.BICUBIC)` for bytes |
//! | [`bilinear`], [`bilinear_rows`] | `F.interpolate(mode="bilinear", align_corners=False)` |
//! | [`bilinear_above`] | the same, `> threshold` |
//! | [`bicubic`] | `F.interpolate(mode="bicubic", align_corners=False)` |
//!
//! Sizes are `[height, width]`, both at least 1.

mod above;
mod antialias;
mod blurred;
mod filter;
mod interpolate;

pub use above::bilinear_above;
pub use antialias::{Line, Read, antialiased, of_pixels, pillow_bicubic};
pub use blurred::blurred;
pub use filter::{Filter, Kernel};
pub use interpolate::{bicubic, bilinear, bilinear_rows};
