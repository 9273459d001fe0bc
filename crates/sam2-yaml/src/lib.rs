//! Reads the official YAML files of SAM 2's configurations (`sam2/configs` of the official package). It is a crate of its own,
//! as the browser's builds do not need it: there, JavaScript reads YAML.

use sam2::Sam2Config;
use sam2::config::{ConfigError, MAX_CONFIG};
use serde_json::Value;

/// Reads the text of an official YAML file.
///
/// # Errors
/// [`ConfigError::Syntax`] if the text is not YAML with a `model` mapping or is longer than [`MAX_CONFIG`], and the errors of
/// [`Sam2Config::from_official`].
pub fn config(text: &str) -> Result<Sam2Config, ConfigError> {
    let error = |reason: String| ConfigError::Syntax { reason };
    if text.len() > MAX_CONFIG {
        return Err(error(format!(
            "it has {} bytes, more than {MAX_CONFIG}",
            text.len()
        )));
    }
    let file: Value = serde_saphyr::from_str(text)
        .map_err(|cause| error(cause.to_string().lines().next().unwrap_or("").into()))?;
    match file.get("model") {
        Some(model @ Value::Object(_)) => Sam2Config::from_official(model),
        _ => Err(error("it has no `model:` mapping".into())),
    }
}
