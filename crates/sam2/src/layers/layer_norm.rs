//! Layer normalisation over the last dimension. The official `LayerNorm2d` is the same when channels come last.

use burn::tensor::{Tensor, module};

use crate::weights::{Weights, WeightsError};

/// `nn.LayerNorm`, and `sam2.modeling.sam2_utils.LayerNorm2d` over channels-last pictures.
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
}

impl LayerNorm {
    /// Takes `weight` and `bias`, both `[size]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, size: usize, eps: f64) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: weights.tensor("weight", [size])?,
            bias: weights.tensor("bias", [size])?,
            eps,
        })
    }

    /// `[..., size]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        module::layer_norm(x, self.weight.clone(), Some(self.bias.clone()), self.eps)
    }
}
