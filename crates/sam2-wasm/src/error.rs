//! Errors for JavaScript.

use sam2::{CheckpointError, LoadError};
use sam2_predict::{PredictError, VideoError};
use wasm_bindgen::JsValue;

/// An error with a stable code for programs and a message for users.
#[derive(Clone)]
pub struct JsFailure {
    code: &'static str,
    message: String,
}

impl JsFailure {
    /// An error with a code of the TypeScript package's `Sam2ErrorCode`.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// `OUT_OF_MEMORY`, for the memory of a GPU.
    pub fn out_of_memory(why: &str) -> Self {
        Self::new(
            "OUT_OF_MEMORY",
            format!(
                "the GPU ran out of memory ({why}): load again, with a smaller model or picture, or close what else uses \
                 the GPU"
            ),
        )
    }

    /// `DEVICE_LOST`, or `OUT_OF_MEMORY` if the browser or the driver says that this was the reason.
    pub fn lost(why: &str) -> Self {
        let lower = why.to_lowercase();
        if lower.contains("out of memory") || lower.contains("out_of_memory") || lower.contains("outofmemory")
        {
            return Self::out_of_memory(why);
        }
        Self::new(
            "DEVICE_LOST",
            format!("the GPU was lost ({why}): call reload, or load again"),
        )
    }

    /// Whether the error comes from the device and not from the input.
    pub fn is_of_the_device(&self) -> bool {
        matches!(self.code, "DEVICE_LOST" | "OUT_OF_MEMORY")
    }
}

impl From<PredictError> for JsFailure {
    fn from(error: PredictError) -> Self {
        match error {
            PredictError::Device(why) => Self::lost(&why),
            PredictError::Option { .. } => Self::new(error.code(), in_camel_case(&error.to_string())),
            _ => Self::new(error.code(), error.to_string()),
        }
    }
}

impl From<VideoError> for JsFailure {
    fn from(error: VideoError) -> Self {
        match error {
            VideoError::Predict(error) => error.into(),
            _ => Self::new(error.code(), error.to_string()),
        }
    }
}

impl From<CheckpointError> for JsFailure {
    fn from(error: CheckpointError) -> Self {
        let advice = match error {
            CheckpointError::UnknownVariant { .. } => {
                " as `config`, a variant's name or the text of the model's own configuration"
            }
            _ => "",
        };
        Self::new(error.code(), format!("{error}{advice}"))
    }
}

impl From<LoadError> for JsFailure {
    fn from(error: LoadError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

#[cfg(feature = "owlv2")]
mod of_owlv2 {
    use owlv2::{CheckpointError, DetectError, LoadError};

    use super::{JsFailure, in_camel_case};

    impl From<DetectError> for JsFailure {
        fn from(error: DetectError) -> Self {
            match error {
                DetectError::Device(why) => Self::lost(&why),
                DetectError::Option { .. } => Self::new(error.code(), in_camel_case(&error.to_string())),
                _ => Self::new(error.code(), error.to_string()),
            }
        }
    }

    impl From<CheckpointError> for JsFailure {
        fn from(error: CheckpointError) -> Self {
            Self::new(error.code(), error.to_string())
        }
    }

    impl From<LoadError> for JsFailure {
        fn from(error: LoadError) -> Self {
            Self::new(error.code(), error.to_string())
        }
    }
}

/// `points_per_side` as JavaScript spells it: `pointsPerSide`.
fn in_camel_case(text: &str) -> String {
    let mut parts = text.split('_');
    let mut spelled = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let first = part.chars().next().map(|first| first.to_ascii_uppercase());
        spelled.extend(first);
        spelled.push_str(part.get(1..).unwrap_or_default());
    }
    spelled
}

impl From<JsFailure> for JsValue {
    fn from(failure: JsFailure) -> Self {
        let error = js_sys::Error::new(&failure.message);
        // Setting a property of a new object cannot fail.
        let _ = js_sys::Reflect::set(&error, &"code".into(), &failure.code.into());
        error.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_named_as_in_javascript() {
        assert_eq!(
            in_camel_case("`crop_n_layers` is 9, expected a whole number from 0 to 8"),
            "`cropNLayers` is 9, expected a whole number from 0 to 8"
        );
        assert_eq!(in_camel_case("no option"), "no option");
    }
}
