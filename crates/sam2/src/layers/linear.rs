//! A linear layer, which is also what a 1x1 convolution is when channels come last.

use burn::tensor::{FloatDType, Tensor, module};

use super::gpu::contiguous;
#[cfg(feature = "flex")]
use super::packed::{PackedLinear, is_packed};
#[cfg(feature = "webgpu")]
use super::{adapter, is_gpu};
use crate::weights::{Weights, WeightsError};

/// `nn.Linear`, or an `nn.Conv2d` of kernel 1 over channels-last pictures.
#[derive(Debug)]
pub struct Linear(Parameters);

#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // A few hundred layers are made once and stay where they are.
enum Parameters {
    Plain {
        /// `[input, output]`, of f32 or, on a GPU, f16.
        weight: Tensor<2>,
        bias: Tensor<1>,
    },
    #[cfg(feature = "flex")]
    Packed(PackedLinear),
}

impl Linear {
    /// Takes `weight` `[output, input]` and `bias` `[output]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let weight = weights.matrix::<2>("weight", [output, input])?.transpose();
        Ok(Self::from_parts(weight, weights.tensor("bias", [output])?))
    }

    /// The same from a 1x1 convolution's `weight` `[output, input, 1, 1]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_conv_1x1(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let weight = weights.matrix::<4>("weight", [output, input, 1, 1])?;
        let weight = weight.reshape([output, input]).transpose();
        Ok(Self::from_parts(weight, weights.tensor("bias", [output])?))
    }

    /// From a weight already laid out as `[input, output]`.
    pub(crate) fn from_parts(weight: Tensor<2>, bias: Tensor<1>) -> Self {
        #[cfg(feature = "flex")]
        if is_packed(&weight.device()) {
            return Self(Parameters::Packed(PackedLinear::new(weight, bias)));
        }
        Self(Parameters::Plain {
            weight: contiguous(weight),
            bias,
        })
    }

    /// The weight as `[input, output]` and the bias, both of f32.
    fn into_parts(self) -> (Tensor<2>, Tensor<1>) {
        match self.0 {
            Parameters::Plain { weight, bias } => (weight.cast(FloatDType::F32), bias),
            #[cfg(feature = "flex")]
            Parameters::Packed(packed) => packed.unpack(),
        }
    }

    /// This layer and another one after it, as one.
    pub(super) fn then(self, next: Self) -> Self {
        let ((weight, bias), (next_weight, next_bias)) = (self.into_parts(), next.into_parts());
        let bias = bias.unsqueeze_dim::<2>(0).matmul(next_weight.clone());
        Self::from_parts(weight.matmul(next_weight), bias.squeeze_dim(0) + next_bias)
    }

    /// This layer, each of its outputs times its own one of `factors` `[output]`.
    #[cfg(feature = "webgpu")]
    pub(crate) fn scaled(self, factors: Tensor<1>) -> Self {
        let (weight, bias) = self.into_parts();
        Self::from_parts(weight * factors.clone().unsqueeze_dim(0), bias * factors)
    }

    /// `[..., input]` to `[..., output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (weight, bias) = match &self.0 {
            Parameters::Plain { weight, bias } => (weight.clone(), bias.clone()),
            #[cfg(feature = "flex")]
            Parameters::Packed(packed) => return packed.forward(x),
        };
        #[cfg(feature = "webgpu")]
        if is_gpu(&x.device()) && sam2_kernels::tensors::supports_linear(&weight.dims()) {
            return self.forward_on_gpu(x, sam2_kernels::tensors::LinearOptions::default());
        }
        // As one matrix: of a batch of them the CPU backend would multiply each alone, and copy the weight first.
        let mut dims = x.dims();
        let input = dims[D - 1];
        let rows = x.reshape([-1, input as i64]);
        let out: Tensor<2> = module::linear(rows, weight, Some(bias));
        dims[D - 1] = out.dims()[1];
        out.reshape(dims)
    }

    /// Where it is multiplied by our own products.
    #[cfg(feature = "flex")]
    pub(super) fn packed(&self) -> Option<&PackedLinear> {
        match &self.0 {
            Parameters::Packed(packed) => Some(packed),
            Parameters::Plain { .. } => None,
        }
    }

    /// By a kernel of our own, with what it can do besides that leaves rows where they are: `[..., input]` to
    /// `[..., output]`.
    #[cfg(feature = "webgpu")]
    pub(crate) fn forward_on_gpu<const D: usize>(
        &self,
        x: Tensor<D>,
        options: sam2_kernels::tensors::LinearOptions,
    ) -> Tensor<D> {
        let mut dims = x.dims();
        dims[D - 1] = self.parameters().1.dims()[0];
        self.on_gpu(x, options).reshape(dims)
    }

    /// By a kernel of our own, with all that it can do besides.
    #[cfg(feature = "webgpu")]
    pub(crate) fn on_gpu<const D: usize>(
        &self,
        x: Tensor<D>,
        options: sam2_kernels::tensors::LinearOptions,
    ) -> Tensor<2> {
        let (weight, bias) = self.parameters();
        sam2_kernels::tensors::linear(adapter(), x, weight, bias, options)
    }

    /// `[input, output]` and `[output]`, on a GPU.
    #[cfg(feature = "webgpu")]
    pub(crate) fn parameters(&self) -> (&Tensor<2>, &Tensor<1>) {
        match &self.0 {
            Parameters::Plain { weight, bias } => (weight, bias),
            #[cfg(feature = "flex")]
            Parameters::Packed(_) => unreachable!("weights are packed on the CPU only"),
        }
    }
}
