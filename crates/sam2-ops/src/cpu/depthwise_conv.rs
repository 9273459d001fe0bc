//! Depthwise convolutions. burn's CPU backend would need channels first, and so a copy of the picture before and after.

use burn::tensor::{Tensor, TensorData};
#[cfg(feature = "rayon")]
use rayon::prelude::*;

use super::math::activate_values;
use super::packed::View;
use crate::{ConvolutionOperation, ConvolutionOptions, ConvolutionParameters};

#[derive(Debug)]
pub struct DepthwiseConv {
    /// `[kernel, kernel, c]`.
    taps: Vec<f32>,
    /// `[c]`.
    bias: Vec<f32>,
    options: ConvolutionOptions,
}

impl DepthwiseConv {
    pub fn new(parameters: ConvolutionParameters) -> Self {
        let taps = parameters.weight.into_value().permute([2, 3, 1, 0]);
        Self {
            taps: values(taps),
            bias: values(parameters.bias.into_value()),
            options: parameters.options,
        }
    }
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec().expect("networks compute in f32")
}

impl ConvolutionOperation for DepthwiseConv {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (device, [b, h, w, c]) = (x.device(), x.dims());
        let stride = self.options.stride;
        let (lines, columns) = (h / stride, w / stride);
        let x = View::contiguous(x);
        let x = &x.values()[..b * h * w * c];
        let mut out = vec![0.0; b * lines * columns * c];
        #[cfg(feature = "rayon")]
        let rows = out.par_chunks_mut((columns * c).max(1));
        #[cfg(not(feature = "rayon"))]
        let rows = out.chunks_mut((columns * c).max(1));
        rows.enumerate().for_each(|(row, out)| {
            let picture = &x[row / lines * h * w * c..][..h * w * c];
            convolve_row(
                picture,
                w,
                out,
                row % lines,
                &self.options,
                &self.taps,
                &self.bias,
            );
            activate_values(out, self.options.activation);
        });
        Tensor::from_data(TensorData::new(out, [b, lines, columns, c]), &device)
    }
}

// The type parameter selects the processor for which the function is compiled.
#[allow(clippy::extra_unused_type_parameters)]
#[macerator::with_simd]
fn convolve_row<S: macerator::Simd>(
    x: &[f32],
    w: usize,
    row: &mut [f32],
    number: usize,
    options: &ConvolutionOptions,
    taps: &[f32],
    bias: &[f32],
) {
    let c = bias.len();
    let (h, stride, padding) = (x.len() / (w * c), options.stride, options.padding);
    let kernel = (taps.len() / c).isqrt();
    row.chunks_exact_mut(c).for_each(|out| out.copy_from_slice(bias));
    for ky in 0..kernel {
        let Some(from) = (number * stride + ky)
            .checked_sub(padding)
            .filter(|&from| from < h)
        else {
            continue;
        };
        let from = &x[from * w * c..][..w * c];
        for (at, out) in row.chunks_exact_mut(c).enumerate() {
            let at = at * stride;
            for kx in padding.saturating_sub(at)..kernel.min(w + padding - at) {
                let from = &from[(at + kx - padding) * c..][..c];
                let taps = &taps[(ky * kernel + kx) * c..][..c];
                for ((out, x), tap) in out.iter_mut().zip(from).zip(taps) {
                    *out += x * tap;
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
    use crate::Parameter;

    #[test]
    fn equals_the_backends_own() {
        // Two pictures, higher than wide, and narrower than the kernel.
        for [b, h, w, c, kernel] in [[1, 9, 5, 6, 7], [1, 1, 2, 3, 7], [2, 6, 8, 20, 3]] {
            let (x, weight): (Tensor<4>, _) = (random([b, h, w, c]), random([c, 1, kernel, kernel]));
            let bias = random([c]);
            let options = ConvOptions::new([1, 1], [kernel / 2; 2], [1, 1], c);
            let channels_first = x.clone().permute([0, 3, 1, 2]);
            let wanted = module::conv2d(channels_first, weight.clone(), Some(bias.clone()), options);
            let ours = DepthwiseConv::new(ConvolutionParameters {
                weight: Parameter::new(weight),
                bias: Parameter::new(bias),
                options: ConvolutionOptions::centred(kernel, 1),
            });
            assert!(apart(ours.forward(x), wanted.permute([0, 2, 3, 1])) < 1e-5);
        }
    }
}
