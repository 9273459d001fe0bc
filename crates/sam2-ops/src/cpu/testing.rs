//! Helpers that the tests of several modules share.

use std::cell::Cell;

use burn::tensor::{Device, ElementConversion, Tensor, TensorData, module};

/// Normally distributed random numbers with mean 0. They are different in each call, and the same in each run of a test.
pub fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    // Each test runs in a separate thread.
    thread_local! {
        static STATE: Cell<u64> = const { Cell::new(1) };
    }
    let uniform = || {
        let state = STATE
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        STATE.set(state);
        ((state >> 40) as f32 + 0.5) / (1 << 24) as f32
    };
    let normal = |_| (-2.0 * uniform().ln()).sqrt() * (std::f32::consts::TAU * uniform()).cos();
    let numbers: Vec<f32> = (0..shape.iter().product()).map(normal).collect();
    Tensor::from_data(TensorData::new(numbers, shape), &Device::flex())
}

/// The greatest difference between two tensors.
pub fn apart<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b).abs().max().into_scalar::<f32>().elem()
}

/// burn's attention, for each head.
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
