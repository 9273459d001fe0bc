//! Attention inside windows. The kernel computes the positions of a window's tokens, so that windows are not copied.

use burn::tensor::Tensor;
use sam2_kernels::{
    Adapter, AttentionShape,
    tensors::{self, Heads},
};

use crate::WindowedAttention;
use crate::linear::rows;

/// [`crate::windowed_attention`].
pub fn windowed_attention(
    adapter: Adapter,
    qkv: Tensor<4>,
    padding: Tensor<1>,
    attention: WindowedAttention,
) -> Tensor<4> {
    let [b, h, w, three_c] = qkv.dims();
    let c = three_c / 3;
    let step = if attention.pools { 2 } else { 1 };
    let queries = [h / step, w / step];
    let shape = AttentionShape {
        batch: b,
        heads: attention.num_heads,
        width: c / attention.num_heads,
        queries,
        keys: [h, w],
        window: match attention.window {
            0 => [h, w],
            size => [size, size],
        },
        pools: attention.pools,
        causal: false,
    };
    let tokens = rows(qkv);
    let [q, k, v] = [0, 1, 2].map(|part| Heads {
        tokens: tokens.clone(),
        offset: part * c,
    });
    tensors::attention(adapter, shape, q, k, v, Some(&padding)).reshape([b, queries[0], queries[1], c])
}
