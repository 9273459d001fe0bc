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

/// Queries that attend at a time. More would take more memory, fewer project the keys more often.
const QUERIES: usize = 512;
/// Keys that are projected and attended to at once.
const KEYS: usize = 512;

/// Values are attended to as they come, and projected afterwards: the sum of projected values is the projected sum, and
/// memories come in a quarter as wide as they are projected to. That projection and the output's are then one.
#[derive(Debug)]
pub struct RotaryAttention {
    products: Products,
    /// With the scale of the scores in it.
    q_proj: Linear,
    k_proj: Linear,
    /// `v_proj`, then `out_proj`.
    out_proj: Linear,
    /// `[side², dim]`: of each position a cosine and a sine for each two neighbouring channels.
    table: Tensor<2>,
}

/// Some of the keys.
struct Part<'a> {
    /// `[m, kv_dim]`.
    values: Tensor<2>,
    keys: PartKeys<'a>,
}

#[allow(clippy::large_enum_variant)] // There are a few at a time.
enum PartKeys<'a> {
    /// `[m, kv_dim]`, all of them; they are not rotated.
    Whole(Tensor<2>),
    /// Made block by block: a part of whole pictures in its group, whose keys are rotated.
    Rotated(&'a KeyGroup, usize),
}

impl PartKeys<'_> {
    /// `length` of `values` from `start` on, with their positions.
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
        let table = parameters.table.into_value();
        let scale = 1.0 / (table.dims()[1] as f64).sqrt();
        let linear = |parameters| Linear::new(products, parameters);
        Self {
            products,
            q_proj: linear(halves(parameters.q_proj, scale)),
            k_proj: linear(halves(parameters.k_proj, 1.0)),
            out_proj: linear(join_projections(parameters.v_proj, parameters.out_proj)),
            table,
        }
    }

    /// The means of values before they are projected, for queries `[n, dim]`.
    fn attend(&self, q: &Tensor<2>, parts: &[Part]) -> Tensor<2> {
        let positions = self.table.dims()[0];
        let mut attention = OnlineSoftmax::new(self.products, q);
        for Part { values, keys } in parts {
            let count = values.dims()[0];
            let is_rotated = matches!(keys, PartKeys::Rotated(..));
            // No block goes over a picture's end.
            let picture = if is_rotated { positions } else { count };
            let mut start = 0;
            while start < count {
                let first = start % picture;
                let length = KEYS.min(picture - first).min(count - start);
                let values = values.clone().narrow(0, start, length);
                let mut block = self.k_proj.forward(keys.block(values.clone(), start, length));
                if is_rotated {
                    block = self.rotate(block, first);
                }
                attention.add(block, values);
                start += length;
            }
        }
        attention.finish()
    }

    /// Rotates positions of a picture from `first` on: `[n, dim]`, whose channels are the pairs' first members, then their
    /// second.
    fn rotate(&self, x: Tensor<2>, first: usize) -> Tensor<2> {
        let (device, [_, dim]) = (x.device(), x.dims());
        let table = View::contiguous(self.table.clone());
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
}

/// The projection with its even channels first and its odd ones last, `scale` times as large. The official code rotates
/// neighbouring channels; in this order the pairs are two halves, and scores do not depend on the channels' order.
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

/// All keys. Those that are not rotated are few: they are put together, as parts of a few tokens would be slow.
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
            self.out_proj.forward(self.attend(&self.rotate(q, first), &parts))
        })
    }
}
