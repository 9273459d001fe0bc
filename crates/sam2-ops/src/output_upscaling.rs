//! The mask decoder's upscaling, and the product that makes masks of it (`MaskDecoder.predict_masks`, from
//! `output_upscaling` on).

use burn::tensor::Tensor;

use crate::{LayerNorm, Parameter, Prepared, Weights, WeightsError};

/// `LayerNorm2d`'s default.
const EPS: f64 = 1e-6;

/// Two transposed convolutions of kernel and stride 2, after which the picture's finer levels are added, and the product
/// with the hypernetworks' outputs: `hyper_in · gelu(dc2(gelu(ln1(dc1(src) + feat_s1))) + feat_s0)`.
#[derive(Debug)]
pub struct OutputUpscaling {
    operation: Prepared<dyn OutputUpscalingOperation>,
}

/// The parameters of an [`OutputUpscaling`].
#[derive(Debug)]
pub struct OutputUpscalingParameters {
    /// `nn.ConvTranspose2d(d, d/4)`: weight `[d, d/4, 2, 2]` and bias `[d/4]`.
    pub dc1: (Parameter<4>, Parameter<1>),
    /// The normalisation after `dc1`, over `d/4` channels.
    pub ln1: LayerNorm,
    /// `nn.ConvTranspose2d(d/4, d/8)`: weight `[d/4, d/8, 2, 2]` and bias `[d/8]`.
    pub dc2: (Parameter<4>, Parameter<1>),
}

/// An [`OutputUpscaling`] as an implementation has prepared it.
pub trait OutputUpscalingOperation: std::fmt::Debug + Send + Sync {
    /// [`OutputUpscaling::masks`].
    fn masks(&self, src: Tensor<4>, feat_s1: Tensor<4>, feat_s0: Tensor<4>, hyper_in: Tensor<3>)
    -> Tensor<3>;
}

impl OutputUpscaling {
    /// Takes `0`, `1` and `3` of `output_upscaling`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        // The weight of a transposed convolution has the input channels first.
        let mut conv = |name, input: usize, output: usize| {
            let mut weights = weights.at(name);
            Ok((
                weights.matrix::<4>("weight", [input, output, 2, 2])?,
                weights.parameter::<1>("bias", [output])?,
            ))
        };
        let (dc1, dc2) = (conv(0, dim, dim / 4)?, conv(3, dim / 4, dim / 8)?);
        let parameters = OutputUpscalingParameters {
            dc1,
            ln1: LayerNorm::load(weights.at(1), dim / 4, EPS)?,
            dc2,
        };
        Ok(Self {
            operation: weights.prepare(parameters, |operations, parameters| {
                operations.output_upscaling(parameters)
            }),
        })
    }

    /// Computes the masks from `src` `[b, h, w, d]`, the finer levels `feat_s1` `[1, 2h, 2w, d/4]` and `feat_s0` `[1,
    /// 4h, 4w, d/8]`, and `hyper_in` `[b, n, d/8]`: logits `[b, n, 16 h w]`.
    pub fn masks(
        &self,
        src: Tensor<4>,
        feat_s1: Tensor<4>,
        feat_s0: Tensor<4>,
        hyper_in: Tensor<3>,
    ) -> Tensor<3> {
        self.operation.masks(src, feat_s1, feat_s0, hyper_in)
    }
}
