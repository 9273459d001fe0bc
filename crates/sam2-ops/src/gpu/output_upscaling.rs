//! The mask decoder's upscaling and its masks. The finer levels are added in the kernels of the transposed convolutions.

use burn::tensor::Tensor;
use sam2_kernels::{Adapter, Patches, tensors};

use super::linear::Linear;
use super::{MASKS, activation, layer_norm};
use crate::linear::rows;
use crate::portable::expand_weight;
use crate::{Activation, LayerNorm, OutputUpscalingOperation, OutputUpscalingParameters, Parameter};

#[derive(Debug)]
pub struct OutputUpscaling {
    adapter: Adapter,
    dc1: Linear,
    ln1: LayerNorm,
    dc2: Linear,
}

impl OutputUpscaling {
    pub fn new(adapter: Adapter, parameters: OutputUpscalingParameters) -> Self {
        let expand = |(weight, bias): (Parameter<4>, Parameter<1>)| {
            let (weight, bias) = expand_weight(weight.into_value(), bias.into_value());
            Linear::from_matrix(adapter, weight, bias)
        };
        Self {
            adapter,
            dc1: expand(parameters.dc1),
            ln1: parameters.ln1,
            dc2: expand(parameters.dc2),
        }
    }
}

/// Applies a layer that computes four pixels for each pixel of `x` `[b, h, w, input]`, and adds `finer`
/// `[1, 2h, 2w, output]`: `[b, 2h, 2w, output]`.
fn expand(layer: &Linear, x: Tensor<4>, finer: Tensor<4>, then: Option<Activation>) -> Tensor<4> {
    let ([b, h, w, _], c) = (x.dims(), finer.dims()[3]);
    let options = tensors::LinearOptions {
        patches: Patches::Expand { width: w },
        residual: Some(tensors::Residual::Repeated(rows(finer))),
        activation: activation(then),
        ..tensors::LinearOptions::default()
    };
    layer.launch(x, options).reshape([b, 2 * h, 2 * w, c])
}

impl OutputUpscalingOperation for OutputUpscaling {
    fn masks(
        &self,
        src: Tensor<4>,
        feat_s1: Tensor<4>,
        feat_s0: Tensor<4>,
        hyper_in: Tensor<3>,
    ) -> Tensor<3> {
        let gelu = Some(Activation::Gelu);
        let x = expand(&self.dc1, src, feat_s1, None);
        let x = layer_norm(self.adapter, &self.ln1, x, gelu);
        let upscaled = expand(&self.dc2, x, feat_s0, gelu);
        let [b, h, w, c] = upscaled.dims();
        let pixels = upscaled.reshape([b, h * w, c]);
        match hyper_in.dims()[1] {
            MASKS => tensors::mask_product(hyper_in, pixels),
            _ => hyper_in.matmul(pixels.swap_dims(1, 2)),
        }
    }
}
