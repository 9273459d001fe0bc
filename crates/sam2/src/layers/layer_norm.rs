//! Layer normalisation over the last dimension. The official `LayerNorm2d` is the same when channels come last.

use burn::tensor::{Tensor, module};

#[cfg(feature = "webgpu")]
use super::{adapter, is_gpu};
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

    /// From both, `[size]`.
    #[cfg(all(test, feature = "flex"))]
    pub(super) fn from_parts(weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Self {
        Self { weight, bias, eps }
    }

    /// `[..., size]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "webgpu")]
        if is_gpu(&x.device()) {
            return self.on_gpu(x, sam2_kernels::Activation::None);
        }
        module::layer_norm(x, self.weight.clone(), Some(self.bias.clone()), self.eps)
    }

    /// Weight and bias, both `[size]`, and epsilon.
    #[cfg(any(feature = "webgpu", feature = "flex"))]
    pub(crate) fn parameters(&self) -> (&Tensor<1>, &Tensor<1>, f32) {
        (&self.weight, &self.bias, self.eps as f32)
    }

    /// By a kernel of our own, and `activation` of it; widths are multiples of 4 throughout.
    #[cfg(feature = "webgpu")]
    pub(crate) fn on_gpu<const D: usize>(
        &self,
        x: Tensor<D>,
        activation: sam2_kernels::Activation,
    ) -> Tensor<D> {
        sam2_kernels::tensors::layer_norm(adapter(), x, &self.weight, &self.bias, self.eps, activation)
    }
}
