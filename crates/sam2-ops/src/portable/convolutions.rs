//! Convolutions.

use burn::tensor::{Tensor, module, ops::ConvOptions};

use super::activate;
use crate::{
    ConvolutionOperation, ConvolutionOptions, ConvolutionParameters, PatchEmbedOperation,
    PatchEmbedParameters, PatchMergeOperation, PatchMergeParameters,
};

#[derive(Debug)]
pub struct PatchEmbed(pub PatchEmbedParameters);

impl PatchEmbedOperation for PatchEmbed {
    fn forward(&self, picture: Tensor<4>) -> Tensor<4> {
        use crate::PatchEmbed as Sides;
        let options = ConvOptions::new([Sides::STRIDE; 2], [Sides::PADDING; 2], [1, 1], 1);
        let x = module::conv2d(picture, self.0.weight.value(), Some(self.0.bias.value()), options);
        x.permute([0, 2, 3, 1]) + self.0.positions.value()
    }
}

#[derive(Debug)]
pub struct PatchMerge(pub PatchMergeParameters);

impl PatchMergeOperation for PatchMerge {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([2, 2], [0, 0], [1, 1], 1);
        let (weight, bias) = (self.0.weight.value(), Some(self.0.bias.value()));
        module::conv2d(x.permute([0, 3, 1, 2]), weight, bias, options).permute([0, 2, 3, 1])
    }
}

/// A dense or a depthwise convolution.
#[derive(Debug)]
pub struct Convolution(pub ConvolutionParameters);

impl ConvolutionOperation for Convolution {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (weight, bias) = (self.0.weight.value(), Some(self.0.bias.value()));
        let ConvolutionOptions {
            stride,
            padding,
            activation,
        } = self.0.options;
        let ([_, h, w, c], [_, input, kernel, _]) = (x.dims(), weight.dims());
        // burn pads both sides alike. Where the far side needs more, one row and column more are computed, and left out.
        let more = usize::from(padding + stride < kernel - padding);
        let options = ConvOptions::new([stride; 2], [padding + more * stride; 2], [1, 1], c / input);
        let x = module::conv2d(x.permute([0, 3, 1, 2]), weight, bias, options);
        let x = x.narrow(2, more, h / stride).narrow(3, more, w / stride);
        activate(x.permute([0, 2, 3, 1]), activation)
    }
}
