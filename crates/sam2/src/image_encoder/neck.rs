//! The feature pyramid (`sam2.modeling.backbones.image_encoder.FpnNeck`).

use burn::tensor::Tensor;
use sam2_ops::{Linear, LinearOptions, Residual, Weights, WeightsError};

use crate::config::FpnNeckConfig;

/// A 1x1 convolution for each level, and a top-down path into some of the levels.
#[derive(Debug)]
pub struct FpnNeck {
    /// Deepest level first, as in the checkpoint.
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
        Ok(Self {
            convs,
            fpn_top_down_levels: config.fpn_top_down_levels.clone(),
        })
    }

    /// The trunk's stages `[b, h, w, c]`, finest first, to as many levels `[b, h, w, d_model]`, finest first.
    pub fn forward(&self, xs: Vec<Tensor<4>>) -> Vec<Tensor<4>> {
        let n = self.convs.len() - 1;
        let mut out: Vec<Tensor<4>> = Vec::with_capacity(xs.len());
        // In top-down order (from low to high resolution)
        for (i, x) in xs.into_iter().enumerate().rev() {
            let prev_features = out.last().cloned();
            let top_down_features = prev_features.filter(|_| self.fpn_top_down_levels.contains(&i));
            let options = LinearOptions {
                // Each pixel of the coarser level is added to four of this one.
                residual: top_down_features.map(Residual::Coarser),
                ..LinearOptions::default()
            };
            out.push(self.convs[n - i].forward_with(x, options));
        }
        out.reverse();
        out
    }
}
