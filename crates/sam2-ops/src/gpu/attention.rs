//! Attention by heads. The kernel reads them from the output of the projections.

use burn::tensor::Tensor;
use sam2_kernels::{
    Adapter, AttentionShape,
    tensors::{self, Heads},
};

use super::layer_norm;
use super::linear::Linear;
use crate::linear::rows;
use crate::{AttentionOperation, AttentionParameters, LayerNorm, LinearOptions, Picture};

#[derive(Debug)]
pub struct Attention {
    adapter: Adapter,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    num_heads: usize,
}

impl Attention {
    pub fn new(adapter: Adapter, parameters: AttentionParameters) -> Self {
        Self {
            adapter,
            q_proj: Linear::new(adapter, parameters.q_proj),
            k_proj: Linear::new(adapter, parameters.k_proj),
            v_proj: Linear::new(adapter, parameters.v_proj),
            out_proj: Linear::new(adapter, parameters.out_proj),
            num_heads: parameters.num_heads,
        }
    }

    /// Attention of queries `[b or 1, n, internal]` to keys and values `[b or 1, m, internal]`, added to `residual`
    /// `[b or 1, n, dim]`: `[b, n, dim]`.
    fn attend(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, residual: Option<Tensor<3>>) -> Tensor<3> {
        let ([queries, n, c], [keys, m, _]) = (q.dims(), k.dims());
        let batch = queries.max(keys);
        let shape = AttentionShape::tokens(batch, self.num_heads, c / self.num_heads, n, m);
        self.attend_by(shape, [q, k, v], residual)
    }

    /// The same with the queries and keys of `shape`.
    fn attend_by(
        &self,
        shape: AttentionShape,
        projected: [Tensor<3>; 3],
        residual: Option<Tensor<3>>,
    ) -> Tensor<3> {
        let (batch, n) = (shape.batch, shape.queries[1]);
        let heads = |x: Tensor<3>| Heads {
            tokens: rows(x),
            offset: 0,
        };
        let [q, k, v] = projected.map(heads);
        let x = tensors::attention(self.adapter, shape, q, k, v, None);
        let x = self.out_proj.forward_onto(x, residual.map(rows));
        let dim = x.dims()[1];
        x.reshape([batch, n, dim])
    }
}

/// [`crate::latent_attention`].
pub fn of_one_head(adapter: Adapter, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
    let ([b, n, c], m) = (q.dims(), k.dims()[1]);
    let [q, k, v] = [q, k, v].map(|x| Heads {
        tokens: rows(x),
        offset: 0,
    });
    let shape = AttentionShape::tokens(b, 1, c, n, m);
    tensors::attention(adapter, shape, q, k, v, None).reshape([b, n, c])
}

/// Applies `layer` to `x` `[b, n, input]`, to which `positions` `[b or 1, n, input]` are added first: `[b, n, output]`.
fn project(layer: &Linear, x: Tensor<3>, positions: Option<Tensor<3>>) -> Tensor<3> {
    let [b, n, _] = x.dims();
    let options = LinearOptions {
        plus: positions.map(rows),
        ..LinearOptions::default()
    };
    let x = layer.forward(x, options);
    let output = x.dims()[1];
    x.reshape([b, n, output])
}

impl AttentionOperation for Attention {
    fn among_tokens(
        &self,
        tokens: Tensor<3>,
        positions: Option<Tensor<3>>,
        residual: Option<Tensor<3>>,
    ) -> Tensor<3> {
        let q = project(&self.q_proj, tokens.clone(), positions.clone());
        let k = project(&self.k_proj, tokens.clone(), positions);
        let v = project(&self.v_proj, tokens, None);
        self.attend(q, k, v, residual)
    }

    fn among_earlier(&self, tokens: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let projected =
            [&self.q_proj, &self.k_proj, &self.v_proj].map(|layer| project(layer, tokens.clone(), None));
        let [batch, n, c] = projected[0].dims();
        let shape = AttentionShape::causal(batch, self.num_heads, c / self.num_heads, n);
        self.attend_by(shape, projected, Some(residual))
    }

    fn project_keys(&self, picture: &Picture) -> (Tensor<3>, Tensor<3>) {
        let positions = Some(picture.positions.clone());
        (
            project(&self.k_proj, picture.tokens.clone(), positions),
            project(&self.v_proj, picture.tokens.clone(), None),
        )
    }

    fn project_queries(&self, picture: &Picture) -> Tensor<3> {
        let positions = Some(picture.positions.clone());
        project(&self.q_proj, picture.tokens.clone(), positions)
    }

    fn to_picture(
        &self,
        tokens: Tensor<3>,
        positions: Tensor<3>,
        picture: &Picture,
        _wanted: usize,
    ) -> Tensor<3> {
        let (k, v) = self.keys_of(picture);
        let q = project(&self.q_proj, tokens.clone(), Some(positions));
        self.attend(q, k, v, Some(tokens))
    }

    fn of_picture(
        &self,
        picture: &Picture,
        tokens: Tensor<3>,
        positions: Tensor<3>,
        norm: &LayerNorm,
    ) -> Tensor<3> {
        let q = self.queries_of(picture);
        let k = project(&self.k_proj, tokens.clone(), Some(positions));
        let v = project(&self.v_proj, tokens, None);
        let x = self.attend(q, k, v, Some(picture.tokens.clone()));
        layer_norm(self.adapter, norm, x, None)
    }
}
