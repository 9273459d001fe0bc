//! The memory encoder's way from a mask to the grid of the frame's features.

use burn::tensor::{Tensor, module, ops::ConvOptions};
#[cfg(feature = "webgpu")]
use sam2_kernels::{
    MaskScale, Patches,
    tensors::{self, LinearOptions, Residual},
};

#[cfg(feature = "webgpu")]
use crate::layers::is_gpu;
use crate::layers::{Activation, LayerNorm, Linear};
use crate::weights::{Weights, WeightsError};

/// `LayerNorm2d`'s default.
const EPS: f64 = 1e-6;
/// Each of the mask's strided convolutions has four times the channels of the one before.
const MASK_CHANNELS: [usize; 5] = [1, 4, 16, 64, 256];

/// Four convolutions of stride 2, then one of kernel 1.
#[derive(Debug)]
pub struct MaskDownSampler {
    convs: Vec<(StridedConv, LayerNorm)>,
    out: Linear,
    /// On a GPU: the first convolution as `[9, 4]`, and its bias, and its normalisation's weight and bias, as `[3, 4]`.
    #[cfg(feature = "webgpu")]
    first: Option<(Tensor<2>, Tensor<2>)>,
}

impl MaskDownSampler {
    /// Takes all of it.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        let convs: Vec<(StridedConv, LayerNorm)> = MASK_CHANNELS
            .windows(2)
            .enumerate()
            .map(|(i, channels)| {
                let conv = StridedConv::load(weights.at(3 * i), channels[0], channels[1])?;
                Ok((conv, LayerNorm::load(weights.at(3 * i + 1), channels[1], EPS)?))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            #[cfg(feature = "webgpu")]
            first: first_on_gpu(&convs[0]),
            convs,
            out: Linear::load_conv_1x1(weights.at(12), MASK_CHANNELS[4], dim)?,
        })
    }

    /// Of `[b, 16h, 16w]` what becomes `rows` of the `h` rows from `first` on: `[b, rows, w, d]`.
    pub fn forward(&self, mask: &Tensor<3>, first: usize, rows: usize) -> Tensor<4> {
        let scale = 1 << self.convs.len();
        // Each convolution looks one row up.
        let start = (first * scale).saturating_sub(scale - 1);
        let mask = mask.clone().narrow(1, start, (first + rows) * scale - start);
        let mut x = mask.unsqueeze_dim::<4>(3);
        for (conv, norm) in &self.convs {
            x = Activation::Gelu.forward(norm.forward(conv.forward(x, first == 0)));
        }
        self.out.forward(x)
    }

    /// Of logits `[1, s/4, s/4]`, stretched to `size` pixels a side and scaled, with `residual` `[hw, d]` added:
    /// `[1, h, w, d]`. By kernels of our own.
    #[cfg(feature = "webgpu")]
    pub(crate) fn on_gpu(
        &self,
        logits: Tensor<3>,
        size: usize,
        scale: MaskScale,
        residual: Tensor<2>,
    ) -> Tensor<4> {
        let (weight, affine) = self.first.as_ref().expect("a GPU's logits");
        let mut x = tensors::mask_convolution(logits, size, scale, weight, affine, EPS);
        for (conv, norm) in &self.convs[1..] {
            x = norm.on_gpu(conv.on_gpu(x), Activation::Gelu.on_gpu());
        }
        let onto = LinearOptions {
            residual: Some(Residual::Repeated(residual)),
            ..LinearOptions::default()
        };
        self.out.forward_on_gpu(x, onto)
    }
}

/// See [`MaskDownSampler::first`].
#[cfg(feature = "webgpu")]
fn first_on_gpu((conv, norm): &(StridedConv, LayerNorm)) -> Option<(Tensor<2>, Tensor<2>)> {
    let linear = conv.linear.as_ref()?;
    let (weight, bias) = linear.parameters();
    let (scale, shift, _) = norm.parameters();
    let affine = [bias, scale, shift].map(|x| x.clone().unsqueeze_dim(0));
    Some((weight.clone(), Tensor::cat(affine.to_vec(), 0)))
}

/// A convolution of kernel 3 and stride 2 over channels-last pictures.
#[derive(Debug)]
struct StridedConv {
    weight: Tensor<4>,
    bias: Tensor<1>,
    /// On a GPU: the same over patches, row by row.
    #[cfg(feature = "webgpu")]
    linear: Option<Linear>,
}

impl StridedConv {
    /// Takes `weight` and `bias`.
    fn load(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let weight = weights.tensor::<4>("weight", [output, input, 3, 3])?;
        let bias = weights.tensor::<1>("bias", [output])?;
        Ok(Self {
            #[cfg(feature = "webgpu")]
            linear: is_gpu(&weight.device()).then(|| {
                let taps = weight.clone().permute([2, 3, 1, 0]);
                Linear::from_parts(taps.reshape([9 * input, output]), bias.clone())
            }),
            weight,
            bias,
        })
    }

    /// The picture's edges are padded, that above only where there is nothing: rows are an even number at the `top`,
    /// elsewhere one more, which lies above.
    fn forward(&self, x: Tensor<4>, top: bool) -> Tensor<4> {
        let options = ConvOptions::new([2, 2], [usize::from(top), 1], [1, 1], 1);
        let (weight, bias) = (self.weight.clone(), Some(self.bias.clone()));
        module::conv2d(x.permute([0, 3, 1, 2]), weight, bias, options).permute([0, 2, 3, 1])
    }

    /// `[1, 2h, 2w, input]` to `[1, h, w, output]` by a kernel of our own; 4 divides `input`.
    #[cfg(feature = "webgpu")]
    fn on_gpu(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, height, width, _] = x.dims().map(|side| side / 2);
        let around = LinearOptions {
            patches: Patches::Around { height, width },
            ..LinearOptions::default()
        };
        let linear = self.linear.as_ref().expect("a GPU's picture");
        linear
            .on_gpu(x, around)
            .reshape([1, height as i64, width as i64, -1])
    }
}
