//! Attention in windows of a picture (`sam2.modeling.backbones.hieradet.MultiScaleAttention`).

use burn::tensor::Tensor;

use crate::{Implementation, Parameter};

/// How a picture's tokens attend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowedAttention {
    /// Heads, which share the channels equally.
    pub num_heads: usize,
    /// Side of a window in tokens; 0 for one window over all.
    pub window: usize,
    /// Whether queries are pooled, the largest of each 2x2 (`do_pool`): the result has half the picture's sides.
    pub pools: bool,
}

/// `softmax(q kᵀ / √(c / heads)) v` of each window and head. `qkv` is `[b, h, w, 3c]`, queries, keys and values side by
/// side, each head by head. Windows that go over the lower or right edge attend to padding there, as in the official code
/// (`window_partition`): zeros before the projection to `qkv`, and so its bias `padding` `[3c]` after it. The result is
/// `[b, h, w, c]`, or `[b, h/2, w/2, c]` where queries are pooled.
pub fn windowed_attention(
    implementation: &Implementation,
    qkv: Tensor<4>,
    padding: &Parameter<1>,
    attention: WindowedAttention,
) -> Tensor<4> {
    implementation.windowed_attention(qkv, padding.value(), attention)
}
