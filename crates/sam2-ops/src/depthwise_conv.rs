//! Depthwise convolutions, which convolve each channel by itself.

use burn::tensor::Tensor;

use crate::{Parameter, Prepared, Weights, WeightsError};

/// `nn.Conv2d(c, c, kernel, padding=kernel // 2, groups=c)` on channels-last pictures. The output has the size of the
/// input.
#[derive(Debug)]
pub struct DepthwiseConv {
    operation: Prepared<dyn DepthwiseConvOperation>,
}

/// The parameters of a [`DepthwiseConv`].
#[derive(Clone, Debug)]
pub struct DepthwiseConvParameters {
    /// `[c, 1, kernel, kernel]`; `kernel` is odd.
    pub weight: Parameter<4>,
    /// `[c]`.
    pub bias: Parameter<1>,
}

/// A [`DepthwiseConv`] as an implementation has prepared it.
pub trait DepthwiseConvOperation: std::fmt::Debug + Send + Sync {
    /// [`DepthwiseConv::forward`].
    fn forward(&self, x: Tensor<4>) -> Tensor<4>;
}

impl DepthwiseConv {
    /// Takes `weight` `[c, 1, kernel, kernel]` and `bias` `[c]`; `kernel` is odd.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, channels: usize, kernel: usize) -> Result<Self, WeightsError> {
        let parameters = DepthwiseConvParameters {
            weight: weights.parameter("weight", [channels, 1, kernel, kernel])?,
            bias: weights.parameter("bias", [channels])?,
        };
        Ok(Self {
            operation: weights.prepare(parameters, |operations, parameters| {
                operations.depthwise_conv(parameters)
            }),
        })
    }

    /// `[b, h, w, c]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.operation.forward(x)
    }
}
