//! Multi-head attention with projections, as in `sam2.modeling.sam.transformer.Attention`.

use burn::tensor::Tensor;
#[cfg(feature = "webgpu")]
use sam2_kernels::{
    AttentionShape,
    tensors::{self, Heads, LinearOptions, Residual},
};

#[cfg(feature = "webgpu")]
use super::rows;
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
        #[cfg(feature = "webgpu")]
        if super::is_gpu(&q.device()) {
            return self.on_gpu([q, k, v], [None, None], None);
        }
        let q = split_heads(self.q_proj.forward(q), self.num_heads);
        let k = split_heads(self.k_proj.forward(k), self.num_heads);
        let v = split_heads(self.v_proj.forward(v), self.num_heads);
        self.out_proj.forward(join_heads(attention(q, k, v)))
    }

    /// By kernels of our own: queries, keys and values; what is added to the first two, each for all of the batch or for
    /// one; and what is added to the result.
    #[cfg(feature = "webgpu")]
    pub(crate) fn on_gpu(
        &self,
        [q, k, v]: [Tensor<3>; 3],
        [q_position, k_position]: [Option<Tensor<3>>; 2],
        residual: Option<Tensor<3>>,
    ) -> Tensor<3> {
        let [batch, n, dim] = q.dims();
        let m = k.dims()[1];
        let project = |layer: &Linear, x: Tensor<3>, position: Option<Tensor<3>>| Heads {
            tokens: layer.on_gpu(
                x,
                LinearOptions {
                    plus: position.map(rows),
                    ..LinearOptions::default()
                },
            ),
            offset: 0,
        };
        let q = project(&self.q_proj, q, q_position);
        let k = project(&self.k_proj, k, k_position);
        let v = project(&self.v_proj, v, None);
        let (_, padding) = self.k_proj.parameters();
        let width = padding.dims()[0] / self.num_heads;
        let shape = AttentionShape::tokens(batch, self.num_heads, width, n, m);
        let options = LinearOptions {
            residual: residual.map(|x| Residual::Repeated(rows(x))),
            ..LinearOptions::default()
        };
        self.out_proj
            .on_gpu(tensors::attention(shape, q, k, v, padding), options)
            .reshape([batch, n, dim])
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
