//! Convolutions.

use burn::tensor::{Tensor, module, ops::ConvOptions};

use crate::{
    DepthwiseConvOperation, DepthwiseConvParameters, PatchEmbedOperation, PatchEmbedParameters,
    PatchMergeOperation, PatchMergeParameters,
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

#[derive(Debug)]
pub struct DepthwiseConv(pub DepthwiseConvParameters);

impl DepthwiseConvOperation for DepthwiseConv {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (weight, bias) = (self.0.weight.value(), Some(self.0.bias.value()));
        let [channels, _, kernel, _] = weight.dims();
        let options = ConvOptions::new([1, 1], [kernel / 2; 2], [1, 1], channels);
        module::conv2d(x.permute([0, 3, 1, 2]), weight, bias, options).permute([0, 2, 3, 1])
    }
}
