//! The trunk of the image encoder, which is one of several networks.

use burn::tensor::Tensor;
use sam2_ops::{Weights, WeightsError};

use super::{EfficientNetLite, Hiera, RepVit};
use crate::config::{Sam2Config, TrunkConfig};

/// The network that computes features of strides 4, 8, 16 and 32 from a picture.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // There is one trunk, which is not moved.
pub enum Trunk {
    /// SAM 2's.
    Hiera(Hiera),
    /// EdgeTAM's.
    RepVit(RepVit),
    /// Nano's.
    EfficientNetLite(EfficientNetLite),
}

impl Trunk {
    /// Takes the parameters of the trunk that `config` describes.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &Sam2Config, weights: Weights) -> Result<Self, WeightsError> {
        Ok(match &config.trunk {
            TrunkConfig::Hiera(hiera) => Self::Hiera(Hiera::load(hiera, config.image_size, weights)?),
            TrunkConfig::RepVit(repvit) => Self::RepVit(RepVit::load(repvit, weights)?),
            TrunkConfig::EfficientNetLite(lite) => {
                Self::EfficientNetLite(EfficientNetLite::load(lite, weights)?)
            }
        })
    }

    /// `[b, 3, s, s]` to the four outputs, finest first: `[b, s/4, s/4, c]` … `[b, s/32, s/32, c']`.
    pub fn forward(&self, x: Tensor<4>) -> Vec<Tensor<4>> {
        match self {
            Self::Hiera(hiera) => hiera.forward(x),
            Self::RepVit(repvit) => repvit.forward(x),
            Self::EfficientNetLite(lite) => lite.forward(x),
        }
    }

    /// Hiera; `None` for another trunk.
    pub fn as_hiera(&self) -> Option<&Hiera> {
        match self {
            Self::Hiera(hiera) => Some(hiera),
            _ => None,
        }
    }

    /// RepViT; `None` for another trunk.
    pub fn as_repvit(&self) -> Option<&RepVit> {
        match self {
            Self::RepVit(repvit) => Some(repvit),
            _ => None,
        }
    }
}
