//! The convolutions that bring a mask to the grid of the frame's features, in the memory encoder
//! (`sam2.modeling.memory_encoder.MaskDownSampler`).

use burn::tensor::Tensor;

use crate::linear::rows;
use crate::{LayerNorm, LinearParameters, Parameter, Prepared, Weights, WeightsError};

/// The channels before and after each strided convolution.
const CHANNELS: [usize; 5] = [1, 4, 16, 64, 256];
const KERNEL: usize = 3;
/// `LayerNorm2d`'s default.
const EPS: f64 = 1e-6;

/// Four convolutions of kernel 3 and stride 2, each followed by a normalisation and GELU, then one of kernel 1.
#[derive(Debug)]
pub struct MaskDownSampler {
    operation: Prepared<dyn MaskDownSamplerOperation>,
}

/// The parameters of a [`MaskDownSampler`].
#[derive(Debug)]
pub struct MaskDownSamplerParameters {
    /// The strided convolutions, in order.
    pub convs: Vec<StridedConvParameters>,
    /// The convolution of kernel 1: `[dim, 256]`.
    pub out: LinearParameters,
}

/// The parameters of a convolution of kernel 3, stride 2 and padding 1, and of the normalisation after it.
#[derive(Debug)]
pub struct StridedConvParameters {
    /// `[output, input, 3, 3]`.
    pub weight: Parameter<4>,
    /// `[output]`.
    pub bias: Parameter<1>,
    /// The normalisation, over the output's channels.
    pub norm: LayerNorm,
}

/// A frame's mask, and how it is prepared for [`MaskDownSampler`] (`SAM2Base._encode_new_memory`).
#[derive(Clone, Debug)]
pub struct MaskForMemory {
    /// Logits `[1, s, s]`.
    pub low_res_masks: Tensor<3>,
    /// Side of the network's pictures, to which the logits are resized bilinearly. It is 16 times the side of the
    /// features.
    pub image_size: usize,
    /// Whether the mask is 1 where the resized logits are positive, and else 0. This is for masks that a user prompted.
    /// If not, the mask is the sigmoid of the logits.
    pub binarize: bool,
    /// `sigmoid_scale_for_mem_enc`, by which the mask is multiplied.
    pub scale: f32,
    /// `sigmoid_bias_for_mem_enc`, which is added after that.
    pub bias: f32,
}

/// A [`MaskDownSampler`] as an implementation has prepared it.
pub trait MaskDownSamplerOperation: std::fmt::Debug + Send + Sync {
    /// [`MaskDownSampler::forward_onto`], but with `residual` and the result as `[h w, dim]`.
    fn forward(&self, mask: MaskForMemory, residual: Tensor<2>) -> Tensor<2>;
}

impl MaskDownSampler {
    /// Takes `encoder.0` to `encoder.12`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        let mut encoder = weights.at("encoder");
        let mut convs = Vec::new();
        // Each convolution, normalisation and GELU has a number in the official `nn.Sequential`.
        for (i, channels) in CHANNELS.windows(2).enumerate() {
            let mut conv = encoder.at(3 * i);
            convs.push(StridedConvParameters {
                weight: conv.parameter("weight", [channels[1], channels[0], KERNEL, KERNEL])?,
                bias: conv.parameter("bias", [channels[1]])?,
                norm: LayerNorm::load(encoder.at(3 * i + 1), channels[1], EPS)?,
            });
        }
        let out = LinearParameters::load_conv_1x1(&mut encoder.at(12), CHANNELS[4], dim)?;
        let parameters = MaskDownSamplerParameters { convs, out };
        Ok(Self {
            operation: weights.prepare(parameters, |operations, parameters| {
                operations.mask_down_sampler(parameters)
            }),
        })
    }

    /// Brings a mask to the grid of the features and adds it to `residual` `[1, h, w, dim]`.
    pub fn forward_onto(&self, mask: MaskForMemory, residual: Tensor<4>) -> Tensor<4> {
        let dims = residual.dims();
        self.operation.forward(mask, rows(residual)).reshape(dims)
    }
}
