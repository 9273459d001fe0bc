//! Convolutions of channels-last pictures.

use burn::tensor::Tensor;

use crate::{Activation, Parameter, Prepared, Weights, WeightsError};

/// `nn.Conv2d(input, output, kernel, stride)`, then an activation, on channels-last pictures.
#[derive(Debug)]
pub struct Convolution {
    operation: Prepared<dyn ConvolutionOperation>,
}

/// `nn.Conv2d(c, c, kernel, stride, groups=c)`, then an activation, on channels-last pictures: each channel is convolved by
/// itself.
#[derive(Debug)]
pub struct DepthwiseConv {
    operation: Prepared<dyn ConvolutionOperation>,
}

/// The parameters of a [`Convolution`] or a [`DepthwiseConv`].
#[derive(Clone, Debug)]
pub struct ConvolutionParameters {
    /// `[output, input, kernel, kernel]`; `[c, 1, kernel, kernel]` of a depthwise convolution. `kernel` is odd.
    pub weight: Parameter<4>,
    /// `[output]`.
    pub bias: Parameter<1>,
    /// The steps, the padding and the activation.
    pub options: ConvolutionOptions,
}

/// How a convolution passes over a picture, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionOptions {
    /// The distance between neighbouring pixels of the output, in pixels of the input. It divides the input's sides.
    pub stride: usize,
    /// The number of rows of zeros above the picture, and of columns to the left of it. There are as many below and to the
    /// right as the output needs, which is the input's size divided by the stride.
    pub padding: usize,
    /// Applied to the output.
    pub activation: Option<Activation>,
}

/// A [`Convolution`] or a [`DepthwiseConv`] as an implementation has prepared it.
pub trait ConvolutionOperation: std::fmt::Debug + Send + Sync {
    /// [`Convolution::forward`].
    fn forward(&self, x: Tensor<4>) -> Tensor<4>;
}

impl ConvolutionOptions {
    /// PyTorch's usual padding, `kernel // 2` on each side, without an activation.
    pub fn centred(kernel: usize, stride: usize) -> Self {
        Self {
            stride,
            padding: kernel / 2,
            activation: None,
        }
    }

    /// TensorFlow's padding `SAME` of pictures whose sides are multiples of the stride: an odd row or column of zeros lies
    /// below or to the right.
    pub fn same(kernel: usize, stride: usize) -> Self {
        Self {
            stride,
            padding: kernel.saturating_sub(stride) / 2,
            activation: None,
        }
    }

    /// The same with an activation.
    pub fn with(self, activation: Activation) -> Self {
        Self {
            activation: Some(activation),
            ..self
        }
    }
}

impl ConvolutionParameters {
    /// Takes `weight` `[output, input, kernel, kernel]` and `bias` `[output]`. `input` is 1 for a depthwise convolution.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        weights: &mut Weights,
        [output, input, kernel]: [usize; 3],
        options: ConvolutionOptions,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: weights.parameter("weight", [output, input, kernel, kernel])?,
            bias: weights.parameter("bias", [output])?,
            options,
        })
    }
}

impl Convolution {
    /// Prepares a convolution whose parameters have been taken already.
    pub fn new(weights: &Weights, parameters: ConvolutionParameters) -> Self {
        Self {
            operation: weights.prepare(parameters, |operations, parameters| {
                operations.convolution(parameters)
            }),
        }
    }

    /// `[b, h, w, input]` to `[b, h / stride, w / stride, output]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.operation.forward(x)
    }
}

impl DepthwiseConv {
    /// Takes `weight` `[c, 1, kernel, kernel]` and `bias` `[c]`; `kernel` is odd. The output has the size of the input.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, channels: usize, kernel: usize) -> Result<Self, WeightsError> {
        let options = ConvolutionOptions::centred(kernel, 1);
        let parameters = ConvolutionParameters::load(&mut weights, [channels, 1, kernel], options)?;
        Ok(Self::new(&weights, parameters))
    }

    /// Prepares a convolution whose parameters have been taken already.
    pub fn new(weights: &Weights, parameters: ConvolutionParameters) -> Self {
        Self {
            operation: weights.prepare(parameters, |operations, parameters| {
                operations.depthwise_conv(parameters)
            }),
        }
    }

    /// `[b, h, w, c]` to `[b, h / stride, w / stride, c]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.operation.forward(x)
    }
}
