//! A convolution of each channel alone.

use burn::tensor::Tensor;

use crate::{Parameter, Prepared, Weights, WeightsError};

/// `nn.Conv2d` with as many groups as channels, of stride 1, over channels-last pictures; the output is as large as the
/// input.
#[derive(Debug)]
pub struct DepthwiseConv {
    operation: Prepared<dyn DepthwiseConvOperation>,
}

/// What it is made of.
#[derive(Clone, Debug)]
pub struct DepthwiseConvParameters {
    /// `[c, 1, kernel, kernel]`, `kernel` being odd.
    pub weight: Parameter<4>,
    /// `[c]`.
    pub bias: Parameter<1>,
}

/// It as an implementation prepared it.
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

    /// `[b, h, w, c]` to the same.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.operation.forward(x)
    }
}
