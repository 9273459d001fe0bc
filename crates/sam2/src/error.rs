//! The errors of building a network.

use crate::{ConfigError, WeightsError};

/// In bytes.
const MIB: u64 = 1 << 20;

/// Why a network cannot be built from a configuration and tensors.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// The configuration does not describe a network that can be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor does not match the configuration, or the device does not support the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The device's buffers are too small for a tensor that cannot be computed in parts.
    #[error(
        "at an image size of {image_size}, this network needs a buffer of {} MiB, but the device's largest is {} MiB: use \
         a smaller image size, a smaller model or the CPU",
        needed.div_ceil(MIB),
        largest / MIB
    )]
    TooLarge {
        /// The side of the network's picture in pixels.
        image_size: usize,
        /// The size of the network's largest tensor in bytes.
        needed: u64,
        /// The size of the device's largest tensor in bytes.
        largest: u64,
    },
}

impl LoadError {
    /// A stable code for programs: `WEIGHTS_UNSUPPORTED`, `WEIGHTS_MISMATCH` or `OUT_OF_MEMORY`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(_) | Self::Weights(WeightsError::Width { .. }) => "WEIGHTS_UNSUPPORTED",
            Self::Weights(_) => "WEIGHTS_MISMATCH",
            Self::TooLarge { .. } => "OUT_OF_MEMORY",
        }
    }
}
