//! What can be wrong with a checkpoint.

use sam2::{ConfigError, WeightsError};

/// Why a checkpoint cannot be used. Each says what was expected, what came, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes are no checkpoint at all.
    #[error("this is {found}, not SAM 2 weights: expected a .safetensors file or an official .pt file")]
    NotWeights {
        /// What the bytes look like.
        found: String,
    },
    /// The file is damaged.
    #[error("the weights file is damaged ({reason}): download it again")]
    Corrupt {
        /// What does not fit.
        reason: String,
    },
    /// The file ends before a tensor does.
    #[error(
        "the weights file is cut short: tensor `{name}` ends at byte {needed}, but only {available} bytes are there: download it again"
    )]
    Truncated {
        /// The tensor, as the file names it.
        name: String,
        /// Where its last byte would be, counted from the start of the file or of its storage.
        needed: u64,
        /// How many bytes there are.
        available: u64,
    },
    /// The pickle asks for something to be executed. Nothing was.
    #[error(
        "the .pt file is not safe: its pickle refers to `{global}`, but only tensors are accepted. Nothing was executed; get the file from its official source"
    )]
    UnsafePickle {
        /// The Python name that was asked for.
        global: String,
    },
    /// A kind of file or a feature of one that is not read.
    #[error("the weights file cannot be read: {what}. {advice}")]
    Unsupported {
        /// What came.
        what: String,
        /// What to do about it.
        advice: String,
    },
    /// A tensor's number format is not read.
    #[error("tensor `{name}` is {dtype}, expected f32, f16 or bf16: convert the file first")]
    Dtype {
        /// The tensor, as the file names it.
        name: String,
        /// Its format.
        dtype: String,
    },
    /// The tensors' names are of another model.
    #[error(
        "these are not SAM 2's tensors (the first is `{example}`): expected official names (`image_encoder.trunk.…`) or transformers names (`vision_encoder.backbone.…`)"
    )]
    UnknownNames {
        /// The first name in the file.
        example: String,
    },
    /// The tensors are SAM 2's, of a size that no official variant has, and the file does not say its configuration.
    #[error(
        "the variant cannot be told from the tensors ({found}): give the configuration (--config NAME or --config FILE.yaml)"
    )]
    UnknownVariant {
        /// The sizes that were found.
        found: String,
    },
    /// The configuration in the file's metadata is not one that can be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor is missing or of another shape.
    #[error(transparent)]
    Mismatch(#[from] WeightsError),
    /// A tensor that the configuration has no place for.
    #[error(
        "the weights have a tensor `{name}` (shape {shape:?}) that the configuration has no place for: the file is of another variant than the configuration"
    )]
    Surplus {
        /// The tensor, as the file names it if the name has no official form.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A value that f16 cannot hold.
    #[error("tensor `{name}` holds {value}, which f16 cannot: pack it as f32")]
    Overflow {
        /// Official name.
        name: String,
        /// The value.
        value: f32,
    },
}

impl CheckpointError {
    /// A stable name for programs: `WEIGHTS_CORRUPT`, `WEIGHTS_UNSAFE`, `WEIGHTS_UNSUPPORTED` or `WEIGHTS_MISMATCH`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } | Self::Truncated { .. } => "WEIGHTS_CORRUPT",
            Self::UnsafePickle { .. } => "WEIGHTS_UNSAFE",
            Self::Mismatch(_) | Self::Surplus { .. } => "WEIGHTS_MISMATCH",
            Self::NotWeights { .. }
            | Self::Unsupported { .. }
            | Self::Dtype { .. }
            | Self::UnknownNames { .. }
            | Self::UnknownVariant { .. }
            | Self::Config(_)
            | Self::Overflow { .. } => "WEIGHTS_UNSUPPORTED",
        }
    }

    pub(crate) fn corrupt(reason: impl Into<String>) -> Self {
        Self::Corrupt {
            reason: reason.into(),
        }
    }
}
