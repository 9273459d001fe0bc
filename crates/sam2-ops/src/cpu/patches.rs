//! Convolutions as products with patches.

use burn::tensor::Tensor;

use super::Products;
use super::linear::Linear;
use super::packed_convolution::PackedConvolution;
use crate::{PatchEmbedOperation, PatchEmbedParameters, PatchMergeOperation, PatchMergeParameters};

#[derive(Debug)]
pub struct PatchEmbed {
    convolution: Convolution,
    /// `[1, h/4, w/4, c]`.
    positions: Tensor<4>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // There is one in a network.
enum Convolution {
    #[cfg(not(target_arch = "wasm32"))]
    Burn {
        weight: Tensor<4>,
        bias: Tensor<1>,
    },
    Packed(PackedConvolution),
}

impl PatchEmbed {
    pub fn new(products: Products, parameters: PatchEmbedParameters) -> Self {
        use crate::PatchEmbed as Sides;
        let (weight, bias) = (parameters.weight.into_value(), parameters.bias.into_value());
        Self {
            convolution: match products {
                #[cfg(not(target_arch = "wasm32"))]
                Products::Burn => Convolution::Burn { weight, bias },
                Products::Packed => Convolution::Packed(PackedConvolution::new(
                    weight,
                    bias,
                    Sides::STRIDE,
                    Sides::PADDING,
                )),
            },
            positions: parameters.positions.into_value(),
        }
    }
}

impl PatchEmbedOperation for PatchEmbed {
    fn forward(&self, picture: Tensor<4>) -> Tensor<4> {
        let x = match &self.convolution {
            #[cfg(not(target_arch = "wasm32"))]
            Convolution::Burn { weight, bias } => {
                use crate::PatchEmbed as Sides;
                use burn::tensor::{module, ops::ConvOptions};
                let options = ConvOptions::new([Sides::STRIDE; 2], [Sides::PADDING; 2], [1, 1], 1);
                module::conv2d(picture, weight.clone(), Some(bias.clone()), options).permute([0, 2, 3, 1])
            }
            Convolution::Packed(convolution) => convolution.forward(picture),
        };
        x + self.positions.clone()
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
