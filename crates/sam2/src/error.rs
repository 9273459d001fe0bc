//! The errors of building a network.

use crate::{ConfigError, WeightsError};

/// Why a network cannot be built from a configuration and tensors.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// The configuration does not describe a network that can be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor does not match the configuration, or the device does not support the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl LoadError {
    /// A stable code for programs: `WEIGHTS_UNSUPPORTED` or `WEIGHTS_MISMATCH`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(_) | Self::Weights(WeightsError::Width { .. }) => "WEIGHTS_UNSUPPORTED",
            Self::Weights(_) => "WEIGHTS_MISMATCH",
        }
    }
}
