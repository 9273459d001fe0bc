//! The convolutions that bring a mask to the grid of the features.

use burn::tensor::Tensor;
use sam2_kernels::{Adapter, MaskScale, Patches, tensors};

use super::layer_norm;
use super::linear::Linear;
use crate::{
    Activation, LayerNorm, MaskDownSamplerOperation, MaskDownSamplerParameters, MaskForMemory,
    StridedConvParameters,
};

#[derive(Debug)]
pub struct MaskDownSampler {
    adapter: Adapter,
    first: FirstConv,
    /// The other strided convolutions as linear layers of patches, and the normalisations after them.
    convs: Vec<(Linear, LayerNorm)>,
    out: Linear,
}

/// The first convolution, which also resizes and scales the mask's logits, and its normalisation.
#[derive(Debug)]
struct FirstConv {
    /// `[9, 4]`.
    weight: Tensor<2>,
    /// The bias, and the normalisation's weight and bias: `[3, 4]`.
    affine: Tensor<2>,
    eps: f64,
}

/// `[output, input, 3, 3]` to `[9 * input, output]`, with the rows in the order in which the kernels read a patch: row,
/// column, channel.
fn matrix(weight: Tensor<4>) -> Tensor<2> {
    let [output, input, _, _] = weight.dims();
    weight.permute([2, 3, 1, 0]).reshape([9 * input, output])
}

impl FirstConv {
    fn new(parameters: StridedConvParameters) -> Self {
        let (bias, norm) = (parameters.bias.into_value(), parameters.norm);
        let affine = [bias, norm.weight.into_value(), norm.bias.into_value()].map(|x| x.unsqueeze_dim(0));
        Self {
            weight: tensors::contiguous(matrix(parameters.weight.into_value())),
            affine: Tensor::cat(affine.to_vec(), 0),
            eps: norm.eps,
        }
    }
}

impl MaskDownSampler {
    pub fn new(adapter: Adapter, parameters: MaskDownSamplerParameters) -> Self {
        let mut convs = parameters.convs.into_iter();
        let first = FirstConv::new(convs.next().expect("four convolutions"));
        let linear = |conv: StridedConvParameters| {
            let (weight, bias) = (conv.weight.into_value(), conv.bias.into_value());
            (Linear::from_matrix(adapter, matrix(weight), bias), conv.norm)
        };
        Self {
            adapter,
            first,
            convs: convs.map(linear).collect(),
            out: Linear::new(adapter, parameters.out),
        }
    }
}

impl MaskDownSamplerOperation for MaskDownSampler {
    fn forward(&self, mask: MaskForMemory, residual: Tensor<2>) -> Tensor<2> {
        let scale = MaskScale {
            binarize: mask.binarize,
            scale: mask.scale,
            bias: mask.bias,
        };
        let FirstConv { weight, affine, eps } = &self.first;
        let mut x =
            tensors::mask_convolution(mask.low_res_masks, mask.image_size, scale, weight, affine, *eps);
        for (conv, norm) in &self.convs {
            let [_, height, width, _] = x.dims().map(|side| side / 2);
            let around = tensors::LinearOptions {
                patches: Patches::Around { height, width },
                ..tensors::LinearOptions::default()
            };
            let pixels = conv.launch(x, around);
            let c = pixels.dims()[1];
            let pixels = layer_norm(self.adapter, norm, pixels, Some(Activation::Gelu));
            x = pixels.reshape([1, height, width, c]);
        }
        self.out.forward_onto(x, Some(residual))
    }
}
