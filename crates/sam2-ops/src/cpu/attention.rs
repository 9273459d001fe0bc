//! Attention among a few tokens, and between these tokens and a picture.

use burn::tensor::Tensor;

use super::Products;
use super::cross_attention::{Pixels, is_back_projection_faster, pixels_to_tokens, tokens_to_pixels};
use super::linear::Linear;
use super::packed::PackedLinear;
use super::softmax_attention::attention;
use crate::{AttentionOperation, AttentionParameters, LayerNorm, Picture};

#[derive(Debug)]
pub struct Attention {
    products: Products,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    num_heads: usize,
    /// The width of all heads.
    internal: usize,
}

/// The layers of an attention that projects tokens back instead of projecting the picture ([`super::cross_attention`]).
struct BackProjection<'a> {
    q_proj: &'a PackedLinear,
    k_proj: &'a PackedLinear,
    v_proj: &'a PackedLinear,
    out_proj: &'a PackedLinear,
}

impl Attention {
    pub fn new(products: Products, parameters: AttentionParameters) -> Self {
        let internal = parameters.q_proj.bias.value().dims()[0];
        let linear = |parameters| Linear::new(products, parameters);
        Self {
            products,
            q_proj: linear(parameters.q_proj),
            k_proj: linear(parameters.k_proj),
            v_proj: linear(parameters.v_proj),
            out_proj: linear(parameters.out_proj),
            num_heads: parameters.num_heads,
            internal,
        }
    }

    /// Attention of projected queries `[b or 1, n, internal]` to keys and values `[b or 1, m, internal]`: `[b, n, dim]`.
    fn attend(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        let ([queries, n, c], keys) = (q.dims(), k.dims()[0]);
        let batch = queries.max(keys);
        // If all prompts share the keys, their queries are treated like those of one prompt.
        let q = if keys < batch {
            q.reshape([1, batch * n, c])
        } else {
            q
        };
        let [mut q, k, v] = [q, k, v].map(|x| split_heads(x, self.num_heads));
        if queries < batch {
            q = q.expand([batch, self.num_heads, n, c / self.num_heads]);
        }
        let x = attention(self.products, q, k, v);
        self.out_proj.forward(x.swap_dims(1, 2).reshape([batch, n, c]))
    }

    /// The layers, if the `n` tokens of each picture are so few that projecting them back is faster than projecting the
    /// picture.
    fn back_projection(&self, n: usize) -> Option<BackProjection<'_>> {
        let layers = BackProjection {
            q_proj: self.q_proj.packed()?,
            k_proj: self.k_proj.packed()?,
            v_proj: self.v_proj.packed()?,
            out_proj: self.out_proj.packed()?,
        };
        let internal = layers.out_proj.weight.shape()[0];
        is_back_projection_faster(n, self.num_heads, internal).then_some(layers)
    }
}

/// `[b, n, heads * d]` to `[b, heads, n, d]`.
fn split_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [b, n, c] = x.dims();
    x.reshape([b, n, heads, c / heads]).swap_dims(1, 2)
}

impl AttentionOperation for Attention {
    fn among_tokens(
        &self,
        tokens: Tensor<3>,
        positions: Option<Tensor<3>>,
        residual: Option<Tensor<3>>,
    ) -> Tensor<3> {
        let positioned = match positions {
            Some(positions) => tokens.clone() + positions,
            None => tokens.clone(),
        };
        let (q, k) = (
            self.q_proj.forward(positioned.clone()),
            self.k_proj.forward(positioned),
        );
        let x = self.attend(q, k, self.v_proj.forward(tokens));
        match residual {
            Some(residual) => residual + x,
            None => x,
        }
    }

    fn among_earlier(&self, tokens: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let [b, n, c] = [tokens.dims()[0], tokens.dims()[1], self.internal];
        let [q, k, v] = [&self.q_proj, &self.k_proj, &self.v_proj]
            .map(|layer| split_heads(layer.forward(tokens.clone()), self.num_heads));
        // A text has so few tokens that each is computed by itself, with the keys that it sees.
        let answers = (0..n).map(|i| {
            let [k, v] = [&k, &v].map(|x| x.clone().narrow(2, 0, i + 1));
            attention(self.products, q.clone().narrow(2, i, 1), k, v)
        });
        let x = Tensor::cat(answers.collect(), 2);
        residual + self.out_proj.forward(x.swap_dims(1, 2).reshape([b, n, c]))
    }

    fn project_keys(&self, picture: &Picture) -> (Tensor<3>, Tensor<3>) {
        (
            self.k_proj.forward(picture.positioned()),
            self.v_proj.forward(picture.tokens.clone()),
        )
    }

    fn project_queries(&self, picture: &Picture) -> Tensor<3> {
        self.q_proj.forward(picture.positioned())
    }

    fn to_picture(
        &self,
        tokens: Tensor<3>,
        positions: Tensor<3>,
        picture: &Picture,
        wanted: usize,
    ) -> Tensor<3> {
        let wanted = wanted.min(tokens.dims()[1]);
        let [tokens, positions] = [tokens, positions].map(|x| x.narrow(1, 0, wanted));
        let q = self.q_proj.forward(tokens.clone() + positions);
        if let Some(ahead) = &picture.projections {
            return tokens + self.attend(q, ahead.keys.clone(), ahead.values.clone());
        }
        // The tokens of all prompts on one picture count.
        let ([batch, n, internal], pictures) = (q.dims(), picture.tokens.dims()[0]);
        let each = batch * n / pictures;
        let Some(layers) = self.back_projection(each) else {
            let (k, v) = self.project_keys(picture);
            return tokens + self.attend(q, k, v);
        };
        let x = tokens_to_pixels(
            q.reshape([pictures, each, internal]),
            picture.positioned(),
            picture.tokens.clone(),
            self.num_heads,
            [layers.k_proj, layers.v_proj],
        );
        tokens + layers.out_proj.forward(x.reshape([batch, n, internal]))
    }

    fn of_picture(
        &self,
        picture: &Picture,
        tokens: Tensor<3>,
        positions: Tensor<3>,
        norm: &LayerNorm,
    ) -> Tensor<3> {
        let k = self.k_proj.forward(tokens.clone() + positions);
        let v = self.v_proj.forward(tokens);
        let Some(layers) = self.back_projection(k.dims()[1]) else {
            let q = self.queries_of(picture);
            return norm.forward(picture.tokens.clone() + self.attend(q, k, v));
        };
        let pixels = match &picture.projections {
            Some(ahead) => Pixels::Projected(ahead.queries.clone()),
            None => Pixels::Plain(picture.positioned()),
        };
        let layers = [layers.q_proj, layers.out_proj];
        pixels_to_tokens(
            pixels,
            [k, v],
            self.num_heads,
            layers,
            picture.tokens.clone(),
            norm,
        )
    }
}
