//! The errors of building a network.

use sam2_ops::WeightsError;

use crate::ConfigError;

/// Why a detector cannot be built from a configuration and tensors.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// The configuration does not describe a network that can be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor does not match the configuration.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}
