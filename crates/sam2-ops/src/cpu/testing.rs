//! What the tests of several modules share.

use burn::tensor::{Device, Distribution, ElementConversion, Tensor, module};

/// Numbers of a normal distribution around 0.
pub fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

/// Greatest difference between two tensors.
pub fn apart<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b).abs().max().into_scalar::<f32>().elem()
}

/// burn's own attention by heads.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    module::attention(q, k, v, None, None, Default::default())
}

/// (windows, heads, queries, keys, width): a window, a global block in parts, few tokens on many and back.
pub const ATTENTIONS: [[usize; 5]; 5] = [
    [9, 2, 49, 49, 24],
    [1, 4, 1000, 3000, 16],
    [2, 8, 8, 700, 16],
    [2, 8, 9, 9, 6],
    [2, 8, 700, 8, 16],
];
