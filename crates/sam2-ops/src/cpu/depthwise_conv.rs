//! Depthwise convolutions. burn's CPU backend would need channels first, and so a copy of the picture before and after.

use burn::tensor::{Tensor, TensorData};
#[cfg(feature = "rayon")]
use rayon::prelude::*;

use super::packed::View;
use crate::{DepthwiseConvOperation, DepthwiseConvParameters};

#[derive(Debug)]
pub struct DepthwiseConv {
    /// `[kernel, kernel, c]`.
    taps: Vec<f32>,
    /// `[c]`.
    bias: Vec<f32>,
}

impl DepthwiseConv {
    pub fn new(parameters: DepthwiseConvParameters) -> Self {
        let taps = parameters.weight.into_value().permute([2, 3, 1, 0]);
        Self {
            taps: values(taps),
            bias: values(parameters.bias.into_value()),
        }
    }
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec().expect("networks compute in f32")
}

impl DepthwiseConvOperation for DepthwiseConv {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (device, dims) = (x.device(), x.dims());
        let [b, h, w, c] = dims;
        let x = View::contiguous(x);
        let x = &x.values()[..b * h * w * c];
        let mut out = vec![0.0; x.len()];
        #[cfg(feature = "rayon")]
        let rows = out.par_chunks_mut((w * c).max(1));
        #[cfg(not(feature = "rayon"))]
        let rows = out.chunks_mut((w * c).max(1));
        rows.enumerate().for_each(|(row, out)| {
            let picture = &x[row / h * h * w * c..][..h * w * c];
            convolve_row(picture, out, row % h, &self.taps, &self.bias);
        });
        Tensor::from_data(TensorData::new(out, dims), &device)
    }
}

// The type parameter selects the processor for which the function is compiled.
#[allow(clippy::extra_unused_type_parameters)]
#[macerator::with_simd]
fn convolve_row<S: macerator::Simd>(x: &[f32], row: &mut [f32], y: usize, taps: &[f32], bias: &[f32]) {
    let c = bias.len();
    let (w, h) = (row.len() / c, x.len() / row.len());
    let kernel = (taps.len() / c).isqrt();
    let half = kernel / 2;
    row.chunks_exact_mut(c).for_each(|out| out.copy_from_slice(bias));
    for ky in 0..kernel {
        let Some(from) = (y + ky).checked_sub(half).filter(|&from| from < h) else {
            continue;
        };
        let from = &x[from * w * c..][..w * c];
        for (at, out) in row.chunks_exact_mut(c).enumerate() {
            for kx in half.saturating_sub(at)..kernel.min(w + half - at) {
                let from = &from[(at + kx - half) * c..][..c];
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
            let ours = DepthwiseConv::new(DepthwiseConvParameters {
                weight: Parameter::new(weight),
                bias: Parameter::new(bias),
            });
            assert!(apart(ours.forward(x), wanted.permute([0, 2, 3, 1])) < 1e-5);
        }
    }
}
