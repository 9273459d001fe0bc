//! Attention with a rotary position encoding for the two axes of a picture (`sam2.modeling.sam.transformer.RoPEAttention`,
//! and EdgeTAM's `RoPEAttentionv2`, whose keys are on another grid than its queries).

use burn::tensor::Tensor;

use crate::{Keys, LinearParameters, Parameter, Prepared, Weights, WeightsError};

/// Attention of one head, whose queries and keys are rotated by their positions on a grid each:
/// `out_proj(softmax(rotate(q_proj(x)) rotate(k_proj(keys))ᵀ / √dim) v_proj(values)) + residual`.
#[derive(Debug)]
pub struct RotaryAttention {
    operation: Prepared<dyn RotaryAttentionOperation>,
}

/// The parameters of a [`RotaryAttention`].
#[derive(Clone, Debug)]
pub struct RotaryAttentionParameters {
    /// `[dim, dim]`.
    pub q_proj: LinearParameters,
    /// `[dim, kv_dim]`.
    pub k_proj: LinearParameters,
    /// `[dim, kv_dim]`.
    pub v_proj: LinearParameters,
    /// `[dim, dim]`.
    pub out_proj: LinearParameters,
    /// The rotations of the queries' grid, `[side², dim]`: for each position, a cosine and a sine for every two
    /// neighbouring channels, first for x, then for y ([`RotaryPositions::table`]).
    pub query_table: Parameter<2>,
    /// The same for the keys' grid, whose side may be another.
    pub key_table: Parameter<2>,
}

/// A [`RotaryAttention`] as an implementation has prepared it.
pub trait RotaryAttentionOperation: std::fmt::Debug + Send + Sync {
    /// [`RotaryAttention::forward`].
    fn forward(&self, queries: Tensor<2>, keys: &Keys, residual: Tensor<2>) -> Tensor<2>;
}

/// The rotations of a square grid's positions.
#[derive(Clone, Copy, Debug)]
pub struct RotaryPositions {
    /// The number of positions along each axis.
    pub side: usize,
    /// The number of channels, a multiple of 4.
    pub dim: usize,
    /// The base of the frequencies.
    pub theta: f64,
}

impl RotaryPositions {
    /// [`Self::table`] as a tensor on the device: `[side², dim]`.
    pub fn parameter(&self, weights: &Weights) -> Parameter<2> {
        weights.table([self.side * self.side, self.dim], || self.table())
    }

    /// The rotation of every position, row by row (`compute_axial_cis`): `[side², dim]`, a cosine and a sine for every
    /// two channels. There are `dim / 4` frequencies; the first half of the channels rotates by x, the second by y.
    pub fn table(&self) -> Vec<f32> {
        let Self { side, dim, theta } = *self;
        let quarter = dim / 4;
        let frequencies: Vec<f64> = (0..quarter)
            .map(|i| theta.powf(-((4 * i) as f64) / dim as f64))
            .collect();
        // Each coordinate's rotations are computed once, since positions share them.
        let rotations: Vec<f32> = (0..side)
            .flat_map(|at| frequencies.iter().map(move |frequency| at as f64 * frequency))
            .flat_map(|angle| [angle.cos() as f32, angle.sin() as f32])
            .collect();
        let of_axis = |at: usize| &rotations[at * 2 * quarter..][..2 * quarter];
        let mut table = Vec::with_capacity(side * side * dim);
        for y in 0..side {
            for x in 0..side {
                table.extend_from_slice(of_axis(x));
                table.extend_from_slice(of_axis(y));
            }
        }
        table
    }
}

impl RotaryAttention {
    /// Takes `q_proj`, `k_proj`, `v_proj` and `out_proj`. Keys and values are `kv_dim` wide. The tables of the queries'
    /// grid and of the keys' are [`RotaryPositions::parameter`], which all layers share.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        mut weights: Weights,
        dim: usize,
        kv_dim: usize,
        [query_table, key_table]: [Parameter<2>; 2],
    ) -> Result<Self, WeightsError> {
        let parameters = RotaryAttentionParameters {
            q_proj: LinearParameters::load(&mut weights.at("q_proj"), dim, dim)?,
            k_proj: LinearParameters::load(&mut weights.at("k_proj"), kv_dim, dim)?,
            v_proj: LinearParameters::load(&mut weights.at("v_proj"), kv_dim, dim)?,
            out_proj: LinearParameters::load(&mut weights.at("out_proj"), dim, dim)?,
            query_table,
            key_table,
        };
        Ok(Self {
            operation: weights.prepare(parameters, |operations, parameters| {
                operations.rotary_attention(parameters)
            }),
        })
    }

    /// Attention of `queries` `[n, dim]`, which are the tokens of a whole picture, to `keys`. The result is added to
    /// `residual` `[n, dim]`.
    pub fn forward(&self, queries: Tensor<2>, keys: &Keys, residual: Tensor<2>) -> Tensor<2> {
        self.operation.forward(queries, keys, residual)
    }
}
