//! The image encoder: the trunk and the feature pyramid over it
//! (`sam2.modeling.backbones.image_encoder.ImageEncoder`).

mod efficientnet_lite;
mod hiera;
mod neck;
mod pos_embed;
mod repvit;
mod trunk;

pub use efficientnet_lite::EfficientNetLite;
pub use hiera::{Hiera, MultiScaleAttention, MultiScaleBlock};
pub use neck::FpnNeck;
pub use repvit::{RepVit, RepVitBlock, RepVitDownsample, RepVitStage, RepVitStem};
pub use trunk::Trunk;

use burn::tensor::Tensor;
use sam2_ops::{Weights, WeightsError};

use crate::config::Sam2Config;

/// Turns a picture into three levels of features.
#[derive(Debug)]
pub struct ImageEncoder {
    /// The network that computes features from a picture.
    pub trunk: Trunk,
    /// The feature pyramid.
    pub neck: FpnNeck,
    scalp: usize,
}

impl ImageEncoder {
    /// Takes `trunk` and `neck`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &Sam2Config, mut weights: Weights) -> Result<Self, WeightsError> {
        Ok(Self {
            trunk: Trunk::load(config, weights.at("trunk"))?,
            neck: FpnNeck::load(&config.neck, weights.at("neck"))?,
            scalp: config.scalp,
        })
    }

    /// `[b, 3, s, s]`, normalised, to the pyramid's levels without the `scalp` deepest, finest first:
    /// `[b, s/4, s/4, d]`, `[b, s/8, s/8, d]`, `[b, s/16, s/16, d]`.
    pub fn forward(&self, sample: Tensor<4>) -> Vec<Tensor<4>> {
        let mut features = self.neck.forward(self.trunk.forward(sample));
        // Discard the lowest resolution features
        features.truncate(features.len() - self.scalp);
        features
    }
}
