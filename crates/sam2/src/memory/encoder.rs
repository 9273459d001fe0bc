//! The memory encoder, which turns a frame's features and its mask into a memory (`sam2.modeling.memory_encoder`).

use burn::tensor::Tensor;
use sam2_ops::{
    Activation, DepthwiseConv, LayerNorm, Linear, MaskDownSampler, MaskForMemory, Mlp, Weights, WeightsError,
};

use crate::config::Sam2Config;

/// `LayerNorm2d`'s default.
const EPS: f64 = 1e-6;
/// Kernel of the fuser's depthwise convolutions.
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
            mask_downsampler: MaskDownSampler::load(weights.at("mask_downsampler"), dim)?,
            pix_feat_proj: Linear::load_conv_1x1(weights.at("pix_feat_proj"), dim, dim)?,
            fuser,
            out_proj: Linear::load_conv_1x1(weights.at("out_proj"), dim, out_dim)?,
        })
    }

    /// The frame's embedding `[1, h, w, d]`, not conditioned on memories, and its mask to `[1, h, w, mem_dim]`.
    pub fn forward(&self, pix_feat: Tensor<4>, masks: MaskForMemory) -> Tensor<4> {
        // Process masks, fuse pix_feat and downsampled masks
        let x = self.pix_feat_proj.forward(pix_feat);
        let mut x = self.mask_downsampler.forward_onto(masks, x);
        for layer in &self.fuser {
            x = layer.forward(x);
        }
        self.out_proj.forward(x)
    }
}

/// `memory_encoder.CXBlock`, a ConvNeXt block.
#[derive(Debug)]
struct CxBlock {
    dwconv: DepthwiseConv,
    norm: LayerNorm,
    /// `pwconv1` and `pwconv2`, scaled by `gamma`.
    mlp: Mlp,
}

impl CxBlock {
    fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        Ok(Self {
            dwconv: DepthwiseConv::load(weights.at("dwconv"), dim, FUSER_KERNEL)?,
            norm: LayerNorm::load(weights.at("norm"), dim, EPS)?,
            mlp: Mlp::load_named(
                weights,
                ["pwconv1", "pwconv2"],
                [dim, 4 * dim, dim],
                Activation::Gelu,
                Some("gamma"),
            )?,
        })
    }

    /// `[1, h, w, d]` to the same shape.
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let x = self.dwconv.forward(input.clone());
        let x = self.norm.forward(x);
        self.mlp.forward_onto(x, input)
    }
}
