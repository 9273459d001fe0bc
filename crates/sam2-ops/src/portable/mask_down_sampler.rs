//! The convolutions that bring a mask to the grid of the features.

use burn::tensor::{Device, Tensor, TensorData, activation, module, ops::ConvOptions};
use sam2_resample::{Filter, Kernel};

use super::linear::Linear;
use crate::{
    Activation, LinearOperation, LinearOptions, MaskDownSamplerOperation, MaskDownSamplerParameters,
    MaskForMemory, Residual,
};

/// The matrix `[output, input]` that resizes an axis bilinearly (`F.interpolate(mode="bilinear",
/// align_corners=False)`). For an axis that grows, this is the triangle filter.
fn bilinear_matrix(input: usize, output: usize, device: &Device) -> Tensor<2> {
    let filter = Filter::new(Kernel::Triangle, input, output);
    let mut matrix = vec![0f32; output * input];
    for (i, row) in matrix.chunks_exact_mut(input).enumerate() {
        for k in filter.window(i) {
            row[k] = filter.weight(i, k) as f32;
        }
    }
    Tensor::from_data(TensorData::new(matrix, [output, input]), device)
}

/// The mask that the convolutions read: `[1, image_size, image_size]`.
pub(crate) fn mask_for_memory(mask: &MaskForMemory) -> Tensor<3> {
    let logits = mask.low_res_masks.clone();
    let matrix = bilinear_matrix(logits.dims()[1], mask.image_size, &logits.device());
    let rows = matrix.clone().unsqueeze_dim::<3>(0).matmul(logits);
    let stretched = rows.matmul(matrix.transpose().unsqueeze_dim(0));
    let values = match mask.binarize {
        true => stretched.greater_elem(0.0).float(),
        false => activation::sigmoid(stretched),
    };
    values * mask.scale + mask.bias
}

#[derive(Debug)]
pub struct MaskDownSampler {
    parameters: MaskDownSamplerParameters,
    out: Linear,
}

impl MaskDownSampler {
    pub fn new(parameters: MaskDownSamplerParameters) -> Self {
        Self {
            out: Linear::new(parameters.out.clone()),
            parameters,
        }
    }
}

impl MaskDownSamplerOperation for MaskDownSampler {
    fn forward(&self, mask: MaskForMemory, residual: Tensor<2>) -> Tensor<2> {
        let mut x = mask_for_memory(&mask).unsqueeze_dim::<4>(1);
        for conv in &self.parameters.convs {
            let options = ConvOptions::new([2, 2], [1, 1], [1, 1], 1);
            x = module::conv2d(x, conv.weight.value(), Some(conv.bias.value()), options);
            let normed = conv
                .norm
                .forward_activated(x.permute([0, 2, 3, 1]), Activation::Gelu);
            x = normed.permute([0, 3, 1, 2]);
        }
        let [_, c, h, w] = x.dims();
        let pixels = x.permute([0, 2, 3, 1]).reshape([h * w, c]);
        let onto = LinearOptions {
            residual: Some(Residual::Rows(residual)),
            ..LinearOptions::default()
        };
        self.out.forward(pixels, onto)
    }
}
