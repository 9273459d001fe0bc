//! The transformer of both towers (`Owlv2Encoder`).

use burn::tensor::Tensor;
use sam2_ops::{Activation, Attention, LayerNorm, Mlp, Weights, WeightsError};

/// `layer_norm_eps` of both towers, which no published configuration changes.
pub(crate) const EPS: f64 = 1e-5;
/// `hidden_act` of both towers, which no published configuration changes.
const HIDDEN_ACT: Activation = Activation::QuickGelu;

/// `Owlv2EncoderLayer`: attention, then an MLP, each of normalised tokens and added to them.
#[derive(Debug)]
pub struct EncoderLayer {
    layer_norm1: LayerNorm,
    self_attn: Attention,
    layer_norm2: LayerNorm,
    mlp: Mlp,
}

impl EncoderLayer {
    fn load(
        mut weights: Weights,
        hidden_size: usize,
        intermediate_size: usize,
        num_heads: usize,
    ) -> Result<Self, WeightsError> {
        let widths = [hidden_size, intermediate_size, hidden_size];
        Ok(Self {
            layer_norm1: LayerNorm::load(weights.at("layer_norm1"), hidden_size, EPS)?,
            self_attn: Attention::load(weights.at("self_attn"), hidden_size, hidden_size, num_heads)?,
            layer_norm2: LayerNorm::load(weights.at("layer_norm2"), hidden_size, EPS)?,
            mlp: Mlp::load_named(weights.at("mlp"), ["fc1", "fc2"], widths, HIDDEN_ACT, None)?,
        })
    }

    /// `[b, n, hidden_size]` to the same. In a `causal` layer, a token attends only to itself and those before it.
    pub fn forward(&self, x: Tensor<3>, causal: bool) -> Tensor<3> {
        let normed = self.layer_norm1.forward(x.clone());
        let x = match causal {
            true => self.self_attn.among_earlier(normed, x),
            false => self.self_attn.among_tokens(normed, None, Some(x)),
        };
        self.mlp.forward_onto(self.layer_norm2.forward(x.clone()), x)
    }
}

/// Takes `layers.0`, `layers.1`, ….
///
/// # Errors
/// A tensor is missing or has another shape.
pub(crate) fn load_layers(
    mut weights: Weights,
    count: usize,
    [hidden_size, intermediate_size, num_heads]: [usize; 3],
) -> Result<Vec<EncoderLayer>, WeightsError> {
    (0..count)
        .map(|i| {
            let weights = weights.at(format_args!("layers.{i}"));
            EncoderLayer::load(weights, hidden_size, intermediate_size, num_heads)
        })
        .collect()
}
