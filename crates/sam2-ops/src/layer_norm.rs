//! Layer normalisation over the last dimension.

use burn::tensor::Tensor;

use crate::linear::rows;
use crate::{Activation, Implementation, Parameter, Weights, WeightsError};

/// `nn.LayerNorm`, or `sam2.modeling.sam2_utils.LayerNorm2d` on channels-last pictures:
/// `(x - mean) / √(variance + eps) · weight + bias`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// `[c]`.
    pub weight: Parameter<1>,
    /// `[c]`.
    pub bias: Parameter<1>,
    /// The number that is added to the variance.
    pub eps: f64,
    implementation: Implementation,
}

impl LayerNorm {
    /// Takes `weight` and `bias`, both `[size]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, size: usize, eps: f64) -> Result<Self, WeightsError> {
        let (weight, bias) = (
            weights.parameter("weight", [size])?,
            weights.parameter("bias", [size])?,
        );
        Ok(Self::new(weight, bias, eps, weights.implementation()))
    }

    /// From `weight` and `bias`, both `[c]`.
    pub fn new(weight: Parameter<1>, bias: Parameter<1>, eps: f64, implementation: &Implementation) -> Self {
        Self {
            weight,
            bias,
            eps,
            implementation: implementation.clone(),
        }
    }

    /// `[..., c]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let dims = x.dims();
        self.implementation.layer_norm(self, rows(x), None).reshape(dims)
    }

    /// `[..., c]` to the same shape, then `activation`.
    pub fn forward_activated<const D: usize>(&self, x: Tensor<D>, activation: Activation) -> Tensor<D> {
        let dims = x.dims();
        self.implementation
            .layer_norm(self, rows(x), Some(activation))
            .reshape(dims)
    }
}
