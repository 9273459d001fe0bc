//! Attention with rotary positions.

use burn::tensor::{Tensor, module, ops::AttentionModuleOptions};

use super::linear::Linear;
use crate::{
    Keys, LinearOperation, LinearOptions, LinearParameters, Parameter, RotaryAttentionOperation,
    RotaryAttentionParameters,
};

/// The number of queries whose scores exist at once, for backends that do not divide the keys themselves. With a full
/// bank of 28,700 keys, the scores are 59 MB.
const QUERIES: usize = 512;

/// Merges `first` and then `second` into one layer `[second's output, first's input]`.
pub(crate) fn join_projections(first: LinearParameters, second: LinearParameters) -> LinearParameters {
    use burn::tensor::FloatDType;
    let [first_weight, second_weight] =
        [first.weight, second.weight].map(|weight| weight.into_value().cast(FloatDType::F32));
    let bias = second_weight
        .clone()
        .matmul(first.bias.into_value().unsqueeze_dim(1));
    LinearParameters {
        weight: Parameter::new(second_weight.matmul(first_weight)),
        bias: Parameter::new(bias.squeeze_dim(1) + second.bias.into_value()),
    }
}

#[derive(Debug)]
pub struct RotaryAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    of_queries: Rotations,
    of_keys: Rotations,
}

/// The rotations of a grid's positions.
#[derive(Debug)]
struct Rotations {
    /// The cosines, `[1, side², dim / 2]`, like the sines.
    cos: Tensor<3>,
    sin: Tensor<3>,
}

impl RotaryAttention {
    pub fn new(parameters: RotaryAttentionParameters) -> Self {
        Self {
            q_proj: Linear::new(parameters.q_proj),
            k_proj: Linear::new(parameters.k_proj),
            v_proj: Linear::new(parameters.v_proj),
            out_proj: Linear::new(parameters.out_proj),
            of_queries: Rotations::new(parameters.query_table),
            of_keys: Rotations::new(parameters.key_table),
        }
    }
}

impl Rotations {
    fn new(table: Parameter<2>) -> Self {
        let table = table.into_value();
        let [positions, dim] = table.dims();
        let pairs: Tensor<4> = table.reshape([1, positions, dim / 2, 2]);
        let part = |i: usize| pairs.clone().narrow(3, i, 1).reshape([1, positions, dim / 2]);
        Self {
            cos: part(0),
            sin: part(1),
        }
    }

    /// Rotates every two neighbouring channels of the tokens `[pictures * side², dim]` of whole pictures.
    fn rotate(&self, x: Tensor<2>) -> Tensor<2> {
        let [n, dim] = x.dims();
        let positions = self.cos.dims()[1];
        let pairs: Tensor<4> = x.reshape([n / positions, positions, dim / 2, 2]);
        let part = |i: usize| {
            pairs
                .clone()
                .narrow(3, i, 1)
                .reshape([n / positions, positions, dim / 2])
        };
        let (real, imaginary) = (part(0), part(1));
        let rotated = [
            real.clone() * self.cos.clone() - imaginary.clone() * self.sin.clone(),
            real * self.sin.clone() + imaginary * self.cos.clone(),
        ];
        let rotated: Tensor<4> = Tensor::cat(rotated.map(|x| x.unsqueeze_dim(3)).to_vec(), 3);
        rotated.reshape([n, dim])
    }
}

impl RotaryAttentionOperation for RotaryAttention {
    fn forward(&self, queries: Tensor<2>, keys: &Keys, residual: Tensor<2>) -> Tensor<2> {
        let none = LinearOptions::default;
        let q = self.of_queries.rotate(self.q_proj.forward(queries, none()));
        let (mut k, mut v) = (Vec::new(), Vec::new());
        for group in &keys.groups {
            for (number, (values, _)) in group.parts.iter().enumerate() {
                let part = match group.positions_of(number) {
                    Some(positions) => values.clone() + positions,
                    None => values.clone(),
                };
                let part = self.k_proj.forward(part, none());
                k.push(match group.rotated {
                    true => self.of_keys.rotate(part),
                    false => part,
                });
                v.push(self.v_proj.forward(values.clone(), none()));
            }
        }
        let [k, v] = [k, v].map(|parts| Tensor::cat(parts, 0).unsqueeze_dims::<4>(&[0, 1]));
        let [n, dim] = q.dims();
        let parts = (0..n).step_by(QUERIES).map(|first| {
            let count = QUERIES.min(n - first);
            let q = q.clone().narrow(0, first, count).unsqueeze_dims::<4>(&[0, 1]);
            let x = module::attention(
                q,
                k.clone(),
                v.clone(),
                None,
                None,
                AttentionModuleOptions::default(),
            );
            x.reshape([count, dim])
        });
        residual + self.out_proj.forward(Tensor::cat(parts.collect(), 0), none())
    }
}
