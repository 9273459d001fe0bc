//! Squeeze-and-excitation (Hu et al., "Squeeze-and-Excitation Networks", 2018; `timm.layers.SqueezeExcite`).

use burn::tensor::Tensor;

use crate::{Activation, Implementation, LinearParameters, Mlp, MlpParameters, Weights, WeightsError};

/// Multiplies each channel by a factor between 0 and 1, which an MLP computes from the means of all channels:
/// `x · sigmoid(fc2(relu(fc1(mean(x)))))`.
#[derive(Debug)]
pub struct SqueezeExcite {
    mlp: Mlp,
    implementation: Implementation,
}

impl SqueezeExcite {
    /// The hidden width of timm's module: a quarter of the channels, rounded to a multiple of 8, and at least 8
    /// (`timm.layers.make_divisible` with `round_limit=0`).
    pub fn hidden(channels: usize) -> usize {
        ((channels / 4 + 4) / 8 * 8).max(8)
    }

    /// Takes the 1x1 convolutions `fc1` and `fc2`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, channels: usize) -> Result<Self, WeightsError> {
        let hidden = Self::hidden(channels);
        let layers = vec![
            LinearParameters::load_conv_1x1(&mut weights.at("fc1"), channels, hidden)?,
            LinearParameters::load_conv_1x1(&mut weights.at("fc2"), hidden, channels)?,
        ];
        let parameters = MlpParameters {
            layers,
            activation: Activation::Relu,
            scale: None,
        };
        Ok(Self {
            mlp: Mlp::new(&weights, parameters, channels),
            implementation: weights.implementation().clone(),
        })
    }

    /// `[b, h, w, c]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let means = self.implementation.channel_means(x.clone());
        let factors = self.mlp.forward_activated(means, Activation::Sigmoid);
        self.implementation.scale_channels(x, factors)
    }
}
