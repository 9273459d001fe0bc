//! Attention with a rotary position encoding of the image's two axes (`sam2.modeling.sam.transformer.RoPEAttention`).

use burn::tensor::{Device, Tensor, TensorData};

use super::{Linear, tiled_attention};
use crate::weights::{Weights, WeightsError};

/// One head whose queries and keys are rotated by their places.
#[derive(Debug)]
pub struct RopeAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    rope: AxialRope,
}

impl RopeAttention {
    /// Takes `q_proj`, `k_proj`, `v_proj` and `out_proj`; keys and values come in `kv_dim` wide.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        mut weights: Weights,
        dim: usize,
        kv_dim: usize,
        rope: AxialRope,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            q_proj: load_halves(weights.at("q_proj"), dim, dim)?,
            k_proj: load_halves(weights.at("k_proj"), kv_dim, dim)?,
            v_proj: Linear::load(weights.at("v_proj"), kv_dim, dim)?,
            out_proj: Linear::load(weights.at("out_proj"), dim, dim)?,
            rope,
        })
    }

    /// `q` `[b, n, dim]`, `k` and `v` `[b, m, kv_dim]` to `[b, n, dim]`. The last `unplaced` keys are not rotated;
    /// the others are a whole number of images, one after another.
    pub fn forward(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, unplaced: usize) -> Tensor<3> {
        let q = self.rope.rotate(self.q_proj.forward(q));
        let k = self.k_proj.forward(k);
        let v = self.v_proj.forward(v);
        let placed = k.dims()[1] - unplaced;
        let k = if unplaced == 0 {
            self.rope.rotate(k)
        } else {
            let rotated = self.rope.rotate(k.clone().narrow(1, 0, placed));
            Tensor::cat(vec![rotated, k.narrow(1, placed, unplaced)], 1)
        };
        self.out_proj.forward(tiled_attention(q, k, v))
    }
}

/// A projection whose even channels come first and its odd ones last. The official code rotates neighbouring
/// channels; in this order the pairs are two halves, and scores do not depend on the channels' order.
fn load_halves(mut weights: Weights, input: usize, output: usize) -> Result<Linear, WeightsError> {
    let weight = weights.tensor::<2>("weight", [output, input])?;
    let weight = weight
        .reshape([output / 2, 2, input])
        .swap_dims(0, 1)
        .reshape([output, input]);
    let bias = weights.tensor::<1>("bias", [output])?;
    let bias = bias.reshape([output / 2, 2]).swap_dims(0, 1).reshape([output]);
    Ok(Linear::from_parts(weight.transpose(), bias))
}

/// The rotation of every place of a square grid (`compute_axial_cis`).
#[derive(Clone, Debug)]
pub struct AxialRope {
    /// `[1, side², dim / 2]`: a quarter of the channels for x, then a quarter for y.
    cos: Tensor<3>,
    sin: Tensor<3>,
}

impl AxialRope {
    /// For a grid of `side` x `side` places, row by row, and `dim` channels.
    pub fn new(side: usize, dim: usize, theta: f64, device: &Device) -> Self {
        let quarter = dim / 4;
        let frequency = |i: usize| theta.powf(-((4 * i) as f64) / dim as f64);
        let angles = (0..side * side).flat_map(|place| {
            [place % side, place / side]
                .into_iter()
                .flat_map(move |at| (0..quarter).map(move |i| at as f64 * frequency(i)))
        });
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = angles.clone().map(|angle| f(angle) as f32).collect();
            Tensor::from_data(TensorData::new(values, [1, side * side, 2 * quarter]), device)
        };
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
        }
    }

    /// Rotates `[b, images * side², dim]`, whose channels are the pairs' first members, then their second.
    fn rotate(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, n, dim] = x.dims();
        let [_, places, half] = self.cos.dims();
        let x = x.reshape([b * n / places, places, dim]);
        let (first, second) = (x.clone().narrow(2, 0, half), x.narrow(2, half, half));
        let (cos, sin) = (self.cos.clone(), self.sin.clone());
        let rotated = vec![
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            first * sin + second * cos,
        ];
        Tensor::cat(rotated, 2).reshape([b, n, dim])
    }
}
