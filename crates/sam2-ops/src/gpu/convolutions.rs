//! Convolutions.

use burn::tensor::Tensor;
use sam2_kernels::{Adapter, Patches, Steps, tensors};

use super::linear::Linear;
use crate::{
    ConvolutionOperation, ConvolutionOptions, ConvolutionParameters, PatchEmbedOperation,
    PatchEmbedParameters, PatchMergeOperation, PatchMergeParameters,
};

#[derive(Debug)]
pub struct PatchEmbed {
    /// `[3 * 7 * 7, c]`.
    weight: Tensor<2>,
    bias: Tensor<1>,
    positions: Tensor<4>,
}

impl PatchEmbed {
    /// Whether the kernel supports pictures of this size.
    pub fn supports(parameters: &PatchEmbedParameters) -> bool {
        let [_, h, w, c] = parameters.positions.value().dims();
        let stride = crate::PatchEmbed::STRIDE;
        tensors::supports_patch_embed([stride * h, stride * w], c)
    }

    pub fn new(parameters: PatchEmbedParameters) -> Self {
        let weight = parameters.weight.into_value();
        let [c, input, h, w] = weight.dims();
        Self {
            weight: tensors::contiguous(weight.reshape([c, input * h * w]).transpose()),
            bias: parameters.bias.into_value(),
            positions: parameters.positions.into_value(),
        }
    }
}

impl PatchEmbedOperation for PatchEmbed {
    fn forward(&self, picture: Tensor<4>) -> Tensor<4> {
        tensors::patch_embed(picture, &self.weight, &self.bias, &self.positions)
    }
}

#[derive(Debug)]
pub struct PatchMerge(Linear);

impl PatchMerge {
    /// Whether the widths are multiples of 4.
    pub fn supports(parameters: &PatchMergeParameters) -> bool {
        let [output, input, _, _] = parameters.weight.value().dims();
        tensors::supports_linear(&[output, input])
    }

    pub fn new(adapter: Adapter, parameters: PatchMergeParameters) -> Self {
        let weight = parameters.weight.into_value();
        let [output, input, _, _] = weight.dims();
        // The kernel reads the values of a patch in the order row, column, channel.
        let weight = weight.permute([2, 3, 1, 0]).reshape([4 * input, output]);
        Self(Linear::from_matrix(adapter, weight, parameters.bias.into_value()))
    }
}

impl PatchMergeOperation for PatchMerge {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, h, w, _] = x.dims();
        let options = tensors::LinearOptions {
            patches: Patches::Merge { width: w / 2 },
            ..tensors::LinearOptions::default()
        };
        let x = self.0.launch(x, options);
        let output = x.dims()[1];
        x.reshape([b, h / 2, w / 2, output])
    }
}

/// A convolution's parameters as its kernel reads them.
#[derive(Debug)]
struct Taps<const D: usize> {
    weight: Tensor<D>,
    bias: Tensor<1>,
    steps: Steps,
}

impl<const D: usize> Taps<D> {
    /// `weight` is given in the order row, column, input, output.
    fn new(parameters: ConvolutionParameters, shape: impl FnOnce([usize; 4]) -> [usize; D]) -> Self {
        let ConvolutionOptions {
            stride,
            padding,
            activation,
        } = parameters.options;
        let weight = parameters.weight.into_value().permute([2, 3, 1, 0]);
        let shape = shape(weight.dims());
        Self {
            weight: tensors::contiguous(weight.reshape(shape)),
            bias: parameters.bias.into_value(),
            steps: Steps {
                stride,
                padding,
                activation: super::activation(activation),
            },
        }
    }
}

/// A dense convolution; `weight` is `[kernel, kernel, input, output]`.
#[derive(Debug)]
pub struct Convolution(Taps<4>);

impl Convolution {
    pub fn new(parameters: ConvolutionParameters) -> Self {
        Self(Taps::new(parameters, |shape| shape))
    }
}

impl ConvolutionOperation for Convolution {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        tensors::convolution(x, &self.0.weight, &self.0.bias, self.0.steps)
    }
}

/// A depthwise convolution; `weight` is `[kernel, kernel, c]`.
#[derive(Debug)]
pub struct DepthwiseConv(Taps<3>);

impl DepthwiseConv {
    pub fn new(parameters: ConvolutionParameters) -> Self {
        Self(Taps::new(parameters, |[h, w, _, c]| [h, w, c]))
    }
}

impl ConvolutionOperation for DepthwiseConv {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        tensors::depthwise(x, &self.0.weight, &self.0.bias, self.0.steps)
    }
}
