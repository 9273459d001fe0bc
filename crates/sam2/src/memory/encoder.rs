//! The memory encoder: a frame's features and its mask to a memory (`sam2.modeling.memory_encoder`).

use burn::tensor::{Tensor, module, ops::ConvOptions};

use crate::config::Sam2Config;
use crate::layers::{Activation, LayerNorm, Linear};
use crate::weights::{Weights, WeightsError};

/// `LayerNorm2d`'s default.
const EPS: f64 = 1e-6;
/// Each of the mask's strided convolutions has four times the channels of the one before.
const MASK_CHANNELS: [usize; 5] = [1, 4, 16, 64, 256];
/// Of the fuser's depthwise convolutions.
const FUSER_KERNEL: usize = 7;

/// Fuses a mask with the frame's features.
#[derive(Debug)]
pub struct MemoryEncoder {
    mask_downsampler: MaskDownSampler,
    pix_feat_proj: Linear,
    fuser: Vec<CxBlock>,
    out_proj: Linear,
}

impl MemoryEncoder {
    /// Takes `mask_downsampler`, `pix_feat_proj`, `fuser` and `out_proj`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &Sam2Config, mut weights: Weights) -> Result<Self, WeightsError> {
        let (dim, out_dim) = (config.neck.d_model, config.memory_encoder.out_dim);
        let fuser = (0..config.memory_encoder.fuser_layers)
            .map(|i| CxBlock::load(weights.at(format_args!("fuser.layers.{i}")), dim))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            mask_downsampler: MaskDownSampler::load(weights.at("mask_downsampler.encoder"), dim)?,
            pix_feat_proj: Linear::load_conv_1x1(weights.at("pix_feat_proj"), dim, dim)?,
            fuser,
            out_proj: Linear::load_conv_1x1(weights.at("out_proj"), dim, out_dim)?,
        })
    }

    /// The frame's embedding `[1, h, w, d]`, without any memory in it, and its mask `[1, 16h, 16w]`, already scaled,
    /// to `[1, h, w, mem_dim]`.
    pub fn forward(&self, embedding: Tensor<4>, mask: Tensor<3>) -> Tensor<4> {
        let mut x = self.pix_feat_proj.forward(embedding) + self.mask_downsampler.forward(mask);
        for block in &self.fuser {
            x = block.forward(x);
        }
        self.out_proj.forward(x)
    }
}

/// Four convolutions of stride 2, then one of kernel 1.
#[derive(Debug)]
struct MaskDownSampler {
    convs: Vec<(Conv2d, LayerNorm)>,
    out: Linear,
}

impl MaskDownSampler {
    fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        let convs = MASK_CHANNELS
            .windows(2)
            .enumerate()
            .map(|(i, channels)| {
                let options = ConvOptions::new([2, 2], [1, 1], [1, 1], 1);
                let shape = [channels[1], channels[0], 3, 3];
                let conv = Conv2d::load(weights.at(3 * i), shape, options)?;
                Ok((conv, LayerNorm::load(weights.at(3 * i + 1), channels[1], EPS)?))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            convs,
            out: Linear::load_conv_1x1(weights.at(12), MASK_CHANNELS[4], dim)?,
        })
    }

    /// `[b, 16h, 16w]` to `[b, h, w, d]`.
    fn forward(&self, mask: Tensor<3>) -> Tensor<4> {
        let mut x = mask.unsqueeze_dim::<4>(3);
        for (conv, norm) in &self.convs {
            x = Activation::Gelu.forward(norm.forward(conv.forward(x)));
        }
        self.out.forward(x)
    }
}

/// A ConvNeXt block.
#[derive(Debug)]
struct CxBlock {
    dwconv: Conv2d,
    norm: LayerNorm,
    pwconv1: Linear,
    pwconv2: Linear,
    gamma: Tensor<1>,
}

impl CxBlock {
    fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        let padding = FUSER_KERNEL / 2;
        let options = ConvOptions::new([1, 1], [padding; 2], [1, 1], dim);
        Ok(Self {
            dwconv: Conv2d::load(
                weights.at("dwconv"),
                [dim, 1, FUSER_KERNEL, FUSER_KERNEL],
                options,
            )?,
            norm: LayerNorm::load(weights.at("norm"), dim, EPS)?,
            pwconv1: Linear::load(weights.at("pwconv1"), dim, 4 * dim)?,
            pwconv2: Linear::load(weights.at("pwconv2"), 4 * dim, dim)?,
            gamma: weights.tensor("gamma", [dim])?,
        })
    }

    /// `[b, h, w, d]` to the same.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.norm.forward(self.dwconv.forward(x.clone()));
        let y = self
            .pwconv2
            .forward(Activation::Gelu.forward(self.pwconv1.forward(y)));
        x + y * self.gamma.clone().reshape([1, 1, 1, -1])
    }
}

/// A convolution over channels-last pictures.
#[derive(Debug)]
struct Conv2d {
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: ConvOptions<2>,
}

impl Conv2d {
    /// Takes `weight` of `shape` (output, input / groups, kernel, kernel) and `bias`.
    fn load(mut weights: Weights, shape: [usize; 4], options: ConvOptions<2>) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: weights.tensor("weight", shape)?,
            bias: weights.tensor("bias", [shape[0]])?,
            options,
        })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = x.permute([0, 3, 1, 2]);
        module::conv2d(
            x,
            self.weight.clone(),
            Some(self.bias.clone()),
            self.options.clone(),
        )
        .permute([0, 2, 3, 1])
    }
}
