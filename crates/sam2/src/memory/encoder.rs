//! The memory encoder: a frame's features and its mask to a memory (`sam2.modeling.memory_encoder`).

use burn::tensor::Tensor;
#[cfg(feature = "webgpu")]
use sam2_kernels::{
    MaskScale,
    tensors::{LinearOptions, Residual},
};

use super::depthwise_conv::DepthwiseConv;
use super::mask_downsampler::MaskDownSampler;
use crate::config::Sam2Config;
use crate::layers::{Activation, LayerNorm, Linear, by_rows};
#[cfg(feature = "webgpu")]
use crate::layers::{is_gpu, rows};
use crate::weights::{Weights, WeightsError};

/// `LayerNorm2d`'s default.
const EPS: f64 = 1e-6;
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

    /// The same by kernels of our own, the mask being logits `[1, s/4, s/4]` that are stretched to `size` pixels a side
    /// and scaled on the way.
    #[cfg(feature = "webgpu")]
    pub(crate) fn on_gpu(
        &self,
        embedding: Tensor<4>,
        logits: Tensor<3>,
        size: usize,
        scale: MaskScale,
    ) -> Tensor<4> {
        let features = self.pix_feat_proj.on_gpu(embedding, LinearOptions::default());
        let mut x = self.mask_downsampler.on_gpu(logits, size, scale, features);
        for block in &self.fuser {
            x = block.on_gpu(x);
        }
        self.out_proj.forward(x)
    }
}

/// A ConvNeXt block.
#[derive(Debug)]
struct CxBlock {
    dwconv: DepthwiseConv,
    norm: LayerNorm,
    pwconv1: Linear,
    /// On a GPU with `gamma` in it.
    pwconv2: Linear,
    gamma: Tensor<1>,
}

impl CxBlock {
    fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        let gamma = weights.tensor::<1>("gamma", [dim])?;
        let pwconv2 = Linear::load(weights.at("pwconv2"), 4 * dim, dim)?;
        #[cfg(feature = "webgpu")]
        let pwconv2 = match is_gpu(weights.device()) {
            true => pwconv2.scaled(gamma.clone()),
            false => pwconv2,
        };
        Ok(Self {
            dwconv: DepthwiseConv::load(weights.at("dwconv"), dim, FUSER_KERNEL)?,
            norm: LayerNorm::load(weights.at("norm"), dim, EPS)?,
            pwconv1: Linear::load(weights.at("pwconv1"), dim, 4 * dim)?,
            pwconv2,
            gamma,
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

    /// The same by kernels of our own.
    #[cfg(feature = "webgpu")]
    fn on_gpu(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.norm.forward(self.dwconv.forward(x.clone()));
        let gelu = LinearOptions {
            activation: Activation::Gelu.on_gpu(),
            ..LinearOptions::default()
        };
        let onto = LinearOptions {
            residual: Some(Residual::Repeated(rows(x))),
            ..LinearOptions::default()
        };
        self.pwconv2
            .forward_on_gpu(self.pwconv1.forward_on_gpu(y, gelu), onto)
    }
}
