//! A linear layer, which is also what a 1x1 convolution is when channels come last.

use burn::tensor::{Tensor, module};

use super::gpu::packed;
#[cfg(feature = "webgpu")]
use super::is_gpu;
use crate::weights::{Weights, WeightsError};

/// `nn.Linear`, or an `nn.Conv2d` of kernel 1 over channels-last pictures.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor<2>,
    bias: Tensor<1>,
}

impl Linear {
    /// Takes `weight` `[output, input]` and `bias` `[output]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let weight = weights.tensor::<2>("weight", [output, input])?.transpose();
        Ok(Self {
            weight: packed(weight),
            bias: weights.tensor("bias", [output])?,
        })
    }

    /// The same from a 1x1 convolution's `weight` `[output, input, 1, 1]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_conv_1x1(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let weight = weights.tensor::<4>("weight", [output, input, 1, 1])?;
        Ok(Self {
            weight: packed(weight.reshape([output, input]).transpose()),
            bias: weights.tensor("bias", [output])?,
        })
    }

    /// From a weight already laid out as `[input, output]`.
    pub(super) fn from_parts(weight: Tensor<2>, bias: Tensor<1>) -> Self {
        Self {
            weight: packed(weight),
            bias,
        }
    }

    /// This layer and another one after it, as one.
    pub(super) fn then(self, next: Self) -> Self {
        let bias = self.bias.unsqueeze_dim::<2>(0).matmul(next.weight.clone());
        Self {
            bias: bias.squeeze_dim(0) + next.bias,
            weight: self.weight.matmul(next.weight),
        }
    }

    /// `[..., input]` to `[..., output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        // As one matrix: of a batch of them the CPU backend would multiply each alone, and copy the weight first.
        let mut dims = x.dims();
        let input = dims[D - 1];
        #[cfg(feature = "webgpu")]
        if is_gpu(&x.device()) && sam2_kernels::tensors::is_linear(&self.weight) {
            dims[D - 1] = self.weight.dims()[1];
            return self
                .on_gpu(x, sam2_kernels::tensors::LinearOptions::default())
                .reshape(dims);
        }
        let rows = x.reshape([-1, input as i64]);
        let out: Tensor<2> = module::linear(rows, self.weight.clone(), Some(self.bias.clone()));
        dims[D - 1] = out.dims()[1];
        out.reshape(dims)
    }

    /// By a kernel of our own, with all that it can do besides.
    #[cfg(feature = "webgpu")]
    pub(crate) fn on_gpu<const D: usize>(
        &self,
        x: Tensor<D>,
        options: sam2_kernels::tensors::LinearOptions,
    ) -> Tensor<2> {
        sam2_kernels::tensors::linear(x, &self.weight, &self.bias, options)
    }

    /// `[input, output]` and `[output]`.
    #[cfg(feature = "webgpu")]
    pub(crate) fn parameters(&self) -> (&Tensor<2>, &Tensor<1>) {
        (&self.weight, &self.bias)
    }
}
