//! Attention by heads.

use burn::tensor::{Tensor, module, ops::AttentionModuleOptions};

use super::linear::Linear;
use crate::{AttentionOperation, AttentionParameters, LayerNorm, LinearOperation, LinearOptions, Picture};

/// softmax(q kᵀ / √d) v over the last two dimensions: `q` `[a, b, n, d]`, `k` and `v` `[a, b, m, d]` to `[a, b, n, d]`.
pub fn softmax_attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    module::attention(q, k, v, None, None, AttentionModuleOptions::default())
}

/// The same of each query to the keys up to its own position.
fn causal_attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let options = AttentionModuleOptions {
        is_causal: true,
        ..AttentionModuleOptions::default()
    };
    module::attention(q, k, v, None, None, options)
}

#[derive(Debug)]
pub struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    num_heads: usize,
}

impl Attention {
    pub fn new(parameters: AttentionParameters) -> Self {
        Self {
            q_proj: Linear::new(parameters.q_proj),
            k_proj: Linear::new(parameters.k_proj),
            v_proj: Linear::new(parameters.v_proj),
            out_proj: Linear::new(parameters.out_proj),
            num_heads: parameters.num_heads,
        }
    }

    /// Attention of queries `[b or 1, n, internal]` to keys and values `[b or 1, m, internal]`: `[b, n, dim]`.
    fn attend(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        self.attend_by(softmax_attention, [q, k, v])
    }

    /// The same with one of the functions above.
    fn attend_by(
        &self,
        attention: impl Fn(Tensor<4>, Tensor<4>, Tensor<4>) -> Tensor<4>,
        [q, k, v]: [Tensor<3>; 3],
    ) -> Tensor<3> {
        let batch = q.dims()[0].max(k.dims()[0]);
        let [q, k, v] = [q, k, v].map(|x| {
            let [_, n, c] = x.dims();
            let heads = x
                .expand([batch, n, c])
                .reshape([batch, n, self.num_heads, c / self.num_heads]);
            heads.swap_dims(1, 2)
        });
        let x = attention(q, k, v);
        let [_, heads, n, d] = x.dims();
        project(&self.out_proj, x.swap_dims(1, 2).reshape([batch, n, heads * d]))
    }
}

/// Applies `layer` to `[b, n, input]`: `[b, n, output]`.
fn project(layer: &Linear, x: Tensor<3>) -> Tensor<3> {
    let [b, n, input] = x.dims();
    let x = layer.forward(x.reshape([b * n, input]), LinearOptions::default());
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
        let positioned = match positions {
            Some(positions) => tokens.clone() + positions,
            None => tokens.clone(),
        };
        let (q, k) = (
            project(&self.q_proj, positioned.clone()),
            project(&self.k_proj, positioned),
        );
        let x = self.attend(q, k, project(&self.v_proj, tokens));
        match residual {
            Some(residual) => residual + x,
            None => x,
        }
    }

    fn among_earlier(&self, tokens: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let projected =
            [&self.q_proj, &self.k_proj, &self.v_proj].map(|layer| project(layer, tokens.clone()));
        residual + self.attend_by(causal_attention, projected)
    }

    fn project_keys(&self, picture: &Picture) -> (Tensor<3>, Tensor<3>) {
        (
            project(&self.k_proj, picture.positioned()),
            project(&self.v_proj, picture.tokens.clone()),
        )
    }

    fn project_queries(&self, picture: &Picture) -> Tensor<3> {
        project(&self.q_proj, picture.positioned())
    }

    fn to_picture(
        &self,
        tokens: Tensor<3>,
        positions: Tensor<3>,
        picture: &Picture,
        _wanted: usize,
    ) -> Tensor<3> {
        let (k, v) = self.keys_of(picture);
        let q = project(&self.q_proj, tokens.clone() + positions);
        tokens + self.attend(q, k, v)
    }

    fn of_picture(
        &self,
        picture: &Picture,
        tokens: Tensor<3>,
        positions: Tensor<3>,
        norm: &LayerNorm,
    ) -> Tensor<3> {
        let q = self.queries_of(picture);
        let k = project(&self.k_proj, tokens.clone() + positions);
        let v = project(&self.v_proj, tokens);
        norm.forward(picture.tokens.clone() + self.attend(q, k, v))
    }
}
