//! Errors on their way to JavaScript.

use sam2::WeightsError;
use sam2_predict::{PredictError, VideoError};
use sam2_weights::CheckpointError;
use wasm_bindgen::JsValue;

/// A stable code for programs and a message for people.
pub struct JsFailure {
    code: &'static str,
    message: String,
}

impl JsFailure {
    /// With a code of the TypeScript package's `Sam2ErrorCode`.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<PredictError> for JsFailure {
    fn from(error: PredictError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<VideoError> for JsFailure {
    fn from(error: VideoError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<CheckpointError> for JsFailure {
    fn from(error: CheckpointError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<WeightsError> for JsFailure {
    fn from(error: WeightsError) -> Self {
        let code = match error {
            WeightsError::Width { .. } => "WEIGHTS_UNSUPPORTED",
            _ => "WEIGHTS_MISMATCH",
        };
        Self::new(code, error.to_string())
    }
}

impl From<JsFailure> for JsValue {
    fn from(failure: JsFailure) -> Self {
        let error = js_sys::Error::new(&failure.message);
        // A fresh Error object takes a property.
        let _ = js_sys::Reflect::set(&error, &"code".into(), &failure.code.into());
        error.into()
    }
}
