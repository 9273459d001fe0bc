//! Conversion of prompts from JavaScript objects, and of predictions to them.

use js_sys::{Array, Float32Array, Reflect};
use sam2_predict::{BoxPrompt, LowResMask, PointPrompt, Prediction, Prompt};
use sam2_wasm::{JsFailure, object};
use serde::Deserialize;
use wasm_bindgen::{JsCast, JsValue};

#[derive(Deserialize)]
struct JsPoint {
    x: f32,
    y: f32,
    label: i32,
}

/// A prompt without its mask, which is a typed array and is copied separately.
#[derive(Deserialize)]
struct JsPrompt {
    #[serde(default)]
    points: Option<Vec<JsPoint>>,
    #[serde(default, rename = "box")]
    box_: Option<[f32; 4]>,
    #[serde(default)]
    multimask: Option<bool>,
}

/// Converts a prompt from a JavaScript object.
///
/// # Errors
/// `INVALID_PROMPT` if the object does not have the type in [`TYPES`].
pub fn from_js(value: &JsValue) -> Result<Prompt, JsFailure> {
    let prompt: JsPrompt = serde_wasm_bindgen::from_value(value.clone()).map_err(|error| {
        JsFailure::new(
            "INVALID_PROMPT",
            format!("the prompt is not of the right form: {error}"),
        )
    })?;
    let mask = Reflect::get(value, &"mask".into()).unwrap_or(JsValue::UNDEFINED);
    let mask = if mask.is_undefined() || mask.is_null() {
        None
    } else {
        let array = mask.dyn_into::<Float32Array>().map_err(|_| {
            JsFailure::new(
                "INVALID_PROMPT",
                "the mask prompt must be a Float32Array: an earlier mask's `logits`",
            )
        })?;
        Some(array.to_vec())
    };
    Ok(Prompt {
        points: (prompt.points.unwrap_or_default().into_iter())
            .map(|JsPoint { x, y, label }| PointPrompt { x, y, label })
            .collect(),
        box_: prompt.box_.map(|[x0, y0, x1, y1]| BoxPrompt { x0, y0, x1, y1 }),
        mask,
        multimask: prompt.multimask.unwrap_or(false),
    })
}

/// Converts a prediction to a `WasmPrediction`.
pub fn to_js(prediction: &Prediction) -> JsValue {
    let side = prediction.masks.first().map_or(0, LowResMask::side);
    object(&[
        ("objectScore", prediction.object_score.into()),
        ("logitsWidth", (side as u32).into()),
        ("logitsHeight", (side as u32).into()),
        (
            "masks",
            prediction.masks.iter().map(mask_to_js).collect::<Array>().into(),
        ),
    ])
}

fn mask_to_js(mask: &LowResMask) -> JsValue {
    let (logits, mask_logits) = (mask.logits(), mask.mask_logits());
    let differs = (logits != mask_logits).then(|| Float32Array::from(&mask_logits[..]));
    object(&[
        ("score", mask.score().into()),
        ("logits", Float32Array::from(&logits[..]).into()),
        ("maskLogits", differs.into()),
    ])
}
