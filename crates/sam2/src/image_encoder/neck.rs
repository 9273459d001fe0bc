//! The feature pyramid (`sam2.modeling.backbones.image_encoder.FpnNeck`).

use burn::tensor::Tensor;
use sam2_ops::{Linear, LinearOptions, Residual, Weights, WeightsError};

use crate::config::FpnNeckConfig;

/// A 1x1 convolution a level, and a top-down path into some of them.
#[derive(Debug)]
pub struct FpnNeck {
    /// Finest level first, unlike in the checkpoint.
    convs: Vec<Linear>,
    fpn_top_down_levels: Vec<usize>,
}

impl FpnNeck {
    /// Takes `convs`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &FpnNeckConfig, mut weights: Weights) -> Result<Self, WeightsError> {
        let mut convs = Vec::new();
        for (i, &channels) in config.backbone_channel_list.iter().enumerate() {
            let conv = weights.at(format_args!("convs.{i}.conv"));
            convs.push(Linear::load_conv_1x1(conv, channels, config.d_model)?);
        }
        convs.reverse();
        Ok(Self {
            convs,
            fpn_top_down_levels: config.fpn_top_down_levels.clone(),
        })
    }

    /// The trunk's stages, finest first, to as many levels `[b, h, w, d_model]`.
    pub fn forward(&self, stages: Vec<Tensor<4>>) -> Vec<Tensor<4>> {
        let mut levels: Vec<Tensor<4>> = Vec::with_capacity(stages.len());
        for (level, stage) in stages.into_iter().enumerate().rev() {
            // The level above, each of its pixels for four.
            let above = levels
                .last()
                .filter(|_| self.fpn_top_down_levels.contains(&level));
            let options = LinearOptions {
                residual: above.cloned().map(Residual::Coarser),
                ..LinearOptions::default()
            };
            levels.push(self.convs[level].forward_with(stage, options));
        }
        levels.reverse();
        levels
    }
}
