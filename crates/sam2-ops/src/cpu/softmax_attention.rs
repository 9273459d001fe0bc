//! softmax(q kᵀ / √d) v by heads.

use burn::tensor::Tensor;

use super::{Products, packed_attention};

/// The number of scores that exist at once. These are 8 MB, so that they stay in a cache for large pictures too.
#[cfg(not(target_arch = "wasm32"))]
const SCORES: usize = 2 << 20;

/// softmax(q kᵀ / √d) v over the last two dimensions: `q` `[a, b, n, d]`, `k` and `v` `[a, b, m, d]` to `[a, b, n, d]`.
/// The tensors may be views, which are not copied.
pub fn attention(products: Products, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    match products {
        #[cfg(not(target_arch = "wasm32"))]
        Products::Burn => by_burn(q, k, v),
        Products::Packed => packed_attention::attention(q, k, v),
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn by_burn(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    use super::{in_place::in_place, math::softmax};
    let ([a, b, n, d], m) = (q.dims(), k.dims()[2]);
    let scale = 1.0 / (d as f32).sqrt();
    let k = k.swap_dims(2, 3);
    let rows = (SCORES / (a * b * m).max(1)).clamp(1, n.max(1));
    let mut parts = Vec::with_capacity(n.div_ceil(rows));
    for start in (0..n).step_by(rows) {
        let q = q.clone().narrow(2, start, rows.min(n - start));
        let weights = in_place(q.matmul(k.clone()), m, |scores| softmax(scores, m, scale));
        parts.push(weights.matmul(v.clone()));
    }
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 2),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, ATTENTIONS, apart, random};
    use super::*;

    #[test]
    fn attention_is_attention_on_views_and_in_parts() {
        for [b, heads, n, m, d] in ATTENTIONS {
            let views = |length| (random([b, length, heads, d]) * 3.0).swap_dims(1, 2);
            let (q, k, v): (Tensor<4>, Tensor<4>, Tensor<4>) = (views(n), views(m), views(m));
            let wanted = testing::attention(q.clone(), k.clone(), v.clone());
            let difference = apart(by_burn(q, k, v), wanted);
            assert!(difference < 2e-5, "{n} queries, {m} keys: {difference}");
        }
    }
}
