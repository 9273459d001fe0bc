//! The errors of finding objects.

use sam2_predict::PredictError;

/// Why nothing can be looked for. Each message says what was expected, what was found, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// There are no words.
    #[error("there is nothing to look for: give one or more labels, such as \"person\" or \"a red car\"")]
    NoLabels,
    /// A label has no letters.
    #[error("label {index} is empty: say what to look for, such as \"a red car\"")]
    EmptyLabel {
        /// The index of the label.
        index: usize,
    },
    /// The example is not a box inside the picture.
    #[error(
        "the example's box ({x0}, {y0}, {x1}, {y1}) is empty or outside the picture of {width}x{height}: it is (left, top, right, bottom) in the picture's pixels"
    )]
    Example {
        /// The left edge.
        x0: f32,
        /// The top edge.
        y0: f32,
        /// The right edge.
        x1: f32,
        /// The bottom edge.
        y1: f32,
        /// The picture's width in pixels.
        width: usize,
        /// The picture's height in pixels.
        height: usize,
    },
    /// The masks could not be predicted, or the device failed.
    #[error(transparent)]
    Predict(#[from] PredictError),
}
