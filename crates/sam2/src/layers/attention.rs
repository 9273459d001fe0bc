//! Multi-head attention with projections, as in `sam2.modeling.sam.transformer.Attention`.

use burn::tensor::Tensor;

use super::{Linear, attention};
use crate::weights::{Weights, WeightsError};

/// Attention whose inner width may be a fraction of the tokens'.
#[derive(Debug)]
pub struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    num_heads: usize,
}

impl Attention {
    /// Takes `q_proj`, `k_proj`, `v_proj` and `out_proj`; `internal` is the width of all heads together.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        mut weights: Weights,
        dim: usize,
        internal: usize,
        num_heads: usize,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            q_proj: Linear::load(weights.at("q_proj"), dim, internal)?,
            k_proj: Linear::load(weights.at("k_proj"), dim, internal)?,
            v_proj: Linear::load(weights.at("v_proj"), dim, internal)?,
            out_proj: Linear::load(weights.at("out_proj"), internal, dim)?,
            num_heads,
        })
    }

    /// `q` `[b, n, dim]`, `k` and `v` `[b, m, dim]` to `[b, n, dim]`.
    pub fn forward(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        self.attend(
            self.project_queries(q),
            self.k_proj.forward(k),
            self.v_proj.forward(v),
        )
    }

    /// Queries as [`Self::attend`] takes them.
    pub fn project_queries(&self, q: Tensor<3>) -> Tensor<3> {
        self.q_proj.forward(q)
    }

    /// Keys and values as [`Self::attend`] takes them.
    pub fn project_keys(&self, k: Tensor<3>, v: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        (self.k_proj.forward(k), self.v_proj.forward(v))
    }

    /// What is left once queries `[b or 1, n, internal]`, keys and values `[b or 1, m, internal]` are projected. A
    /// single one meets all of the other side's.
    pub fn attend(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        let ([queries, n, c], keys) = (q.dims(), k.dims()[0]);
        let batch = queries.max(keys);
        // The same keys for all: as if all queries were one's.
        let q = if keys < batch {
            q.reshape([1, batch * n, c])
        } else {
            q
        };
        let [mut q, k, v] = [q, k, v].map(|x| split_heads(x, self.num_heads));
        if queries < batch {
            q = q.expand([batch, self.num_heads, n, c / self.num_heads]);
        }
        let x = join_heads(attention(q, k, v)).reshape([batch, n, c]);
        self.out_proj.forward(x)
    }
}

/// `[b, n, heads * d]` to `[b, heads, n, d]`.
pub fn split_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [b, n, c] = x.dims();
    x.reshape([b, n, heads, c / heads]).swap_dims(1, 2)
}

/// `[b, heads, n, d]` to `[b, n, heads * d]`.
pub fn join_heads(x: Tensor<4>) -> Tensor<3> {
    let [b, heads, n, d] = x.dims();
    x.swap_dims(1, 2).reshape([b, n, heads * d])
}
