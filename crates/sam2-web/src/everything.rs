//! All masks of a picture, batch by batch.

use std::ops::ControlFlow;

use js_sys::{Array, Function, Object, Promise, Uint32Array};
use sam2_predict::{
    FoundMasks, ImageEmbedding, ImagePredictor, MaskGenerator, MaskGeneratorOptions, MaskRecord, PictureRef,
    PixelFormat,
};
use sam2_wasm::{JsFailure, object};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// See `Embedding.generate`.
///
/// # Errors
/// As there.
pub async fn generate(
    predictor: &ImagePredictor,
    image: &ImageEmbedding,
    options: JsValue,
    rgba: Option<&[u8]>,
    found: &Function,
) -> Result<JsValue, JsFailure> {
    let options = read_options(&options)?;
    let generator = MaskGenerator::new(predictor, options)?;
    let picture = rgba.map(|rgba| PictureRef::new(rgba, PixelFormat::Rgba, image.width(), image.height()));
    let mut told = Ok(());
    let records = generator
        .generate(
            image,
            picture.transpose()?,
            async |batch: FoundMasks<'_>| match tell(found, &batch).await {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) => ControlFlow::Break(()),
                Err(thrown) => {
                    told = Err(thrown);
                    ControlFlow::Break(())
                }
            },
        )
        .await?;
    told.map_err(|thrown: JsValue| {
        let what = thrown.as_string().unwrap_or_else(|| format!("{thrown:?}"));
        JsFailure::new(
            "INTERNAL",
            format!("what was found could not be handed on: {what}"),
        )
    })?;
    Ok(records
        .iter()
        .map(|record| object(&fields(record)))
        .collect::<Array>()
        .into())
}

/// `WasmGeneratorOptions`; those that are undefined are as by default.
fn read_options(given: &JsValue) -> Result<MaskGeneratorOptions, JsFailure> {
    let mut options = MaskGeneratorOptions::default();
    for entry in Object::entries(given.unchecked_ref()).iter() {
        let (name, value) = (Array::from(&entry).get(0), Array::from(&entry).get(1));
        let name = name.as_string().unwrap_or_default();
        let number = value.as_f64().or_else(|| value.as_bool().map(f64::from));
        match number {
            Some(number) => options.set(&in_snake_case(&name), number)?,
            None if value.is_undefined() => (),
            None => {
                let message = format!("`{name}` must be a number, or true or false");
                return Err(JsFailure::new("UNSUPPORTED_INPUT", message));
            }
        }
    }
    Ok(options)
}

/// `pointsPerSide` as the official code spells it: `points_per_side`.
fn in_snake_case(name: &str) -> String {
    let mut spelled = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            spelled.push('_');
        }
        spelled.push(letter.to_ascii_lowercase());
    }
    spelled
}

/// Whether to go on.
async fn tell(found: &Function, batch: &FoundMasks<'_>) -> Result<bool, JsValue> {
    let added = batch.added.iter().map(|(id, record)| {
        let mut fields = fields(record).to_vec();
        fields.push(("id", (*id).into()));
        object(&fields)
    });
    let removed = batch.removed.iter().map(|&id| JsValue::from(id));
    let batch = object(&[
        ("added", added.collect::<Array>().into()),
        ("removed", removed.collect::<Array>().into()),
        ("pointsDone", (batch.points_done as f64).into()),
        ("points", (batch.points as f64).into()),
    ]);
    let answer = found.call1(&JsValue::NULL, &batch)?;
    Ok(JsFuture::from(Promise::resolve(&answer)).await?.is_truthy())
}

/// What a `WasmMaskRecord` holds.
fn fields(record: &MaskRecord) -> [(&'static str, JsValue); 7] {
    let numbers = |numbers: &[f64]| {
        numbers
            .iter()
            .map(|&number| JsValue::from(number))
            .collect::<Array>()
            .into()
    };
    let edges = |edges: [usize; 4]| numbers(&edges.map(|edge| edge as f64));
    [
        ("counts", Uint32Array::from(record.segmentation.counts()).into()),
        ("area", record.area.into()),
        ("bbox", edges(record.bbox)),
        ("predictedIou", record.predicted_iou.into()),
        ("pointCoords", numbers(&record.point_coords.map(f64::from))),
        ("stabilityScore", record.stability_score.into()),
        ("cropBox", edges(record.crop_box)),
    ]
}
