//! The memory encoder: a frame's features and its mask to a memory (`sam2.modeling.memory_encoder`).

use burn::tensor::{Tensor, module, ops::ConvOptions};

use super::depthwise_conv::DepthwiseConv;
use crate::config::Sam2Config;
use crate::layers::{Activation, LayerNorm, Linear, by_rows};
use crate::weights::{Weights, WeightsError};

/// `LayerNorm2d`'s default.
const EPS: f64 = 1e-6;
/// Each of the mask's strided convolutions has four times the channels of the one before.
const MASK_CHANNELS: [usize; 5] = [1, 4, 16, 64, 256];
/// Of the fuser's depthwise convolutions.
const FUSER_KERNEL: usize = 7;
/// Rows of places at a time on the CPU.
const ROWS: usize = 8;

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
        let [b, h, w, d] = embedding.dims();
        let x = by_rows(embedding.reshape([b, h * w, d]), ROWS * w, |x, first| {
            let tokens = x.dims()[1];
            let mask = self.mask_downsampler.forward(&mask, first / w, tokens / w);
            self.pix_feat_proj.forward(x) + mask.reshape([b, tokens, d])
        });
        let mut x = x.reshape([b, h, w, d]);
        drop(mask);
        for block in &self.fuser {
            x = block.forward(x);
        }
        self.out_proj.forward(x)
    }
}

/// Four convolutions of stride 2, then one of kernel 1.
#[derive(Debug)]
struct MaskDownSampler {
    convs: Vec<(StridedConv, LayerNorm)>,
    out: Linear,
}

impl MaskDownSampler {
    fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        let convs = MASK_CHANNELS
            .windows(2)
            .enumerate()
            .map(|(i, channels)| {
                let conv = StridedConv::load(weights.at(3 * i), channels[0], channels[1])?;
                Ok((conv, LayerNorm::load(weights.at(3 * i + 1), channels[1], EPS)?))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            convs,
            out: Linear::load_conv_1x1(weights.at(12), MASK_CHANNELS[4], dim)?,
        })
    }

    /// Of `[b, 16h, 16w]` what becomes `rows` of the `h` rows from `first` on: `[b, rows, w, d]`.
    fn forward(&self, mask: &Tensor<3>, first: usize, rows: usize) -> Tensor<4> {
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
}

/// A ConvNeXt block.
#[derive(Debug)]
struct CxBlock {
    dwconv: DepthwiseConv,
    norm: LayerNorm,
    pwconv1: Linear,
    pwconv2: Linear,
    gamma: Tensor<1>,
}

impl CxBlock {
    fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        Ok(Self {
            dwconv: DepthwiseConv::load(weights.at("dwconv"), dim, FUSER_KERNEL)?,
            norm: LayerNorm::load(weights.at("norm"), dim, EPS)?,
            pwconv1: Linear::load(weights.at("pwconv1"), dim, 4 * dim)?,
            pwconv2: Linear::load(weights.at("pwconv2"), 4 * dim, dim)?,
            gamma: weights.tensor("gamma", [dim])?,
        })
    }

    /// `[b, h, w, d]` to the same.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, h, w, d] = x.dims();
        let y = self.dwconv.forward(x.clone()).reshape([b, h * w, d]);
        let y = by_rows(y, ROWS * w, |y, _| {
            let hidden = self.pwconv1.forward(self.norm.forward(y));
            let y = self.pwconv2.forward(Activation::Gelu.forward(hidden));
            y * self.gamma.clone().reshape([1, 1, -1])
        });
        x + y.reshape([b, h, w, d])
    }
}

/// A convolution of kernel 3 and stride 2 over channels-last pictures.
#[derive(Debug)]
struct StridedConv {
    weight: Tensor<4>,
    bias: Tensor<1>,
}

impl StridedConv {
    /// Takes `weight` and `bias`.
    fn load(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: weights.tensor("weight", [output, input, 3, 3])?,
            bias: weights.tensor("bias", [output])?,
        })
    }

    /// The picture's edges are padded, that above only where there is nothing: rows are an even number at the `top`,
    /// elsewhere one more, which lies above.
    fn forward(&self, x: Tensor<4>, top: bool) -> Tensor<4> {
        let options = ConvOptions::new([2, 2], [usize::from(top), 1], [1, 1], 1);
        let (weight, bias) = (self.weight.clone(), Some(self.bias.clone()));
        module::conv2d(x.permute([0, 3, 1, 2]), weight, bias, options).permute([0, 2, 3, 1])
    }
}
