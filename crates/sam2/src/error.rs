//! Why a network cannot be built.

use crate::{ConfigError, WeightsError};

/// What goes wrong while a network is built from a configuration and tensors.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// The configuration is of no network that can be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tensors do not fit it, or the device does not.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl LoadError {
    /// A stable name for programs: `WEIGHTS_UNSUPPORTED` or `WEIGHTS_MISMATCH`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(_) | Self::Weights(WeightsError::Width { .. }) => "WEIGHTS_UNSUPPORTED",
            Self::Weights(_) => "WEIGHTS_MISMATCH",
        }
    }
}
