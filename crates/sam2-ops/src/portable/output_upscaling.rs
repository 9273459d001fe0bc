//! The mask decoder's upscaling and its masks.

use burn::tensor::{Tensor, module};

use super::activate;
use crate::{Activation, OutputUpscalingOperation, OutputUpscalingParameters};

/// Converts a transposed convolution's weight `[input, output, 2, 2]` and bias `[output]` to those of a linear layer,
/// `[input, 4 output]` and `[4 output]`. Its outputs are the upper left, upper right, lower left and lower right pixel.
pub(crate) fn expand_weight(weight: Tensor<4>, bias: Tensor<1>) -> (Tensor<2>, Tensor<1>) {
    let [input, output, _, _] = weight.dims();
    let weight = weight.permute([0, 2, 3, 1]).reshape([input, 4 * output]);
    (weight, bias.repeat(&[4]))
}

/// Arranges the four pixels of each pixel, `[b h w, 4c]`, as a picture `[b, 2h, 2w, c]`.
pub(crate) fn gather_pixels(x: Tensor<2>, [b, h, w]: [usize; 3]) -> Tensor<4> {
    let c = x.dims()[1] / 4;
    let patches: Tensor<6> = x.reshape([b, h, w, 2, 2, c]).swap_dims(2, 3);
    patches.reshape([b, 2 * h, 2 * w, c])
}

#[derive(Debug)]
pub struct OutputUpscaling(pub OutputUpscalingParameters);

impl OutputUpscalingOperation for OutputUpscaling {
    fn masks(
        &self,
        src: Tensor<4>,
        feat_s1: Tensor<4>,
        feat_s0: Tensor<4>,
        hyper_in: Tensor<3>,
    ) -> Tensor<3> {
        let expand = |x: Tensor<4>, (weight, bias): &(crate::Parameter<4>, crate::Parameter<1>)| {
            let [b, h, w, c] = x.dims();
            let (weight, bias) = expand_weight(weight.value(), bias.value());
            let x = module::linear(x.reshape([b * h * w, c]), weight, Some(bias));
            gather_pixels(x, [b, h, w])
        };
        let gelu = Some(Activation::Gelu);
        let x = self
            .0
            .ln1
            .forward_activated(expand(src, &self.0.dc1) + feat_s1, Activation::Gelu);
        let upscaled = activate(expand(x, &self.0.dc2) + feat_s0, gelu);
        let [b, h, w, c] = upscaled.dims();
        hyper_in.matmul(upscaled.reshape([b, h * w, c]).swap_dims(1, 2))
    }
}
