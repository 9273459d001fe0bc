//! Convolutions.

use burn::tensor::Tensor;
use sam2_kernels::{Adapter, Patches, tensors};

use super::linear::Linear;
use crate::{
    DepthwiseConvOperation, DepthwiseConvParameters, PatchEmbedOperation, PatchEmbedParameters,
    PatchMergeOperation, PatchMergeParameters,
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

#[derive(Debug)]
pub struct DepthwiseConv {
    /// `[kernel, kernel, c]`.
    weight: Tensor<3>,
    bias: Tensor<1>,
}

impl DepthwiseConv {
    pub fn new(parameters: DepthwiseConvParameters) -> Self {
        let weight = parameters.weight.into_value();
        let [channels, _, kernel, _] = weight.dims();
        let weight = weight.permute([2, 3, 1, 0]).reshape([kernel, kernel, channels]);
        Self {
            weight: tensors::contiguous(weight),
            bias: parameters.bias.into_value(),
        }
    }
}

impl DepthwiseConvOperation for DepthwiseConv {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        tensors::depthwise(x, &self.weight, &self.bias)
    }
}
