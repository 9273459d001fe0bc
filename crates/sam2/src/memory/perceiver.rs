//! EdgeTAM's spatial perceiver, which summarises a memory of many tokens in a few (`sam2.modeling.perceiver` of EdgeTAM,
//! section 3.2 of its paper).

use burn::tensor::Tensor;
use sam2_ops::{
    Activation, Implementation, LayerNorm, Linear, LinearParameters, Mlp, Parameter, Weights, WeightsError,
    latent_attention,
};

use crate::config::{PerceiverConfig, Sam2Config};
use crate::position_encoding::position_embedding_sine;

/// `nn.LayerNorm`'s default.
const EPS: f64 = 1e-5;

/// Two kinds of latents that attend to a memory: those of `latents` to all of it, and each of `latents_2d`, which are on a
/// grid, to its own window. Both go through the same layers.
#[derive(Debug)]
pub struct PerceiverResampler {
    /// `[1, num_latents, c]`.
    latents: Parameter<3>,
    /// `[num_latents_2d, 1, c]`.
    latents_2d: Parameter<3>,
    layers: Vec<PerceiverEncoderLayer>,
    norm: LayerNorm,
    /// The positions of the memory's tokens, window by window: `[1, h w, c]`.
    pos: Parameter<3>,
    /// The number of windows along each axis.
    windows: usize,
    implementation: Implementation,
}

impl PerceiverResampler {
    /// Takes `latents`, `latents_2d`, `layers` and `norm`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        config: &Sam2Config,
        perceiver: &PerceiverConfig,
        mut weights: Weights,
    ) -> Result<Self, WeightsError> {
        let (side, dim) = (config.embedding_side(), config.memory_encoder.out_dim);
        let (count, windows) = (perceiver.num_latents, perceiver.side_2d());
        let layers = (0..perceiver.depth)
            .map(|i| PerceiverEncoderLayer::load(dim, perceiver, weights.at(format_args!("layers.{i}"))))
            .collect::<Result<_, _>>()?;
        let latents = weights.parameter::<2>("latents", [count, dim])?;
        let latents_2d = weights.parameter::<2>("latents_2d", [windows * windows, dim])?;
        let pos = weights.table([side, side, dim], || position_embedding_sine(side, side, dim));
        Ok(Self {
            latents: latents.map(|latents| latents.unsqueeze_dim(0)),
            latents_2d: latents_2d.map(|latents| latents.unsqueeze_dim(1)),
            layers,
            norm: LayerNorm::load(weights.at("norm"), dim, EPS)?,
            pos: pos.map(|pos| {
                let pos = window_partition(pos.unsqueeze_dim(0), windows);
                pos.reshape([1, side * side, dim])
            }),
            windows,
            implementation: weights.implementation().clone(),
        })
    }

    /// A memory `[1, h, w, c]`, whose sides are multiples of the grid of `latents_2d`, to `[num_latents + num_latents_2d,
    /// c]`: `latents` first, then `latents_2d` row by row.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let [_, h, w, c] = x.dims();
        // Attention does not depend on the order of its keys: both kinds of latents read them window by window.
        let x = window_partition(x, self.windows);
        let (mut latents, mut latents_2d) = (self.latents.value(), self.latents_2d.value());
        for layer in &self.layers {
            let [k, v] = layer.attn.project(x.clone());
            // Positions are added to keys and values, and only for the latents that attend to the whole memory.
            let [all_k, all_v] = [&k, &v].map(|x| x.clone().reshape([1, h * w, c]) + self.pos.value());
            latents = layer.forward(&self.implementation, latents, all_k, all_v);
            latents_2d = layer.forward(&self.implementation, latents_2d, k, v);
        }
        let [latents, latents_2d] = [latents, latents_2d].map(|latents| {
            let [b, n, c] = latents.dims();
            latents.reshape([b * n, c])
        });
        self.norm
            .forward(self.implementation.stack(vec![latents, latents_2d]))
    }
}

/// `window_partition`: `[1, h, w, c]` to `windows` x `windows` windows, row by row, of `[h w / windows², c]`.
fn window_partition(x: Tensor<4>, windows: usize) -> Tensor<3> {
    let [_, h, w, c] = x.dims();
    let (rows, columns) = (h / windows, w / windows);
    let x = x.reshape([windows, rows, windows, columns * c]).swap_dims(1, 2);
    x.reshape([windows * windows, rows * columns, c])
}

/// `perceiver.PerceiverEncoderLayer`: attention to the memory, self-attention, and an MLP after each, all with residual
/// connections.
#[derive(Debug)]
struct PerceiverEncoderLayer {
    attn: PerceiverAttention,
    ff: FeedForward,
    self_attn: SelfAttention,
    self_ff: FeedForward,
}

impl PerceiverEncoderLayer {
    fn load(dim: usize, config: &PerceiverConfig, mut weights: Weights) -> Result<Self, WeightsError> {
        let hidden = config.ff_mult * dim;
        Ok(Self {
            attn: PerceiverAttention::load(dim, weights.at("attn"))?,
            ff: FeedForward::load(dim, hidden, weights.at("ff"))?,
            self_attn: SelfAttention::load(dim, weights.at("self_attn"))?,
            self_ff: FeedForward::load(dim, hidden, weights.at("self_ff"))?,
        })
    }

    /// `latents` `[b, n, c]` to the same shape; the keys and values of the memory, `[b, m, c]`, are from
    /// [`PerceiverAttention::project`].
    fn forward(
        &self,
        implementation: &Implementation,
        latents: Tensor<3>,
        k: Tensor<3>,
        v: Tensor<3>,
    ) -> Tensor<3> {
        let latents = self.attn.forward(implementation, latents, k, v);
        let latents = self.ff.forward(latents);
        let latents = self.self_attn.forward(implementation, latents);
        self.self_ff.forward(latents)
    }
}

/// The matrices of an attention of one head, which have no biases.
#[derive(Debug)]
struct Projections {
    to_q: Linear,
    /// The keys' half of `to_kv`.
    to_k: Linear,
    /// The values' half of `to_kv`.
    to_v: Linear,
    to_out: Linear,
}

impl Projections {
    fn load(dim: usize, weights: &mut Weights) -> Result<Self, WeightsError> {
        let [to_k, to_v] = {
            let mut weights = weights.at("to_kv");
            let halves = LinearParameters::load_halves(&mut weights, dim, dim)?;
            halves.map(|half| Linear::new(&weights, half, dim))
        };
        Ok(Self {
            to_q: Linear::load_without_bias(weights.at("to_q"), dim, dim)?,
            to_k,
            to_v,
            to_out: Linear::load_without_bias(weights.at("to_out"), dim, dim)?,
        })
    }
}

/// `perceiver.PerceiverAttention`: attention of latents to a memory.
#[derive(Debug)]
struct PerceiverAttention {
    norm_x: LayerNorm,
    norm_latents: LayerNorm,
    projections: Projections,
}

impl PerceiverAttention {
    fn load(dim: usize, mut weights: Weights) -> Result<Self, WeightsError> {
        Ok(Self {
            norm_x: LayerNorm::load(weights.at("norm_x"), dim, EPS)?,
            norm_latents: LayerNorm::load(weights.at("norm_latents"), dim, EPS)?,
            projections: Projections::load(dim, &mut weights)?,
        })
    }

    /// The keys and values of a memory `[b, m, c]`.
    fn project(&self, x: Tensor<3>) -> [Tensor<3>; 2] {
        let x = self.norm_x.forward(x);
        let Projections { to_k, to_v, .. } = &self.projections;
        [to_k.forward(x.clone()), to_v.forward(x)]
    }

    /// Attention of `latents` `[b, n, c]` to keys and values `[b, m, c]`, added to the latents.
    fn forward(
        &self,
        implementation: &Implementation,
        latents: Tensor<3>,
        k: Tensor<3>,
        v: Tensor<3>,
    ) -> Tensor<3> {
        let Projections { to_q, to_out, .. } = &self.projections;
        let q = to_q.forward(self.norm_latents.forward(latents.clone()));
        let out = latent_attention(implementation, q, k, v);
        to_out.forward_onto(out, latents)
    }
}

/// `perceiver.Attention`: attention of the latents to each other.
#[derive(Debug)]
struct SelfAttention {
    norm: LayerNorm,
    projections: Projections,
}

impl SelfAttention {
    fn load(dim: usize, mut weights: Weights) -> Result<Self, WeightsError> {
        Ok(Self {
            norm: LayerNorm::load(weights.at("norm"), dim, EPS)?,
            projections: Projections::load(dim, &mut weights)?,
        })
    }

    /// Attention among the `n` latents of each of `[b, n, c]`, added to them.
    fn forward(&self, implementation: &Implementation, latents: Tensor<3>) -> Tensor<3> {
        let x = self.norm.forward(latents.clone());
        let Projections {
            to_q,
            to_k,
            to_v,
            to_out,
        } = &self.projections;
        let v = to_v.forward(x.clone());
        // A latent that is alone attends to itself only: the result is its value.
        let out = match x.dims()[1] {
            1 => v,
            _ => latent_attention(implementation, to_q.forward(x.clone()), to_k.forward(x), v),
        };
        to_out.forward_onto(out, latents)
    }
}

/// `perceiver.FeedForward`: a normalisation (`0`) and an MLP (`1` and `3`), with a residual connection.
#[derive(Debug)]
struct FeedForward {
    norm: LayerNorm,
    mlp: Mlp,
}

impl FeedForward {
    fn load(dim: usize, hidden: usize, mut weights: Weights) -> Result<Self, WeightsError> {
        Ok(Self {
            norm: LayerNorm::load(weights.at("0"), dim, EPS)?,
            mlp: Mlp::load_without_bias(weights, ["1", "3"], [dim, hidden, dim], Activation::Gelu)?,
        })
    }

    /// `[b, n, c]` to the same shape.
    fn forward(&self, latents: Tensor<3>) -> Tensor<3> {
        let x = self.norm.forward(latents.clone());
        self.mlp.forward_onto(x, latents)
    }
}
