//! The convolutions that bring a mask to the grid of the features. They are computed in strips, so that the finest
//! tensors, with 256 times the grid's pixels, never exist as a whole.

use burn::tensor::{Tensor, module, ops::ConvOptions};

use super::Products;
use super::in_place::add_by_rows;
use super::linear::Linear;
use crate::portable::mask_for_memory;
use crate::{
    Activation, MaskDownSamplerOperation, MaskDownSamplerParameters, MaskForMemory, StridedConvParameters,
};

/// The number of rows of the grid in a strip.
const ROWS: usize = 8;

#[derive(Debug)]
pub struct MaskDownSampler {
    convs: Vec<StridedConvParameters>,
    out: Linear,
}

impl MaskDownSampler {
    pub fn new(products: Products, parameters: MaskDownSamplerParameters) -> Self {
        Self {
            convs: parameters.convs,
            out: Linear::new(products, parameters.out),
        }
    }

    /// Computes `rows` of the `h` rows of the result, from `first` on, from the mask `[1, 16h, 16w]`: `[rows * w, dim]`.
    fn strip(&self, mask: &Tensor<3>, first: usize, rows: usize) -> Tensor<2> {
        let scale = 1 << self.convs.len();
        // Each convolution reads one row above.
        let start = (first * scale).saturating_sub(scale - 1);
        let mask = mask.clone().narrow(1, start, (first + rows) * scale - start);
        let mut x = mask.unsqueeze_dim::<4>(1);
        for conv in &self.convs {
            // The top is only padded in the first strip, which has an even number of rows. The other strips have one more
            // row instead, from above.
            let options = ConvOptions::new([2, 2], [usize::from(first == 0), 1], [1, 1], 1);
            let convolved = module::conv2d(x, conv.weight.value(), Some(conv.bias.value()), options);
            let normed = conv
                .norm
                .forward_activated(convolved.permute([0, 2, 3, 1]), Activation::Gelu);
            x = normed.permute([0, 3, 1, 2]);
        }
        self.out.forward(crate::linear::rows(x.permute([0, 2, 3, 1])))
    }
}

impl MaskDownSamplerOperation for MaskDownSampler {
    fn forward(&self, mask: MaskForMemory, residual: Tensor<2>) -> Tensor<2> {
        let mask = mask_for_memory(&mask);
        let w = mask.dims()[2] >> self.convs.len();
        add_by_rows(residual, ROWS * w, |pixels| {
            self.strip(&mask, pixels.start / w, pixels.len() / w)
        })
    }
}
