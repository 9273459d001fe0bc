//! The mask decoder's upscaling and its masks.

use burn::tensor::Tensor;

use super::Products;
use super::in_place::activate;
use super::linear::Linear;
use super::masks::masks_by_rows;
use crate::portable::{expand_weight, gather_pixels};
use crate::{Activation, LayerNorm, OutputUpscalingOperation, OutputUpscalingParameters};

#[derive(Debug)]
pub struct OutputUpscaling {
    dc1: Linear,
    ln1: LayerNorm,
    dc2: Linear,
}

impl OutputUpscaling {
    pub fn new(products: Products, parameters: OutputUpscalingParameters) -> Self {
        let [dc1, dc2] = [parameters.dc1, parameters.dc2].map(|(weight, bias)| {
            let (weight, bias) = expand_weight(weight.into_value(), bias.into_value());
            Linear::from_parts(products, weight, bias)
        });
        Self {
            dc1,
            ln1: parameters.ln1,
            dc2,
        }
    }
}

/// Applies a layer that computes four pixels for each pixel of `[b, h, w, c]`.
fn expand(layer: &Linear, x: Tensor<4>) -> Tensor<4> {
    let [b, h, w, _] = x.dims();
    gather_pixels(layer.forward(crate::linear::rows(x)), [b, h, w])
}

impl OutputUpscalingOperation for OutputUpscaling {
    fn masks(
        &self,
        src: Tensor<4>,
        feat_s1: Tensor<4>,
        feat_s0: Tensor<4>,
        hyper_in: Tensor<3>,
    ) -> Tensor<3> {
        if let (Some(dc1), Some(dc2)) = (self.dc1.packed(), self.dc2.packed()) {
            return masks_by_rows((dc1, &self.ln1, dc2), src, [feat_s1, feat_s0], hyper_in);
        }
        let x = expand(&self.dc1, src) + feat_s1;
        let x = self.ln1.forward_activated(x, Activation::Gelu);
        let upscaled = activate(expand(&self.dc2, x) + feat_s0, Some(Activation::Gelu));
        let [b, h, w, c] = upscaled.dims();
        hyper_in.matmul(upscaled.reshape([b, h * w, c]).swap_dims(1, 2))
    }
}
