//! The memory attention, which conditions a frame's features on the memory bank (`sam2.modeling.memory_attention`).

use burn::tensor::Tensor;
use sam2_ops::{
    Activation, Keys, LayerNorm, Mlp, Parameter, RotaryAttention, RotaryPositions, Weights, WeightsError,
};

use crate::config::Sam2Config;
use crate::position_encoding::position_embedding_sine;

/// `nn.LayerNorm`'s default.
const EPS: f64 = 1e-5;
/// Factor of the position encoding that is added at the input (`pos_enc_at_input`).
const POSITION_WEIGHT: f32 = 0.1;

/// Layers of self-attention, attention to the memory, and an MLP.
#[derive(Debug)]
pub struct MemoryAttention {
    layers: Vec<MemoryAttentionLayer>,
    norm: LayerNorm,
    /// `[h w, d]`, already multiplied by [`POSITION_WEIGHT`].
    curr_pos: Parameter<2>,
}

impl MemoryAttention {
    /// Takes `layers` and `norm`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &Sam2Config, mut weights: Weights) -> Result<Self, WeightsError> {
        let (dim, side) = (config.neck.d_model, config.embedding_side());
        let table = |side| {
            let theta = config.memory_attention.rope_theta;
            RotaryPositions { side, dim, theta }.parameter(&weights)
        };
        let of_picture = table(side);
        // A memory is on the picture's grid, unless a perceiver has made it smaller.
        let of_memory = match &config.spatial_perceiver {
            None => of_picture.clone(),
            Some(perceiver) => table(perceiver.side_2d()),
        };
        let tables = [of_picture, of_memory];
        let layers = (0..config.memory_attention.num_layers)
            .map(|i| MemoryAttentionLayer::load(config, weights.at(format_args!("layers.{i}")), &tables))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            layers,
            norm: LayerNorm::load(weights.at("norm"), dim, EPS)?,
            curr_pos: weights.table([side * side, dim], || {
                let positions = position_embedding_sine(side, side, dim);
                positions.into_iter().map(|x| POSITION_WEIGHT * x).collect()
            }),
        })
    }

    /// A frame's embedding `[1, h, w, d]` to one of the same shape, conditioned on the `memory`.
    pub fn forward(&self, curr: Tensor<4>, memory: &Keys) -> Tensor<4> {
        let [b, h, w, d] = curr.dims();
        let mut output = curr.reshape([h * w, d]) + self.curr_pos.value();
        for layer in &self.layers {
            output = layer.forward(output, memory);
        }
        let normed_output = self.norm.forward(output);
        normed_output.reshape([b, h, w, d])
    }
}

/// `memory_attention.MemoryAttentionLayer`: self-attention, attention to the memory and an MLP, each after a
/// normalisation and with a residual connection.
#[derive(Debug)]
struct MemoryAttentionLayer {
    norm1: LayerNorm,
    self_attn: RotaryAttention,
    norm2: LayerNorm,
    cross_attn_image: RotaryAttention,
    norm3: LayerNorm,
    /// `linear1` and `linear2`.
    mlp: Mlp,
}

impl MemoryAttentionLayer {
    /// `tables` are the rotations of the picture's positions and of a memory's.
    fn load(
        config: &Sam2Config,
        mut weights: Weights,
        tables: &[Parameter<2>; 2],
    ) -> Result<Self, WeightsError> {
        let [of_picture, _] = tables;
        let (dim, mem_dim) = (config.neck.d_model, config.memory_encoder.out_dim);
        let widths = [dim, config.memory_attention.dim_feedforward, dim];
        Ok(Self {
            norm1: LayerNorm::load(weights.at("norm1"), dim, EPS)?,
            self_attn: RotaryAttention::load(
                weights.at("self_attn"),
                dim,
                dim,
                [of_picture.clone(), of_picture.clone()],
            )?,
            norm2: LayerNorm::load(weights.at("norm2"), dim, EPS)?,
            cross_attn_image: RotaryAttention::load(
                weights.at("cross_attn_image"),
                dim,
                mem_dim,
                tables.clone(),
            )?,
            norm3: LayerNorm::load(weights.at("norm3"), dim, EPS)?,
            mlp: Mlp::load_named(weights, ["linear1", "linear2"], widths, Activation::Relu, None)?,
        })
    }

    /// `[h w, d]` to the same shape.
    fn forward(&self, tgt: Tensor<2>, memory: &Keys) -> Tensor<2> {
        // Self-Attention
        let tgt2 = self.norm1.forward(tgt.clone());
        let tgt = self.self_attn.forward(tgt2.clone(), &Keys::of_picture(tgt2), tgt);

        // Cross-Attention
        let tgt2 = self.norm2.forward(tgt.clone());
        let tgt = self.cross_attn_image.forward(tgt2, memory, tgt);

        // MLP
        let tgt2 = self.norm3.forward(tgt.clone());
        self.mlp.forward_onto(tgt2, tgt)
    }
}
