//! A convolution of each channel alone, over channels-last pictures.

use burn::tensor::{Tensor, module, ops::ConvOptions};

use crate::weights::{Weights, WeightsError};

/// `nn.Conv2d` with as many groups as channels, of stride 1, whose output is as large as its input.
#[derive(Debug)]
pub struct DepthwiseConv {
    /// `[c, 1, kernel, kernel]`.
    weight: Tensor<4>,
    bias: Tensor<1>,
    /// The same as plain memory: `[kernel, kernel, c]`, and the bias.
    #[cfg(feature = "flex")]
    host: Option<(Vec<f32>, Vec<f32>)>,
    /// On a GPU: `[kernel, kernel, c]`.
    #[cfg(feature = "webgpu")]
    taps: Option<Tensor<3>>,
}

impl DepthwiseConv {
    /// Takes `weight` and `bias`; `kernel` is odd.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, channels: usize, kernel: usize) -> Result<Self, WeightsError> {
        let weight = weights.tensor::<4>("weight", [channels, 1, kernel, kernel])?;
        let bias = weights.tensor::<1>("bias", [channels])?;
        Ok(Self {
            #[cfg(feature = "flex")]
            host: crate::layers::is_host(&weight.device()).then(|| {
                let taps = weight.clone().permute([2, 3, 1, 0]);
                (host::values(taps), host::values(bias.clone()))
            }),
            #[cfg(feature = "webgpu")]
            taps: crate::layers::is_gpu(&weight.device()).then(|| {
                let taps = weight.clone().permute([2, 3, 1, 0]);
                crate::layers::contiguous(taps.reshape([kernel, kernel, channels]))
            }),
            weight,
            bias,
        })
    }

    /// `[1, h, w, c]` to the same.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        #[cfg(feature = "flex")]
        if let Some((taps, bias)) = &self.host {
            return host::convolve(x, taps, bias);
        }
        #[cfg(feature = "webgpu")]
        if let Some(taps) = &self.taps {
            return sam2_kernels::tensors::depthwise(x, taps, &self.bias);
        }
        let [channels, _, kernel, _] = self.weight.dims();
        let options = ConvOptions::new([1, 1], [kernel / 2; 2], [1, 1], channels);
        let (weight, bias) = (self.weight.clone(), Some(self.bias.clone()));
        module::conv2d(x.permute([0, 3, 1, 2]), weight, bias, options).permute([0, 2, 3, 1])
    }
}

/// On the CPU: its backend wants channels first, and the picture copied on the way in and out.
#[cfg(feature = "flex")]
mod host {
    use burn::tensor::{Tensor, TensorData};
    #[cfg(feature = "rayon")]
    use rayon::prelude::*;

    pub fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().try_into_vec().expect("networks compute in f32")
    }

    /// `[1, h, w, c]` to the same; `taps` `[kernel, kernel, c]`.
    pub fn convolve(x: Tensor<4>, taps: &[f32], bias: &[f32]) -> Tensor<4> {
        let (device, [_, h, w, c]) = (x.device(), x.dims());
        let x = values(x);
        let mut out = vec![0.0; x.len()];
        #[cfg(feature = "rayon")]
        let rows = out.par_chunks_mut(w * c);
        #[cfg(not(feature = "rayon"))]
        let rows = out.chunks_mut(w * c);
        rows.enumerate()
            .for_each(|(y, row)| convolve_row(&x, row, y, taps, bias));
        Tensor::from_data(TensorData::new(out, [1, h, w, c]), &device)
    }

    // The type says for which processor it is compiled.
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
        use burn::tensor::{Device, Distribution, module, ops::ConvOptions};

        use super::*;

        #[test]
        fn equals_the_backends_own() {
            let device = Device::flex();
            let random = |shape| Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
            // Higher than wide, and narrower than the kernel.
            for [h, w, c, kernel] in [[9, 5, 6, 7], [1, 2, 3, 7], [6, 8, 20, 3]] {
                let (x, weight) = (random([1, h, w, c]), random([c, 1, kernel, kernel]));
                let bias = random([1, 1, 1, c]).reshape([c]);
                let options = ConvOptions::new([1, 1], [kernel / 2; 2], [1, 1], c);
                let channels_first = x.clone().permute([0, 3, 1, 2]);
                let wanted = module::conv2d(channels_first, weight.clone(), Some(bias.clone()), options);
                let taps = values(weight.permute([2, 3, 1, 0]));
                let ours = convolve(x, &taps, &values(bias));
                let apart = (ours - wanted.permute([0, 2, 3, 1])).abs().max();
                assert!(apart.into_scalar::<f32>() < 1e-5);
            }
        }
    }
}
