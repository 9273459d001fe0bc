//! Convolutions whose kernel is as wide as their stride, so that each output pixel is a linear layer of one patch.

use burn::tensor::Tensor;

use crate::{Parameter, Prepared, Weights, WeightsError};

/// `nn.Conv2d(input, output, kernel_size=2, stride=2)` on channels-last pictures.
#[derive(Debug)]
pub struct PatchMerge {
    operation: Prepared<dyn PatchMergeOperation>,
}

/// The parameters of a [`PatchMerge`].
#[derive(Clone, Debug)]
pub struct PatchMergeParameters {
    /// `[output, input, 2, 2]`.
    pub weight: Parameter<4>,
    /// `[output]`.
    pub bias: Parameter<1>,
}

/// A [`PatchMerge`] as an implementation has prepared it.
pub trait PatchMergeOperation: std::fmt::Debug + Send + Sync {
    /// [`PatchMerge::forward`].
    fn forward(&self, x: Tensor<4>) -> Tensor<4>;
}

impl PatchMerge {
    /// Takes `weight` `[output, input, 2, 2]` and `bias` `[output]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let parameters = PatchMergeParameters {
            weight: weights.matrix("weight", [output, input, 2, 2])?,
            bias: weights.parameter("bias", [output])?,
        };
        Ok(Self {
            operation: weights.prepare(parameters, |operations, parameters| {
                operations.patch_merge(parameters)
            }),
        })
    }

    /// `[b, h, w, input]` to `[b, h/2, w/2, output]`; `h` and `w` are even.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.operation.forward(x)
    }
}
