//! Attention with rotary positions.

use burn::tensor::Tensor;

use super::Products;
use super::in_place::{add_by_rows, floats_mut};
use super::linear::Linear;
use super::online_softmax::OnlineSoftmax;
use super::packed::View;
use crate::portable::join_projections;
use crate::{
    KeyGroup, Keys, LinearParameters, Parameter, RotaryAttentionOperation, RotaryAttentionParameters,
};

/// The number of queries at a time. More would need more memory, and with fewer the keys would be projected more often.
const QUERIES: usize = 512;
/// The number of keys that are projected and attended to at once.
const KEYS: usize = 512;

/// Values are projected after attention instead of before, since the sum of projected values is the projected sum, and
/// memories have only a quarter of the width to which they are projected. This projection and that of the output are
/// merged.
#[derive(Debug)]
pub struct RotaryAttention {
    products: Products,
    /// `q_proj`, which includes the scale of the scores.
    q_proj: Linear,
    k_proj: Linear,
    /// `v_proj` and `out_proj` as one layer.
    out_proj: Linear,
    /// `[side², dim]`: for each position, a cosine and a sine for every two neighbouring channels.
    query_table: Tensor<2>,
    /// The same for the keys' grid.
    key_table: Tensor<2>,
}

/// A part of the keys.
struct Part<'a> {
    /// `[m, kv_dim]`.
    values: Tensor<2>,
    keys: PartKeys<'a>,
}

#[allow(clippy::large_enum_variant)] // Only a few exist at a time.
enum PartKeys<'a> {
    /// All keys of the part, `[m, kv_dim]`, which are not rotated.
    Whole(Tensor<2>),
    /// The keys of a part of its group, which are computed in blocks and rotated. The part consists of whole pictures.
    Rotated(&'a KeyGroup, usize),
}

impl PartKeys<'_> {
    /// `length` of the `values` from `start` on, with their positions added.
    fn block(&self, values: Tensor<2>, start: usize, length: usize) -> Tensor<2> {
        let (group, number) = match self {
            Self::Whole(keys) => return keys.clone().narrow(0, start, length),
            Self::Rotated(group, number) => (group, *number),
        };
        let Some(positions) = &group.positions else {
            return values;
        };
        let period = positions.spatial.dims()[0];
        if start % period + length > period {
            let all = group.positions_of(number).expect("there are positions");
            return values + all.narrow(0, start, length);
        }
        let keys = values + positions.spatial.clone().narrow(0, start % period, length);
        match group.parts[number].1 {
            Some(row) => keys + positions.temporal.clone().narrow(0, row, 1),
            None => keys,
        }
    }
}

impl RotaryAttention {
    pub fn new(products: Products, parameters: RotaryAttentionParameters) -> Self {
        let query_table = parameters.query_table.into_value();
        let scale = 1.0 / (query_table.dims()[1] as f64).sqrt();
        let linear = |parameters| Linear::new(products, parameters);
        Self {
            products,
            q_proj: linear(halves(parameters.q_proj, scale)),
            k_proj: linear(halves(parameters.k_proj, 1.0)),
            out_proj: linear(join_projections(parameters.v_proj, parameters.out_proj)),
            query_table,
            key_table: parameters.key_table.into_value(),
        }
    }

    /// The weighted means of values before their projection, for queries `[n, dim]`.
    fn attend(&self, q: &Tensor<2>, parts: &[Part]) -> Tensor<2> {
        let positions = self.key_table.dims()[0];
        let mut attention = OnlineSoftmax::new(self.products, q);
        for Part { values, keys } in parts {
            let count = values.dims()[0];
            let is_rotated = matches!(keys, PartKeys::Rotated(..));
            // No block extends beyond the end of a picture.
            let picture = if is_rotated { positions } else { count };
            let mut start = 0;
            while start < count {
                let first = start % picture;
                let length = KEYS.min(picture - first).min(count - start);
                let values = values.clone().narrow(0, start, length);
                let mut block = self.k_proj.forward(keys.block(values.clone(), start, length));
                if is_rotated {
                    block = rotate(block, &self.key_table, first);
                }
                attention.add(block, values);
                start += length;
            }
        }
        attention.finish()
    }
}

/// Rotates the tokens `[n, dim]` of a grid's positions from `first` on by its `table`. Their channels are the first members
/// of all pairs, then the second members.
fn rotate(x: Tensor<2>, table: &Tensor<2>, first: usize) -> Tensor<2> {
    let (device, [_, dim]) = (x.device(), x.dims());
    let table = View::contiguous(table.clone());
    let (rotations, _) = table.values()[first * dim..].as_chunks::<2>();
    let mut data = x.into_data();
    let rows = floats_mut(&mut data).chunks_exact_mut(dim);
    for (row, rotations) in rows.zip(rotations.chunks_exact(dim / 2)) {
        let (real, imaginary) = row.split_at_mut(dim / 2);
        for ((a, b), [cos, sin]) in real.iter_mut().zip(imaginary).zip(rotations) {
            (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
        }
    }
    Tensor::from_data(data, &device)
}

/// The projection with its even channels first and its odd ones last, multiplied by `scale`. The official code rotates
/// pairs of neighbouring channels. In this order, the pairs are in two halves. The order of the channels does not
/// change the scores.
fn halves(parameters: LinearParameters, scale: f64) -> LinearParameters {
    let (weight, bias) = (parameters.weight.into_value(), parameters.bias.into_value());
    let [output, input] = weight.dims();
    let weight = weight.reshape([output / 2, 2, input]).swap_dims(0, 1);
    let bias = bias.reshape([output / 2, 2]).swap_dims(0, 1);
    LinearParameters {
        weight: Parameter::new(weight.reshape([output, input]) * scale),
        bias: Parameter::new(bias.reshape([output]) * scale),
    }
}

/// All keys, in parts. The few keys that are not rotated are joined, because parts of a few tokens would be slow.
fn parts(keys: &Keys) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for group in &keys.groups {
        if group.rotated {
            parts.extend(group.parts.iter().enumerate().map(|(number, (values, _))| Part {
                values: values.clone(),
                keys: PartKeys::Rotated(group, number),
            }));
            continue;
        }
        let positioned =
            group
                .parts
                .iter()
                .enumerate()
                .map(|(number, (values, _))| match group.positions_of(number) {
                    Some(positions) => values.clone() + positions,
                    None => values.clone(),
                });
        let values = group.parts.iter().map(|(values, _)| values.clone());
        parts.push(Part {
            values: Tensor::cat(values.collect(), 0),
            keys: PartKeys::Whole(Tensor::cat(positioned.collect(), 0)),
        });
    }
    parts
}

impl RotaryAttentionOperation for RotaryAttention {
    fn forward(&self, queries: Tensor<2>, keys: &Keys, residual: Tensor<2>) -> Tensor<2> {
        let parts = parts(keys);
        let dim = queries.dims()[1];
        add_by_rows(residual, QUERIES, |rows| {
            let first = rows.start;
            let q = self.q_proj.forward(queries.clone().slice([rows, 0..dim]));
            let q = rotate(q, &self.query_table, first);
            self.out_proj.forward(self.attend(&q, &parts))
        })
    }
}
