//! Convolutions as products with patches.

use burn::tensor::Tensor;

use super::Products;
use super::linear::Linear;
use super::packed_convolution::PackedConvolution;
use crate::{PatchEmbedOperation, PatchEmbedParameters, PatchMergeOperation, PatchMergeParameters};

/// A patch embedding by packed products. (With burn's products it is the portable one.)
#[derive(Debug)]
pub struct PatchEmbed {
    convolution: PackedConvolution,
    /// `[1, h/4, w/4, c]`.
    positions: Tensor<4>,
}

impl PatchEmbed {
    pub fn new(parameters: PatchEmbedParameters) -> Self {
        use crate::PatchEmbed as Sides;
        let (weight, bias) = (parameters.weight.into_value(), parameters.bias.into_value());
        Self {
            convolution: PackedConvolution::new(weight, bias, Sides::STRIDE, Sides::PADDING),
            positions: parameters.positions.into_value(),
        }
    }
}

impl PatchEmbedOperation for PatchEmbed {
    fn forward(&self, picture: Tensor<4>) -> Tensor<4> {
        self.convolution.forward(picture) + self.positions.clone()
    }
}

/// A linear layer of each patch's values, pixel by pixel.
#[derive(Debug)]
pub struct PatchMerge(Linear);

impl PatchMerge {
    pub fn new(products: Products, parameters: PatchMergeParameters) -> Self {
        let weight = parameters.weight.into_value();
        let [output, input, _, _] = weight.dims();
        let weight = weight.permute([2, 3, 1, 0]).reshape([4 * input, output]);
        Self(Linear::from_parts(products, weight, parameters.bias.into_value()))
    }
}

impl PatchMergeOperation for PatchMerge {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, h, w, c] = x.dims();
        let patches: Tensor<6> = x.reshape([b, h / 2, 2, w / 2, 2, c]).swap_dims(2, 3);
        self.0.forward(patches.reshape([b, h / 2, w / 2, 4 * c]))
    }
}
