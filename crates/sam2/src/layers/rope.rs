//! Attention with a rotary position encoding of the image's two axes (`sam2.modeling.sam.transformer.RoPEAttention`).

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
#[cfg(feature = "webgpu")]
use sam2_kernels::tensors::{self, LinearOptions, Residual, Rotary};

#[cfg(feature = "flex")]
use super::online_softmax::OnlineSoftmax;
use super::{Linear, host::is_host, tiled_attention};
#[cfg(feature = "webgpu")]
use super::{adapter, is_gpu};
use crate::weights::{Weights, WeightsError};

/// Keys that are projected and attended to at once on the CPU.
#[cfg(feature = "flex")]
const KEYS: usize = 512;

/// Tokens to attend to.
#[derive(Clone, Debug)]
pub struct KeyPart {
    /// `[1, m, kv_dim]`.
    pub values: Tensor<3>,
    /// Added to the values they make the keys: each `[1, m, kv_dim]`, or `[1, 1, kv_dim]` for all tokens.
    pub positions: Vec<Tensor<3>>,
    /// Whether the tokens lie on the image's grid, whole images one after another, and keys are rotated by their
    /// places.
    pub placed: bool,
}

impl KeyPart {
    /// An image's tokens, whose keys are as the values.
    pub fn image(values: Tensor<3>) -> Self {
        Self {
            values,
            positions: Vec::new(),
            placed: true,
        }
    }

    /// How many tokens.
    pub fn len(&self) -> usize {
        self.values.dims()[1]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Positions of all tokens together, `[1, m, kv_dim]`; none for zeros.
    pub fn position(&self) -> Option<Tensor<3>> {
        let sum = self.positions.iter().cloned().reduce(|a, b| a + b)?;
        Some(sum.expand(self.values.dims()))
    }

    /// `[1, length, kv_dim]` from token `start` on.
    fn keys(&self, start: usize, length: usize) -> Tensor<3> {
        let part = |x: &Tensor<3>| match x.dims()[1] {
            1 => x.clone(),
            _ => x.clone().narrow(1, start, length),
        };
        let positions = self.positions.iter().map(part);
        positions.fold(self.values.clone().narrow(1, start, length), |a, b| a + b)
    }
}

/// Tokens to attend to on a GPU, where all are together.
#[cfg(feature = "webgpu")]
#[derive(Clone, Debug)]
pub struct JoinedKeys {
    /// `[m, kv_dim]`: the values with their positions added.
    pub keys: Tensor<2>,
    /// `[m, kv_dim]`.
    pub values: Tensor<2>,
    /// The first so many lie on the image's grid, as [`KeyPart::placed`] says.
    pub placed: usize,
}

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

    /// `q` `[1, n, dim]`, of one image from place `first` on, to the same.
    pub fn forward(&self, q: Tensor<3>, first: usize, parts: &[KeyPart]) -> Tensor<3> {
        let q = self.rope.rotate(self.q_proj.forward(q), first);
        self.out_proj.forward(self.attend(&q, parts))
    }

    /// The same by kernels of our own, `q` `[n, dim]` being a whole image, and `residual` `[n, dim]` added. Queries and keys
    /// are rotated where they are projected.
    #[cfg(feature = "webgpu")]
    pub(crate) fn on_gpu(&self, q: Tensor<2>, memory: &JoinedKeys, residual: Tensor<2>) -> Tensor<2> {
        let turned = |rows: usize| LinearOptions {
            rotary: self.rope.rotary(rows),
            ..LinearOptions::default()
        };
        let places = turned(q.dims()[0]);
        let q = self.q_proj.on_gpu(q, places);
        let k = self.k_proj.on_gpu(memory.keys.clone(), turned(memory.placed));
        let onto = LinearOptions {
            residual: Some(Residual::Repeated(residual)),
            ..LinearOptions::default()
        };
        self.out_proj.on_gpu(
            tensors::wide_attention(adapter(), q, k, memory.values.clone()),
            onto,
        )
    }

    /// The means of values before they are projected.
    fn attend(&self, q: &Tensor<3>, parts: &[KeyPart]) -> Tensor<3> {
        #[cfg(feature = "flex")]
        if is_host(&q.device()) {
            return self.attend_by_blocks(q, parts);
        }
        let keys = parts.iter().map(|part| {
            let keys = self.k_proj.forward(part.keys(0, part.len()));
            if part.placed {
                self.rope.rotate(keys, 0)
            } else {
                keys
            }
        });
        let keys = cat(keys.collect());
        let values = cat(parts.iter().map(|part| part.values.clone()).collect());
        tiled_attention(q.clone(), keys, values)
    }

    #[cfg(feature = "flex")]
    fn attend_by_blocks(&self, q: &Tensor<3>, parts: &[KeyPart]) -> Tensor<3> {
        let mut attention = OnlineSoftmax::new(q);
        for part in parts {
            // No block goes over an image's end.
            let image = if part.placed { self.rope.places } else { part.len() };
            let mut start = 0;
            while start < part.len() {
                let place = start % image;
                let length = KEYS.min(image - place);
                let mut keys = self.k_proj.forward(part.keys(start, length));
                if part.placed {
                    keys = self.rope.rotate(keys, place);
                }
                attention.add(keys, part.values.clone().narrow(1, start, length));
                start += length;
            }
        }
        attention.finish()
    }
}

/// Tokens one after another.
fn cat(mut parts: Vec<Tensor<3>>) -> Tensor<3> {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 1),
    }
}

/// A projection whose even channels come first and its odd ones last. The official code rotates neighbouring
/// channels; in this order the pairs are two halves, and scores do not depend on the channels' order. Kernels of our own
/// want them as they are. What comes out is `scale` times as large.
fn load_halves(
    mut weights: Weights,
    input: usize,
    output: usize,
    scale: f64,
) -> Result<Linear, WeightsError> {
    #[cfg(feature = "webgpu")]
    if is_gpu(weights.device()) {
        let weight = weights.tensor::<2>("weight", [output, input])?.transpose();
        let bias = weights.tensor::<1>("bias", [output])?;
        return Ok(Linear::from_parts(weight * scale, bias * scale));
    }
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
    /// Of the grid.
    places: usize,
    table: Table,
}

/// Of each place the cosines and sines of a quarter of the channels for x, then a quarter for y.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // There is one.
enum Table {
    /// Each `[1, side², dim / 2]`.
    Device { cos: Tensor<3>, sin: Tensor<3> },
    /// `[side², dim / 2]` of both.
    Host(Arc<[[f32; 2]]>),
    /// The same on a GPU: `[side², dim]`.
    #[cfg(feature = "webgpu")]
    Turns(Tensor<2>),
}

impl AxialRope {
    /// For a grid of `side` x `side` places, row by row, and `dim` channels.
    pub fn new(side: usize, dim: usize, theta: f64, device: &Device) -> Self {
        let (quarter, places) = (dim / 4, side * side);
        let frequency = |i: usize| theta.powf(-((4 * i) as f64) / dim as f64);
        let frequencies: Vec<f64> = (0..quarter).map(frequency).collect();
        // Of each row or column, once: places share them.
        let turns: Vec<[f32; 2]> = (0..side)
            .flat_map(|at| frequencies.iter().map(move |frequency| at as f64 * frequency))
            .map(|angle| [angle.cos() as f32, angle.sin() as f32])
            .collect();
        let pairs = (0..places).flat_map(|place| {
            [place % side, place / side]
                .into_iter()
                .flat_map(|at| &turns[at * quarter..][..quarter])
                .copied()
        });
        if is_host(device) {
            let table = Table::Host(pairs.collect());
            return Self { places, table };
        }
        #[cfg(feature = "webgpu")]
        if is_gpu(device) {
            let pairs = TensorData::new(pairs.flatten().collect::<Vec<_>>(), [places, 4 * quarter]);
            let table = Table::Turns(Tensor::from_data(pairs, device));
            return Self { places, table };
        }
        let table = |part: usize| {
            let values: Vec<f32> = pairs.clone().map(|pair| pair[part]).collect();
            Tensor::from_data(TensorData::new(values, [1, places, 2 * quarter]), device)
        };
        let (cos, sin) = (table(0), table(1));
        Self {
            places,
            table: Table::Device { cos, sin },
        }
    }

    /// For a layer whose first `rows` rows are images.
    #[cfg(feature = "webgpu")]
    fn rotary(&self, rows: usize) -> Option<Rotary> {
        match &self.table {
            Table::Turns(table) => Some(Rotary {
                table: table.clone(),
                rows,
            }),
            _ => unreachable!("only a GPU's tensors come here"),
        }
    }

    /// Rotates `[1, images * side², dim]`, or part of an image that begins at place `first`. Channels are the pairs'
    /// first members, then their second.
    fn rotate(&self, x: Tensor<3>, first: usize) -> Tensor<3> {
        let [b, n, dim] = x.dims();
        let (half, length) = (dim / 2, self.places.min(n));
        let (cos, sin) = match &self.table {
            Table::Host(table) => return rotate_in_place(x, &table[first * half..][..length * half]),
            #[cfg(feature = "webgpu")]
            Table::Turns(_) => unreachable!("a GPU's tensors go by kernels of our own"),
            Table::Device { cos, sin } => (
                cos.clone().narrow(1, first, length),
                sin.clone().narrow(1, first, length),
            ),
        };
        let x = x.reshape([b * n / length, length, dim]);
        let (first, second) = (x.clone().narrow(2, 0, half), x.narrow(2, half, half));
        let rotated = vec![
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            first * sin + second * cos,
        ];
        Tensor::cat(rotated, 2).reshape([b, n, dim])
    }
}

/// The same on the CPU, by a table of one image's places.
fn rotate_in_place(x: Tensor<3>, table: &[[f32; 2]]) -> Tensor<3> {
    let (device, [_, _, dim]) = (x.device(), x.dims());
    let mut data = x.into_data();
    let values = data.as_mut_slice::<f32>().expect("networks compute in f32");
    let places = table.chunks_exact(dim / 2).cycle();
    for (token, turns) in values.chunks_exact_mut(dim).zip(places) {
        let (first, second) = token.split_at_mut(dim / 2);
        for ((a, b), [cos, sin]) in first.iter_mut().zip(second).zip(turns) {
            (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
        }
    }
    Tensor::from_data(data, &device)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    #[test]
    fn queries_by_parts_are_as_all_at_once() {
        let device = Device::flex();
        let random =
            |n: usize, d: usize| Tensor::<3>::random([1, n, d], Distribution::Normal(0.0, 1.0), &device);
        let linear =
            |from, to| Linear::from_parts(random(from, to).reshape([from, to]), random(1, to).reshape([to]));
        let attention = RopeAttention {
            q_proj: linear(8, 8),
            k_proj: linear(4, 8),
            out_proj: linear(4, 8),
            rope: AxialRope::new(6, 8, 10_000.0, &device),
        };
        let pointers = KeyPart {
            values: random(3, 4),
            positions: vec![],
            placed: false,
        };
        let parts = [KeyPart::image(random(2 * 36, 4)), pointers];
        let q = random(36, 8);
        let wanted = attention.forward(q.clone(), 0, &parts);
        // Not at a row's end.
        for (first, n) in [(0, 16), (16, 20)] {
            let part = attention.forward(q.clone().narrow(1, first, n), first, &parts);
            let apart = (part - wanted.clone().narrow(1, first, n)).abs().max();
            assert!(apart.into_scalar::<f32>() < 1e-5);
        }
    }
}
