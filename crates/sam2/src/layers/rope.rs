//! Attention with a rotary position encoding of the image's two axes (`sam2.modeling.sam.transformer.RoPEAttention`).

use burn::tensor::{Device, Tensor, TensorData};

use super::{Linear, tiled_attention};
#[cfg(feature = "flex")]
use super::{host::is_host, online_softmax::OnlineSoftmax};
use crate::weights::{Weights, WeightsError};

/// Keys that are projected and attended to at once on the CPU.
#[cfg(feature = "flex")]
const KEYS: usize = 512;

/// One head whose queries and keys are rotated by their places.
///
/// Values are attended to as they come, and projected afterwards: the sum of projected values is the projected sum, and
/// memories come in a quarter as wide as they are projected to. That projection and the output's are then one.
#[derive(Debug)]
pub struct RopeAttention {
    /// With the scale of the scores in it.
    q_proj: Linear,
    k_proj: Linear,
    /// `v_proj`, then `out_proj`.
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
        let scale = 1.0 / (dim as f64).sqrt();
        let v_proj = Linear::load(weights.at("v_proj"), kv_dim, dim)?;
        let out_proj = Linear::load(weights.at("out_proj"), dim, dim)?;
        Ok(Self {
            q_proj: load_halves(weights.at("q_proj"), dim, dim, scale)?,
            k_proj: load_halves(weights.at("k_proj"), kv_dim, dim, 1.0)?,
            out_proj: v_proj.then(out_proj),
            rope,
        })
    }

    /// `q` `[b, n, dim]`, `k` and `v` `[b, m, kv_dim]` to `[b, n, dim]`. The last `unplaced` keys are not rotated;
    /// the others are a whole number of images, one after another.
    pub fn forward(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, unplaced: usize) -> Tensor<3> {
        let q = self.rope.rotate(self.q_proj.forward(q), 0);
        #[cfg(feature = "flex")]
        if is_host(&q.device()) && q.dims()[0] == 1 {
            return self.out_proj.forward(self.attend_by_blocks(q, k, v, unplaced));
        }
        let k = self.k_proj.forward(k);
        let placed = k.dims()[1] - unplaced;
        let k = if unplaced == 0 {
            self.rope.rotate(k, 0)
        } else {
            let rotated = self.rope.rotate(k.clone().narrow(1, 0, placed), 0);
            Tensor::cat(vec![rotated, k.narrow(1, placed, unplaced)], 1)
        };
        self.out_proj.forward(tiled_attention(q, k, v))
    }

    #[cfg(feature = "flex")]
    fn attend_by_blocks(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, unplaced: usize) -> Tensor<3> {
        let placed = k.dims()[1] - unplaced;
        let places = self.rope.places();
        let mut attention = OnlineSoftmax::new(&q);
        let mut start = 0;
        while start < k.dims()[1] {
            // No block goes over an image's end, or that of the images.
            let end = if start < placed {
                start / places * places + places
            } else {
                placed + unplaced
            };
            let length = KEYS.min(end - start);
            let block = |x: &Tensor<3>| x.clone().narrow(1, start, length);
            let mut keys = self.k_proj.forward(block(&k));
            if start < placed {
                keys = self.rope.rotate(keys, start % places);
            }
            attention.add(keys, block(&v));
            start += length;
        }
        attention.finish()
    }
}

/// A projection whose even channels come first and its odd ones last. The official code rotates neighbouring
/// channels; in this order the pairs are two halves, and scores do not depend on the channels' order. What comes out
/// is `scale` times as large.
fn load_halves(
    mut weights: Weights,
    input: usize,
    output: usize,
    scale: f64,
) -> Result<Linear, WeightsError> {
    let weight = weights.tensor::<2>("weight", [output, input])?;
    let weight = weight
        .reshape([output / 2, 2, input])
        .swap_dims(0, 1)
        .reshape([output, input]);
    let bias = weights.tensor::<1>("bias", [output])?;
    let bias = bias.reshape([output / 2, 2]).swap_dims(0, 1).reshape([output]);
    Ok(Linear::from_parts(weight.transpose() * scale, bias * scale))
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

    /// Of the grid.
    #[cfg(feature = "flex")]
    fn places(&self) -> usize {
        self.cos.dims()[1]
    }

    /// Rotates `[b, images * side², dim]`, or part of an image that begins at place `first`. Channels are the pairs'
    /// first members, then their second.
    fn rotate(&self, x: Tensor<3>, first: usize) -> Tensor<3> {
        let [b, n, dim] = x.dims();
        let [_, places, half] = self.cos.dims();
        let length = places.min(n);
        let (cos, sin) = (
            self.cos.clone().narrow(1, first, length),
            self.sin.clone().narrow(1, first, length),
        );
        let x = x.reshape([b * n / length, length, dim]);
        let (first, second) = (x.clone().narrow(2, 0, half), x.narrow(2, half, half));
        let rotated = vec![
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            first * sin + second * cos,
        ];
        Tensor::cat(rotated, 2).reshape([b, n, dim])
    }
}
