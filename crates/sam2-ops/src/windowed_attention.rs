//! Attention inside the windows of a picture (`sam2.modeling.backbones.hieradet.MultiScaleAttention`).

use burn::tensor::Tensor;

use crate::{Implementation, Parameter};

/// The options of [`windowed_attention`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowedAttention {
    /// The number of heads, which share the channels equally.
    pub num_heads: usize,
    /// The side of a window, in tokens; 0 for a single window over the whole picture.
    pub window: usize,
    /// Whether queries are pooled, by the maximum of each 2x2 (`do_pool`). The result then has half the picture's sides.
    pub pools: bool,
}

/// `softmax(q kᵀ / √(c / heads)) v` for each window and head. `qkv` is `[b, h, w, 3c]`: the queries of all heads, then
/// the keys, then the values. Windows that extend beyond the bottom or right edge attend to padding there, as in the
/// official code (`window_partition`). The official code pads with zeros before the projection to `qkv`, so the padding
/// here is the projection's bias `padding` `[3c]`. The result is `[b, h, w, c]`, or `[b, h/2, w/2, c]` if queries are
/// pooled.
pub fn windowed_attention(
    implementation: &Implementation,
    qkv: Tensor<4>,
    padding: &Parameter<1>,
    attention: WindowedAttention,
) -> Tensor<4> {
    implementation.windowed_attention(qkv, padding.value(), attention)
}
