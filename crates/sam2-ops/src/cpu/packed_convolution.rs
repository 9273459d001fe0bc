//! Convolutions as matrix products.

use burn::tensor::{Tensor, TensorData};
use sam2_matmul::Rows;

use super::packed::{PackedLinear, View};

/// A convolution with a square kernel from planes to channels-last pictures, as a matrix product with one row of
/// patches at a time.
#[derive(Debug)]
pub struct PackedConvolution {
    kernel: usize,
    stride: usize,
    padding: usize,
    layer: PackedLinear,
}

impl PackedConvolution {
    /// `weight` `[output, input, kernel, kernel]`, `bias` `[output]`.
    pub fn new(weight: Tensor<4>, bias: Tensor<1>, stride: usize, padding: usize) -> Self {
        let [output, input, kernel, _] = weight.dims();
        let weight = weight.reshape([output, input * kernel * kernel]).transpose();
        Self {
            kernel,
            stride,
            padding,
            layer: PackedLinear::new(weight, bias),
        }
    }

    /// `[b, input, h, w]` to `[b, h / stride, w / stride, output]`; sides are multiples of the stride.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, planes, h, w] = x.dims();
        let (rows, columns) = (h / self.stride, w / self.stride);
        let x = View::contiguous(x);
        let [length, output] = self.layer.weight.shape();
        let mut patches = vec![0.0; columns * length];
        let mut out = vec![0.0; b * rows * columns * output];
        for (i, out) in out.chunks_exact_mut((columns * output).max(1)).enumerate() {
            let picture = &x.values()[i / rows * planes * h * w..];
            self.gather(&picture[..planes * h * w], [h, w], i % rows, &mut patches);
            let patches = Rows::new(&patches, [columns, length], length);
            self.layer.rows(patches, None, out);
        }
        Tensor::from_data(
            TensorData::new(out, [b, rows, columns, output]),
            &self.layer.device,
        )
    }

    /// The patches of the output's row `row`. The values of a patch are in the order of planes, then rows.
    fn gather(&self, picture: &[f32], [h, w]: [usize; 2], row: usize, patches: &mut [f32]) {
        let kernel = self.kernel;
        let length = picture.len() / (h * w) * kernel * kernel;
        for (plane, values) in picture.chunks_exact(h * w).enumerate() {
            for ky in 0..kernel {
                let at = (plane * kernel + ky) * kernel;
                let y = (row * self.stride + ky)
                    .checked_sub(self.padding)
                    .filter(|&y| y < h);
                let line = y.map_or(&[][..], |y| &values[y * w..][..w]);
                for (column, patch) in patches.chunks_exact_mut(length).enumerate() {
                    let patch = &mut patch[at..at + kernel];
                    let first = column * self.stride;
                    let inside = first
                        .checked_sub(self.padding)
                        .and_then(|x| line.get(x..x + kernel));
                    if let Some(inside) = inside {
                        patch.copy_from_slice(inside);
                        continue;
                    }
                    for (kx, value) in patch.iter_mut().enumerate() {
                        let x = (first + kx).checked_sub(self.padding);
                        *value = x.and_then(|x| line.get(x)).copied().unwrap_or(0.0);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{module, ops::ConvOptions};

    use super::super::testing::{apart, random};
    use super::*;

    #[test]
    fn a_packed_convolution_is_the_convolution() {
        for (b, input, output, kernel, stride, padding, h, w) in [
            (1, 3, 32, 7, 4, 3, 32, 24),
            (2, 2, 5, 3, 2, 1, 6, 4),
            (1, 1, 4, 4, 4, 0, 8, 8),
        ] {
            let (weight, bias) = (random([output, input, kernel, kernel]), random([output]));
            let x: Tensor<4> = random([b, input, h, w]);
            let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
            let wanted = module::conv2d(x.clone(), weight.clone(), Some(bias.clone()), options);
            let convolution = PackedConvolution::new(weight, bias, stride, padding);
            assert!(apart(convolution.forward(x), wanted.permute([0, 2, 3, 1])) < 1e-4);
        }
    }
}
