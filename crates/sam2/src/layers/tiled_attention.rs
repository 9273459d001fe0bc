//! Attention over many keys, in parts, so that the scores of all queries with all keys never exist at once:
//! a full memory bank would make them 4096 x 28,700.

use burn::tensor::{Tensor, module, ops::AttentionModuleOptions};

/// Queries whose scores may exist at once, where the backend does not itself tile the keys with an online softmax.
/// With a full bank these are 59 MB; the CPU backend tiles, and needs 64 scores a query.
const QUERIES: usize = 512;
/// A part's queries go in as heads that share the keys: the CPU backend computes heads in parallel.
const HEADS: usize = 4;

/// `q` `[b, n, d]`, already scaled, `k` `[b, m, d]` and `v` `[b, m, e]` to `[b, n, e]`: one head.
pub fn tiled_attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
    let [b, n, d] = q.dims();
    let width = v.dims()[2];
    let options = AttentionModuleOptions {
        scale: Some(1.0),
        ..AttentionModuleOptions::default()
    };
    let (k, v) = (k.unsqueeze_dim::<4>(1), v.unsqueeze_dim::<4>(1));
    let parts = (0..n).step_by(QUERIES).map(|start| {
        let length = QUERIES.min(n - start);
        let heads = if length.is_multiple_of(HEADS) { HEADS } else { 1 };
        let q = q
            .clone()
            .narrow(1, start, length)
            .reshape([b, heads, length / heads, d]);
        let x = module::attention(q, k.clone(), v.clone(), None, None, options);
        x.reshape([b, length, width])
    });
    Tensor::cat(parts.collect(), 1)
}
