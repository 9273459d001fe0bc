//! The errors of reading and writing files of tensors.

/// Why a file cannot be used. Each message says what was expected, what was found, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FileError {
    /// The bytes are not a checkpoint.
    #[error("this is {found}, not a model's weights: expected a .safetensors file or a PyTorch .pt file")]
    NotWeights {
        /// What the bytes seem to be.
        found: String,
    },
    /// The file is damaged.
    #[error("the weights file is damaged ({reason}): download it again")]
    Corrupt {
        /// What is wrong with it.
        reason: String,
    },
    /// The file ends before a tensor does.
    #[error(
        "the weights file is cut short: tensor `{name}` ends at byte {needed}, but only {available} bytes are there: download it again"
    )]
    Truncated {
        /// The tensor's name in the file.
        name: String,
        /// The end of the tensor in bytes, from the start of the file or of its storage.
        needed: u64,
        /// The number of bytes in the file or storage.
        available: u64,
    },
    /// The pickle asks for a function call that data does not need. Nothing was executed.
    #[error(
        "the PyTorch file is not safe: its pickle would run `{global}`, and a checkpoint only needs data. Nothing was executed; get the file from its official source"
    )]
    UnsafePickle {
        /// The Python name of the function.
        global: String,
    },
    /// The file uses a format or a feature that is not supported.
    #[error("the weights file cannot be read: {what}. {advice}")]
    Unsupported {
        /// What was found.
        what: String,
        /// What to do about it.
        advice: String,
    },
    /// A tensor's number format is not read.
    #[error("tensor `{name}` is {dtype}, expected f64, f32, f16, bf16 or q8: convert the file first")]
    Dtype {
        /// The tensor's name in the file.
        name: String,
        /// Its number format.
        dtype: String,
    },
    /// An 8-bit tensor's scales are missing or wrong.
    #[error(
        "the 8-bit tensor `{name}` cannot be read ({reason}): write the file again by `sam2 convert --dtype q8`"
    )]
    Scale {
        /// The tensor's name in the file.
        name: String,
        /// What is wrong with its scales.
        reason: String,
    },
    /// A value is too large for the format that is to be written, or not finite, which 8-bit numbers cannot be.
    #[error("tensor `{name}` holds {value}, which {dtype} cannot: pack it as f32")]
    Overflow {
        /// The tensor's name.
        name: String,
        /// The value.
        value: f32,
        /// The format, `f16` or `q8`.
        dtype: &'static str,
    },
}

impl FileError {
    /// A stable code for programs: `WEIGHTS_CORRUPT`, `WEIGHTS_UNSAFE` or `WEIGHTS_UNSUPPORTED`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } | Self::Truncated { .. } | Self::Scale { .. } => "WEIGHTS_CORRUPT",
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

/// A text from a file, cut to a length that fits a message.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(200).collect()
}
