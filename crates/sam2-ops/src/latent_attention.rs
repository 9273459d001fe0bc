//! Attention of latents to the tokens that they summarise (`sam2.modeling.perceiver.PerceiverAttention`), without its
//! projections.

use burn::tensor::Tensor;

use crate::Implementation;

/// `softmax(q kᵀ / √c) v` of one head: `q` `[b, n, c]`, `k` and `v` `[b, m, c]` to `[b, n, c]`.
pub fn latent_attention(
    implementation: &Implementation,
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
) -> Tensor<3> {
    implementation.latent_attention(q, k, v)
}
