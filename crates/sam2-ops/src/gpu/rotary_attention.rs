//! Attention with rotary positions. Queries and keys are rotated in the kernels that project them.

use burn::tensor::Tensor;
use sam2_kernels::{
    Adapter,
    tensors::{self, Rotary},
};

use super::linear::{Linear, scaled};
use crate::portable::join_projections;
use crate::{Keys, RotaryAttentionOperation, RotaryAttentionParameters};

/// Values are projected after attention instead of before, since the sum of projected values is the projected sum, and
/// memories have only a quarter of the width to which they are projected.
#[derive(Debug)]
pub struct RotaryAttention {
    adapter: Adapter,
    /// `q_proj`, which includes the scale of the scores.
    q_proj: Linear,
    k_proj: Linear,
    /// `v_proj` and `out_proj` as one layer.
    out_proj: Linear,
    /// `[side², dim]`, the queries' rotations.
    query_table: Tensor<2>,
    /// The keys' rotations.
    key_table: Tensor<2>,
}

impl RotaryAttention {
    pub fn new(adapter: Adapter, parameters: RotaryAttentionParameters) -> Self {
        let query_table = parameters.query_table.into_value();
        let dim = query_table.dims()[1];
        let scale = Tensor::full([dim], 1.0 / (dim as f64).sqrt(), &query_table.device());
        let out_proj = join_projections(parameters.v_proj, parameters.out_proj);
        Self {
            adapter,
            q_proj: Linear::new(adapter, scaled(parameters.q_proj, scale)),
            k_proj: Linear::new(adapter, parameters.k_proj),
            out_proj: Linear::new(adapter, out_proj),
            query_table,
            key_table: parameters.key_table.into_value(),
        }
    }
}

/// Applies `layer` to `x`, and rotates the first `rows` rows by the positions of `table`.
fn project_rotated(layer: &Linear, x: Tensor<2>, table: &Tensor<2>, rows: usize) -> Tensor<2> {
    let options = tensors::LinearOptions {
        rotary: Some(Rotary {
            table: table.clone(),
            rows,
        }),
        ..tensors::LinearOptions::default()
    };
    layer.launch(x, options)
}

impl RotaryAttentionOperation for RotaryAttention {
    fn forward(&self, queries: Tensor<2>, keys: &Keys, residual: Tensor<2>) -> Tensor<2> {
        let count = queries.dims()[0];
        let q = project_rotated(&self.q_proj, queries, &self.query_table, count);
        let parts = keys.joined.iter().map(|part| {
            let k = project_rotated(&self.k_proj, part.keys.clone(), &self.key_table, part.rotated);
            (k, part.values.clone())
        });
        let x = tensors::wide_attention(self.adapter, q, parts);
        self.out_proj.forward_onto(x, Some(residual))
    }
}
