//! The errors of building a network, and of looking for something.

use sam2_ops::WeightsError;

use crate::{CheckpointError, ConfigError, TokenizerError};

/// Why a detector cannot be built from a configuration and tensors.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// The configuration does not describe a network that can be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor does not match the configuration.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The file does not match the configuration.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The vocabulary cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl LoadError {
    /// A stable code for programs: `WEIGHTS_CORRUPT`, `WEIGHTS_UNSAFE`, `WEIGHTS_UNSUPPORTED`, `WEIGHTS_MISMATCH` or
    /// `UNSUPPORTED_INPUT`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Weights(_) => "WEIGHTS_MISMATCH",
            Self::Checkpoint(error) => error.code(),
            Self::Tokenizer(error) => error.code(),
        }
    }
}

/// Why nothing can be looked for. Each message says what was expected, what was found, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// The picture has no pixels.
    #[error("the picture is {width}x{height} pixels: both sides must be at least 1")]
    EmptyPicture {
        /// The picture's width, in pixels.
        width: usize,
        /// The picture's height, in pixels.
        height: usize,
    },
    /// There are no words.
    #[error("there is nothing to look for: give one or more labels, such as \"person\" or \"a red car\"")]
    NoLabels,
    /// A label has no letters.
    #[error("label {index} is empty: say what to look for, such as \"a red car\"")]
    EmptyLabel {
        /// The index of the label, from 0.
        index: usize,
    },
    /// Words were given to a detector that has none.
    #[error(
        "this detector has no text tower, so it takes no words: load one that has, or give label embeddings or an example"
    )]
    NoText,
    /// Label embeddings belong to another model.
    #[error(
        "the label embeddings have a width of {found}, and the detector's {expected}: make them with the same detector"
    )]
    Width {
        /// The detector's width.
        expected: usize,
        /// That of the embeddings.
        found: usize,
    },
    /// The example is not a box inside the picture.
    #[error(
        "the example's box ({}, {}, {}, {}) is empty or outside the picture of {width}x{height}: it is (left, top, right, bottom) in the picture's pixels",
        edges[0], edges[1], edges[2], edges[3]
    )]
    Example {
        /// The box's left, top, right and bottom edges.
        edges: [f32; 4],
        /// The picture's width in pixels.
        width: usize,
        /// The picture's height in pixels.
        height: usize,
    },
    /// An option has a value that is not allowed.
    #[error("`{option}` is {value}, expected {wanted}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// The value that was given.
        value: String,
        /// The values that are allowed.
        wanted: &'static str,
    },
    /// The device failed.
    #[error("the device failed while computing: {0}")]
    Device(String),
}

impl DetectError {
    /// A stable code for programs: `INVALID_IMAGE`, `INVALID_PROMPT`, `UNSUPPORTED_INPUT` or `DEVICE_LOST`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyPicture { .. } => "INVALID_IMAGE",
            Self::NoLabels | Self::EmptyLabel { .. } | Self::Example { .. } => "INVALID_PROMPT",
            Self::NoText | Self::Width { .. } | Self::Option { .. } => "UNSUPPORTED_INPUT",
            Self::Device(_) => "DEVICE_LOST",
        }
    }
}
