//! Values of JSON files.

use sam2_predict::MAX_PIXELS;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{LabelsError, Size};

/// An object's fields.
pub type Fields = Map<String, Value>;

/// JSON's values. A byte order mark before them, as some editors on Windows write it, is passed over.
///
/// # Errors
/// The text is no JSON. `format` is what the file should be, for the message.
pub fn parse_json(text: &[u8], format: &'static str) -> Result<Value, LabelsError> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    serde_json::from_slice(text).map_err(|error| LabelsError::Format {
        format,
        reason: format!("it is no JSON ({error})"),
    })
}

/// A coordinate, written without a decimal point where it is whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinate(pub f64);

impl Serialize for Coordinate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Up to here every whole number is its own.
        const EXACT: f64 = (1u64 << 53) as f64;
        match self.0.fract() == 0.0 && self.0.abs() <= EXACT {
            true => serializer.serialize_i64(self.0 as i64),
            false => serializer.serialize_f64(self.0),
        }
    }
}

/// A whole number of pixels from 1, also as text.
fn pixels(value: Option<&Value>) -> Option<u64> {
    let number = match value? {
        Value::String(text) => text.trim().parse().ok()?,
        value => value.as_f64()?,
    };
    (number >= 1.0 && number.fract() == 0.0).then_some(number as u64)
}

/// Both sides; none where one is unknown.
///
/// # Errors
/// There are too many pixels.
pub fn size_of(width: Option<&Value>, height: Option<&Value>) -> Result<Option<Size>, LabelsError> {
    let (Some(width), Some(height)) = (pixels(width), pixels(height)) else {
        return Ok(None);
    };
    checked_size("the picture", width, height).map(Some)
}

/// # Errors
/// There are too many pixels in `what`.
pub fn checked_size(what: &str, width: u64, height: u64) -> Result<Size, LabelsError> {
    let fits = width
        .checked_mul(height)
        .is_some_and(|pixels| pixels <= MAX_PIXELS as u64);
    match fits {
        true => Size::new(width as usize, height as usize),
        false => Err(LabelsError::PixelCount {
            what: what.into(),
            width,
            height,
        }),
    }
}

/// Pairs of numbers; none where something else is among them. Of a point of more numbers the first two count.
pub fn points_of(values: Option<&Value>) -> Option<Vec<[f64; 2]>> {
    let point = |point: &Value| Some([point.get(0)?.as_f64()?, point.get(1)?.as_f64()?]);
    values?.as_array()?.iter().map(point).collect()
}
