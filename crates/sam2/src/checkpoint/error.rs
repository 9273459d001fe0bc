//! The errors of reading a checkpoint of SAM 2.

use sam2_checkpoint::FileError;

use crate::{ConfigError, WeightsError};

/// Why a checkpoint cannot be used. Each message says what was expected, what was found, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CheckpointError {
    /// The file itself cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tensors' names belong to another model.
    #[error(
        "these are not SAM 2's tensors ({found}): expected official names (`image_encoder.trunk.…`) or transformers names (`vision_encoder.backbone.…`)"
    )]
    UnknownNames {
        /// What was found instead.
        found: String,
    },
    /// The file contains a pickled module, with its code, instead of its tensors.
    #[error(
        "the file contains a Python object (`{class}`) instead of its tensors, and its code is not run: in Python, with the code of that class, save only model.state_dict() (torch.save(model.state_dict(), \"weights.pt\"))"
    )]
    WholeModule {
        /// The object's class.
        class: String,
    },
    /// Whole modules of the network are missing.
    #[error(
        "the file has only a part of the network: {missing} is missing, and it has {found}. Give a checkpoint of the whole model, into which a part that was trained alone has to be merged first"
    )]
    Incomplete {
        /// The official names of the missing modules.
        missing: String,
        /// The official names of the modules in the file.
        found: String,
    },
    /// The tensors have sizes that no official variant has, and the file does not contain its configuration.
    #[error(
        "the variant cannot be told from the tensors ({found}), and the file does not say its configuration: it has to be given"
    )]
    UnknownVariant {
        /// The sizes that were found.
        found: String,
    },
    /// The configuration in the file's metadata cannot be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor is missing or has another shape.
    #[error(transparent)]
    Mismatch(#[from] WeightsError),
    /// The file contains a tensor of SAM 2 that the configuration does not need.
    #[error(
        "the weights have a tensor `{name}` (shape {shape:?}) that the configuration does not have: the file is of another variant than the configuration"
    )]
    Surplus {
        /// The tensor's official name, or its name in the file if there is no official one.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
}

impl CheckpointError {
    /// A stable code for programs: `WEIGHTS_CORRUPT`, `WEIGHTS_UNSAFE`, `WEIGHTS_UNSUPPORTED` or `WEIGHTS_MISMATCH`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Mismatch(_) | Self::Surplus { .. } | Self::Incomplete { .. } => "WEIGHTS_MISMATCH",
            Self::UnknownNames { .. }
            | Self::WholeModule { .. }
            | Self::UnknownVariant { .. }
            | Self::Config(_) => "WEIGHTS_UNSUPPORTED",
        }
    }
}
