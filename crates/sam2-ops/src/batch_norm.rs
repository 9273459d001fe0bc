//! Batch normalisation, which a trained network computes together with the convolution before it.

use burn::tensor::Tensor;

use crate::{ConvolutionOptions, ConvolutionParameters, LinearParameters, Parameter, Weights, WeightsError};

/// `nn.BatchNorm2d` with the statistics of the training: `x · factor + shift` of each channel, where `factor` is `weight /
/// √(running_var + eps)`, and `shift` is `bias - running_mean · factor`.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    /// `[c]`.
    factor: Parameter<1>,
    /// `[c]`.
    shift: Parameter<1>,
}

impl BatchNorm {
    /// Takes `weight`, `bias`, `running_mean` and `running_var`, each `[c]`. `num_batches_tracked` is not taken, since only
    /// training reads it.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, c: usize, eps: f64) -> Result<Self, WeightsError> {
        let weight = weights.parameter("weight", [c])?;
        let bias = weights.parameter("bias", [c])?;
        let mean = weights.parameter("running_mean", [c])?;
        let variance: Parameter<1> = weights.parameter("running_var", [c])?;
        let factor = weight.zip(variance, |weight, variance| weight / (variance + eps).sqrt());
        let offset = mean.zip(factor.clone(), |mean, factor| mean * factor);
        Ok(Self {
            shift: bias.zip(offset, |bias, offset| bias - offset),
            factor,
        })
    }

    /// The convolution of `weight` `[c, input, kernel, kernel]` without a bias, followed by this normalisation.
    pub fn after(self, weight: Parameter<4>, options: ConvolutionOptions) -> ConvolutionParameters {
        let scaled = |weight: Tensor<4>, factor: Tensor<1>| {
            let c = factor.dims()[0];
            weight * factor.reshape([c, 1, 1, 1])
        };
        ConvolutionParameters {
            weight: weight.zip(self.factor, scaled),
            bias: self.shift,
            options,
        }
    }
}

impl ConvolutionParameters {
    /// A 1x1 convolution as the linear layer that it is. It has no stride and no activation.
    pub fn into_linear(self) -> LinearParameters {
        let matrix = |weight: Tensor<4>| {
            let [output, input, _, _] = weight.dims();
            weight.reshape([output, input])
        };
        LinearParameters {
            weight: self.weight.map(matrix),
            bias: self.bias,
        }
    }
}
