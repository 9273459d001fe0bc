//! What can be wrong with a file of tensors.

/// Why a file cannot be used. Each says what was expected, what came, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FileError {
    /// The bytes are no checkpoint at all.
    #[error("this is {found}, not a model's weights: expected a .safetensors file or a PyTorch .pt file")]
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
        "the PyTorch file is not safe: its pickle would run `{global}`, and a checkpoint only needs data. Nothing was executed; get the file from its official source"
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
    #[error("tensor `{name}` is {dtype}, expected f64, f32, f16 or bf16: convert the file first")]
    Dtype {
        /// The tensor, as the file names it.
        name: String,
        /// Its format.
        dtype: String,
    },
    /// A value that f16 cannot hold.
    #[error("tensor `{name}` holds {value}, which f16 cannot: pack it as f32")]
    Overflow {
        /// The tensor's name.
        name: String,
        /// The value.
        value: f32,
    },
}

impl FileError {
    /// A stable name for programs: `WEIGHTS_CORRUPT`, `WEIGHTS_UNSAFE` or `WEIGHTS_UNSUPPORTED`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } | Self::Truncated { .. } => "WEIGHTS_CORRUPT",
            Self::UnsafePickle { .. } => "WEIGHTS_UNSAFE",
            Self::NotWeights { .. }
            | Self::Unsupported { .. }
            | Self::Dtype { .. }
            | Self::Overflow { .. } => "WEIGHTS_UNSUPPORTED",
        }
    }

    pub(crate) fn corrupt(reason: impl Into<String>) -> Self {
        Self::Corrupt {
            reason: reason.into(),
        }
    }
}

/// What a file says, short enough for a message.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(200).collect()
}
