//! The multi-layer perceptron of `sam2.modeling.sam2_utils.MLP`.

use burn::tensor::{Tensor, activation};

#[cfg(feature = "flex")]
use super::packed::chain;
use super::{Linear, gelu};
use crate::weights::{Weights, WeightsError};

/// What stands between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// The exact form, by the error function.
    Gelu,
}

impl Activation {
    /// Element by element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => activation::relu(x),
            Self::Gelu => gelu(x),
        }
    }
}

/// Linear layers with an activation between them, none after the last.
#[derive(Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    activation: Activation,
}

impl Mlp {
    /// Takes `layers.0`, `layers.1`, …: `widths` are the input's, each hidden layer's and the output's.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        mut weights: Weights,
        widths: &[usize],
        activation: Activation,
    ) -> Result<Self, WeightsError> {
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(i, pair)| Linear::load(weights.at(format_args!("layers.{i}")), pair[0], pair[1]))
            .collect::<Result<_, _>>()?;
        Ok(Self { layers, activation })
    }

    /// `[..., input]` to `[..., output]`.
    pub fn forward<const D: usize>(&self, mut x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "flex")]
        if let Some(layers) = self.layers.iter().map(Linear::packed).collect::<Option<Vec<_>>>() {
            return chain(&layers, self.activation, x);
        }
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = self.activation.forward(x);
            }
            x = layer.forward(x);
        }
        x
    }
}
