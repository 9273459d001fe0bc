//! The feature pyramid (`sam2.modeling.backbones.image_encoder.FpnNeck`).

use burn::tensor::Tensor;
#[cfg(feature = "webgpu")]
use sam2_kernels::tensors::{LinearOptions, Residual};

use crate::config::FpnNeckConfig;
use crate::layers::Linear;
#[cfg(feature = "webgpu")]
use crate::layers::is_gpu;
use crate::weights::{Weights, WeightsError};

/// A 1x1 convolution a level, and a top-down path into some of them.
#[derive(Debug)]
pub struct FpnNeck {
    /// Finest level first, unlike in the checkpoint.
    lateral: Vec<Linear>,
    top_down_levels: Vec<usize>,
}

impl FpnNeck {
    /// Takes `convs`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &FpnNeckConfig, mut weights: Weights) -> Result<Self, WeightsError> {
        let mut lateral = Vec::new();
        for (i, &channels) in config.backbone_channel_list.iter().enumerate() {
            let conv = weights.at(format_args!("convs.{i}.conv"));
            lateral.push(Linear::load_conv_1x1(conv, channels, config.d_model)?);
        }
        lateral.reverse();
        Ok(Self {
            lateral,
            top_down_levels: config.fpn_top_down_levels.clone(),
        })
    }

    /// The trunk's stages, finest first, to as many levels `[b, h, w, d_model]`.
    pub fn forward(&self, stages: Vec<Tensor<4>>) -> Vec<Tensor<4>> {
        let mut levels: Vec<Tensor<4>> = Vec::with_capacity(stages.len());
        for (level, stage) in stages.into_iter().enumerate().rev() {
            #[cfg(feature = "webgpu")]
            if is_gpu(&stage.device()) {
                let above = levels.last().filter(|_| self.top_down_levels.contains(&level));
                let options = LinearOptions {
                    residual: above.cloned().map(Residual::Coarser),
                    ..LinearOptions::default()
                };
                levels.push(self.lateral[level].forward_on_gpu(stage, options));
                continue;
            }
            let lateral = self.lateral[level].forward(stage);
            levels.push(match levels.last() {
                Some(above) if self.top_down_levels.contains(&level) => {
                    lateral + upsample_nearest(above.clone())
                }
                _ => lateral,
            });
        }
        levels.reverse();
        levels
    }
}

/// `[b, h, w, c]` to `[b, 2h, 2w, c]`.
fn upsample_nearest(x: Tensor<4>) -> Tensor<4> {
    let [b, h, w, c] = x.dims();
    x.reshape([b, h, 1, w, 1, c])
        .expand([b, h, 2, w, 2, c])
        .reshape([b, 2 * h, 2 * w, c])
}
