//! Rounding to the precision in which the official predictor keeps memories.

use burn::tensor::Tensor;

/// To the nearest number with the 8 significant bits of bfloat16, still as f32. The official video predictor keeps
/// memories so even where it computes in f32.
///
/// By Dekker's splitting, since not every device has the type. A compiler that reorders f32 sums
/// would leave the numbers unrounded, which is harmless.
pub fn round_to_bf16<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    const SPLIT: f32 = 65_537.0;
    let scaled = x.clone() * SPLIT;
    scaled.clone() - (scaled - x)
}
