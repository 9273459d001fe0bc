//! Multi-head attention with projections, as in `sam2.modeling.sam.transformer.Attention`.

use burn::tensor::Tensor;
#[cfg(feature = "webgpu")]
use sam2_kernels::{
    AttentionShape,
    tensors::{self, Heads, LinearOptions, Residual},
};

#[cfg(feature = "flex")]
use super::{
    LayerNorm,
    packed::PackedLinear,
    packed_cross_attention::{Places, is_short_way, places_to_tokens, tokens_to_places},
};
use super::{Linear, attention};
#[cfg(feature = "webgpu")]
use super::{adapter, is_gpu, rows};
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

    /// Queries as [`Self::attend`] takes them, of `q` `[b, n, dim]` and what is added to it, `[b or 1, n, dim]`.
    pub fn project_queries(&self, q: Tensor<3>, position: Option<Tensor<3>>) -> Tensor<3> {
        project(&self.q_proj, q, position)
    }

    /// Keys and values as [`Self::attend`] takes them, of `k` `[b, m, dim]`, what is added to it, and `v` `[b, m, dim]`.
    pub fn project_keys(
        &self,
        k: Tensor<3>,
        position: Option<Tensor<3>>,
        v: Tensor<3>,
    ) -> (Tensor<3>, Tensor<3>) {
        (project(&self.k_proj, k, position), self.v_proj.forward(v))
    }

    /// What is left once queries `[b or 1, n, internal]`, keys and values `[b or 1, m, internal]` are projected: a
    /// single one meets all of the other side's. The result `[b, n, dim]` is added to `residual` `[b or 1, n, dim]`.
    pub fn attend(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, residual: Option<Tensor<3>>) -> Tensor<3> {
        #[cfg(feature = "webgpu")]
        if is_gpu(&q.device()) {
            return self.attend_on_gpu([q, k, v], residual);
        }
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
        let x = self.out_proj.forward(x);
        match residual {
            Some(residual) => residual + x,
            None => x,
        }
    }

    /// Whether `n` tokens and a picture attend to each other by [`Self::attend_to_places`] and
    /// [`Self::places_attend`].
    #[cfg(feature = "flex")]
    pub(crate) fn has_short_way(&self, n: usize) -> bool {
        let internal = self.out_proj.packed().map(|layer| layer.weight.shape()[0]);
        internal.is_some_and(|internal| is_short_way(n, self.num_heads, internal))
    }

    /// [`Self::attend`] with keys and values `[b, m, dim]` that need not be projected, as `q` is.
    #[cfg(feature = "flex")]
    pub(crate) fn attend_to_places(
        &self,
        q: Tensor<3>,
        k: Tensor<3>,
        v: Tensor<3>,
        residual: Tensor<3>,
    ) -> Tensor<3> {
        let layers = [&self.k_proj, &self.v_proj].map(packed);
        residual + (self.out_proj).forward(tokens_to_places(q, k, v, self.num_heads, layers))
    }

    /// A picture's attention to a few tokens, whose keys and values are projected, added to `image` and normalised.
    #[cfg(feature = "flex")]
    pub(crate) fn places_attend(
        &self,
        places: Places,
        tokens: [Tensor<3>; 2],
        image: Tensor<3>,
        norm: &LayerNorm,
    ) -> Tensor<3> {
        let layers = [&self.q_proj, &self.out_proj].map(packed);
        places_to_tokens(places, tokens, self.num_heads, layers, image, norm)
    }

    /// The same by kernels of our own, which read heads where they lie.
    #[cfg(feature = "webgpu")]
    fn attend_on_gpu(&self, [q, k, v]: [Tensor<3>; 3], residual: Option<Tensor<3>>) -> Tensor<3> {
        let ([queries, n, c], [keys, m, _]) = (q.dims(), k.dims());
        let batch = queries.max(keys);
        let heads = |x: Tensor<3>| Heads {
            tokens: rows(x),
            offset: 0,
        };
        let (_, padding) = self.k_proj.parameters();
        let shape = AttentionShape::tokens(batch, self.num_heads, c / self.num_heads, n, m);
        let options = LinearOptions {
            residual: residual.map(|x| Residual::Repeated(rows(x))),
            ..LinearOptions::default()
        };
        self.out_proj
            .on_gpu(
                tensors::attention(adapter(), shape, heads(q), heads(k), heads(v), padding),
                options,
            )
            .reshape([batch as i64, n as i64, -1])
    }
}

/// As is known of a layer where [`Attention::has_short_way`].
#[cfg(feature = "flex")]
fn packed(layer: &Linear) -> &PackedLinear {
    layer.packed().expect("a packed layer")
}

/// `layer` over `x` `[b, n, dim]` with its `position` `[b or 1, n, dim]` added.
fn project(layer: &Linear, x: Tensor<3>, position: Option<Tensor<3>>) -> Tensor<3> {
    #[cfg(feature = "webgpu")]
    if is_gpu(&x.device()) {
        let options = LinearOptions {
            plus: position.map(rows),
            ..LinearOptions::default()
        };
        return layer.forward_on_gpu(x, options);
    }
    layer.forward(match position {
        Some(position) => x + position,
        None => x,
    })
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
