//! The errors of finding objects.

use owlv2::DetectError;
use sam2_predict::PredictError;

/// Why nothing can be found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FindError {
    /// No boxes can be found.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// The boxes' masks cannot be predicted.
    #[error(transparent)]
    Predict(#[from] PredictError),
}
