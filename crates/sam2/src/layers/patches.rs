//! Convolutions whose kernel is as wide as their stride: each output (or input) pixel is one patch,
//! so that over channels-last pictures they are linear layers between two rearrangements.

use burn::tensor::Tensor;
#[cfg(feature = "webgpu")]
use sam2_kernels::{
    Activation, Patches,
    tensors::{LinearOptions, Residual},
};

use super::Linear;
#[cfg(feature = "flex")]
use super::packed::PackedLinear;
#[cfg(feature = "webgpu")]
use super::{is_gpu, rows};
use crate::weights::{Weights, WeightsError};

/// `nn.Conv2d(input, output, kernel_size=2, stride=2)`.
#[derive(Debug)]
pub struct PatchMerge {
    linear: Linear,
    input: usize,
}

impl PatchMerge {
    /// Takes `weight` `[output, input, 2, 2]` and `bias` `[output]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let weight = weights.matrix::<4>("weight", [output, input, 2, 2])?;
        // Rows in the order in which a patch's values are gathered below: row, column, channel.
        let weight = weight.permute([2, 3, 1, 0]).reshape([4 * input, output]);
        Ok(Self {
            linear: Linear::from_parts(weight, weights.tensor("bias", [output])?),
            input,
        })
    }

    /// `[b, h, w, input]` to `[b, h/2, w/2, output]`; `h` and `w` are even.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, h, w, c] = x.dims();
        debug_assert_eq!(c, self.input);
        #[cfg(feature = "webgpu")]
        if is_gpu(&x.device()) && c.is_multiple_of(4) {
            let options = LinearOptions {
                patches: Patches::Merge { width: w / 2 },
                ..LinearOptions::default()
            };
            return self
                .linear
                .on_gpu(x, options)
                .reshape([b as i64, (h / 2) as i64, (w / 2) as i64, -1]);
        }
        let patches: Tensor<6> = x.reshape([b, h / 2, 2, w / 2, 2, c]).permute([0, 1, 3, 2, 4, 5]);
        self.linear.forward(patches.reshape([b, h / 2, w / 2, 4 * c]))
    }
}

/// `nn.ConvTranspose2d(input, output, kernel_size=2, stride=2)`.
#[derive(Debug)]
pub struct PatchExpand {
    linear: Linear,
    output: usize,
}

impl PatchExpand {
    /// Takes `weight` `[input, output, 2, 2]` and `bias` `[output]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let weight = weights.matrix::<4>("weight", [input, output, 2, 2])?;
        let weight = weight.permute([0, 2, 3, 1]).reshape([input, 4 * output]);
        let bias = weights.tensor::<1>("bias", [output])?.repeat(&[4]);
        Ok(Self {
            linear: Linear::from_parts(weight, bias),
            output,
        })
    }

    /// `[b, h, w, input]` to `[b, 2h, 2w, output]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, h, w, _] = x.dims();
        #[cfg(feature = "webgpu")]
        if is_gpu(&x.device()) {
            return self.on_gpu(x, None, Activation::None);
        }
        let patches: Tensor<6> = self.linear.forward(x).reshape([b, h, w, 2, 2, self.output]);
        patches
            .permute([0, 1, 3, 2, 4, 5])
            .reshape([b, 2 * h, 2 * w, self.output])
    }

    /// Where it is multiplied by our own products: `[..., input]` to each place's four pixels, row by row.
    #[cfg(feature = "flex")]
    pub(crate) fn packed(&self) -> Option<&PackedLinear> {
        self.linear.packed()
    }

    /// By a kernel of our own: `residual` `[1, 2h, 2w, output]` is added, then `activation` applied.
    #[cfg(feature = "webgpu")]
    pub(crate) fn on_gpu(
        &self,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        activation: Activation,
    ) -> Tensor<4> {
        let [b, h, w, _] = x.dims();
        let options = LinearOptions {
            patches: Patches::Expand { width: w },
            residual: residual.map(|x| Residual::Repeated(rows(x))),
            activation,
            ..LinearOptions::default()
        };
        self.linear
            .on_gpu(x, options)
            .reshape([b, 2 * h, 2 * w, self.output])
    }
}
