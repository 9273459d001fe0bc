//! Memory attention: conditions a frame's features on the memory bank (`sam2.modeling.memory_attention`).

use burn::tensor::Tensor;
#[cfg(feature = "webgpu")]
use sam2_kernels::tensors::{LinearOptions, Residual};

use crate::config::Sam2Config;
use crate::image_encoder::position_embedding_sine;
use crate::layers::{Activation, AxialRope, KeyPart, LayerNorm, Linear, RopeAttention, by_rows};
#[cfg(feature = "webgpu")]
use crate::layers::{JoinedKeys, rows};
use crate::weights::{Weights, WeightsError};

/// `nn.LayerNorm`'s default.
const EPS: f64 = 1e-5;
/// How much of its position each place gets at the input.
const POSITION_WEIGHT: f32 = 0.1;
/// Tokens that attend at a time on the CPU. More would take more memory, fewer project the keys more often.
const QUERIES: usize = 512;
/// Tokens of the MLP at a time on the CPU: their hidden values are 2 MB.
const MLP_ROWS: usize = 256;

/// Layers of self-attention, attention to the memory, and an MLP.
#[derive(Debug)]
pub struct MemoryAttention {
    layers: Vec<MemoryAttentionLayer>,
    norm: LayerNorm,
    /// `[1, side², d]`, already weighted.
    position: Tensor<3>,
}

impl MemoryAttention {
    /// Takes `layers` and `norm`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &Sam2Config, mut weights: Weights) -> Result<Self, WeightsError> {
        let (dim, side) = (config.neck.d_model, config.embedding_side());
        let rope = AxialRope::new(side, dim, config.memory_attention.rope_theta, weights.device());
        let position = position_embedding_sine(side, side, dim, weights.device());
        let layers = (0..config.memory_attention.num_layers)
            .map(|i| MemoryAttentionLayer::load(config, weights.at(format_args!("layers.{i}")), &rope))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            layers,
            norm: LayerNorm::load(weights.at("norm"), dim, EPS)?,
            position: position.reshape([1, side * side, dim]) * POSITION_WEIGHT,
        })
    }

    /// A frame's embedding `[1, h, w, d]` to the same, conditioned on the memory.
    pub fn forward(&self, embedding: Tensor<4>, memory: &[KeyPart]) -> Tensor<4> {
        let [b, h, w, d] = embedding.dims();
        let mut x = embedding.reshape([b, h * w, d]) + self.position.clone();
        for layer in &self.layers {
            x = layer.forward(x, memory);
        }
        self.norm.forward(x).reshape([b, h, w, d])
    }

    /// The same by kernels of our own.
    #[cfg(feature = "webgpu")]
    pub(crate) fn on_gpu(&self, embedding: Tensor<4>, memory: &JoinedKeys) -> Tensor<4> {
        let dims = embedding.dims();
        let mut x = rows(embedding) + rows(self.position.clone());
        for layer in &self.layers {
            x = layer.on_gpu(x, memory);
        }
        self.norm.forward(x).reshape(dims)
    }
}

/// Pre-norm, with a residual around each of the three.
#[derive(Debug)]
struct MemoryAttentionLayer {
    norm1: LayerNorm,
    self_attn: RopeAttention,
    norm2: LayerNorm,
    cross_attn_image: RopeAttention,
    norm3: LayerNorm,
    linear1: Linear,
    linear2: Linear,
}

impl MemoryAttentionLayer {
    fn load(config: &Sam2Config, mut weights: Weights, rope: &AxialRope) -> Result<Self, WeightsError> {
        let (dim, mem_dim) = (config.neck.d_model, config.memory_encoder.out_dim);
        let hidden = config.memory_attention.dim_feedforward;
        let mut norm = |name| LayerNorm::load(weights.at(name), dim, EPS);
        let (norm1, norm2, norm3) = (norm("norm1")?, norm("norm2")?, norm("norm3")?);
        let mut attention = |name, kv| RopeAttention::load(weights.at(name), dim, kv, rope.clone());
        Ok(Self {
            norm1,
            self_attn: attention("self_attn", dim)?,
            norm2,
            cross_attn_image: attention("cross_attn_image", mem_dim)?,
            norm3,
            linear1: Linear::load(weights.at("linear1"), dim, hidden)?,
            linear2: Linear::load(weights.at("linear2"), hidden, dim)?,
        })
    }

    fn forward(&self, x: Tensor<3>, memory: &[KeyPart]) -> Tensor<3> {
        let normed = self.norm1.forward(x.clone());
        let image = [KeyPart::image(normed.clone())];
        let x = by_rows(x, QUERIES, |x, first| {
            let queries = normed.clone().narrow(1, first, x.dims()[1]);
            x + self.self_attn.forward(queries, first, &image)
        });
        drop((normed, image));
        let x = by_rows(x, QUERIES, |x, first| {
            let queries = self.norm2.forward(x.clone());
            x + self.cross_attn_image.forward(queries, first, memory)
        });
        by_rows(x, MLP_ROWS, |x, _| {
            let hidden = self.linear1.forward(self.norm3.forward(x.clone()));
            x + self.linear2.forward(Activation::Relu.forward(hidden))
        })
    }

    /// `[n, d]` to the same, by kernels of our own.
    #[cfg(feature = "webgpu")]
    fn on_gpu(&self, x: Tensor<2>, memory: &JoinedKeys) -> Tensor<2> {
        let normed = self.norm1.forward(x.clone());
        let image = JoinedKeys {
            keys: normed.clone(),
            placed: normed.dims()[0],
            values: normed.clone(),
        };
        let x = self.self_attn.on_gpu(normed, &image, x);
        let x = self
            .cross_attn_image
            .on_gpu(self.norm2.forward(x.clone()), memory, x);
        let relu = LinearOptions {
            activation: Activation::Relu.on_gpu(),
            ..LinearOptions::default()
        };
        let hidden = self.linear1.on_gpu(self.norm3.forward(x.clone()), relu);
        let onto = LinearOptions {
            residual: Some(Residual::Repeated(x)),
            ..LinearOptions::default()
        };
        self.linear2.on_gpu(hidden, onto)
    }
}
