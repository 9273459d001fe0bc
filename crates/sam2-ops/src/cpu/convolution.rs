//! Dense convolutions, as products with the patches of one row of the output at a time.

use burn::tensor::{Tensor, TensorData};
#[cfg(feature = "rayon")]
use rayon::prelude::*;
use sam2_matmul::Rows;

use super::packed::{PackedLinear, View};
use crate::{ConvolutionOperation, ConvolutionOptions, ConvolutionParameters};

#[derive(Debug)]
pub struct Convolution {
    /// `[kernel * kernel * input, output]`.
    layer: PackedLinear,
    kernel: usize,
    options: ConvolutionOptions,
}

impl Convolution {
    pub fn new(parameters: ConvolutionParameters) -> Self {
        let weight = parameters.weight.into_value();
        let [output, input, kernel, _] = weight.dims();
        let weight = weight
            .permute([2, 3, 1, 0])
            .reshape([kernel * kernel * input, output]);
        Self {
            layer: PackedLinear::new(weight, parameters.bias.into_value()),
            kernel,
            options: parameters.options,
        }
    }

    /// The patches of the output's row `row`, one after another. `picture` is `[h, w, c]`.
    fn gather(&self, picture: &[f32], [h, w, c]: [usize; 3], row: usize, patches: &mut [f32]) {
        let ConvolutionOptions { stride, padding, .. } = self.options;
        let line = self.kernel * c;
        for (column, patch) in patches.chunks_exact_mut(self.kernel * line).enumerate() {
            for (ky, line) in patch.chunks_exact_mut(line).enumerate() {
                let Some(y) = (row * stride + ky).checked_sub(padding).filter(|&y| y < h) else {
                    line.fill(0.0);
                    continue;
                };
                let from = &picture[y * w * c..][..w * c];
                let first = column * stride;
                // The columns of the kernel that lie in the picture.
                let before = padding.saturating_sub(first).min(self.kernel);
                let inside = (w + padding - first).min(self.kernel).max(before);
                line[..before * c].fill(0.0);
                line[inside * c..].fill(0.0);
                if before < inside {
                    let start = (first + before - padding) * c;
                    line[before * c..inside * c].copy_from_slice(&from[start..][..(inside - before) * c]);
                }
            }
        }
    }
}

impl ConvolutionOperation for Convolution {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, h, w, c] = x.dims();
        let (rows, columns) = (h / self.options.stride, w / self.options.stride);
        let x = View::contiguous(x);
        let x = &x.values()[..b * h * w * c];
        let [length, output] = self.layer.weight.shape();
        let mut out = vec![0.0; b * rows * columns * output];
        let work = |patches: &mut Vec<f32>, (i, out): (usize, &mut [f32])| {
            self.gather(&x[i / rows * h * w * c..], [h, w, c], i % rows, patches);
            let patches = Rows::new(patches, [columns, length], length);
            self.layer.rows(patches, self.options.activation, out);
        };
        let patches = || vec![0.0; columns * length];
        #[cfg(feature = "rayon")]
        out.par_chunks_exact_mut((columns * output).max(1))
            .enumerate()
            .for_each_init(patches, work);
        #[cfg(not(feature = "rayon"))]
        {
            let mut patches = patches();
            for row in out.chunks_exact_mut((columns * output).max(1)).enumerate() {
                work(&mut patches, row);
            }
        }
        Tensor::from_data(
            TensorData::new(out, [b, rows, columns, output]),
            &self.layer.device,
        )
    }
}
