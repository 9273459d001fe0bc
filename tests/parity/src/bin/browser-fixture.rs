//! Writes what the browser tests compare with: checkpoints, a picture, prompts as the web API takes them, and
//! what this project's network answers natively on the CPU.
//!
//!     cargo run -p parity --bin browser-fixture -- OUTDIR

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use parity::{COMMITTED, Fixture, block_on};
use safetensors::tensor::Dtype;
use sam2::mask_decoder::DynamicMultimask;
use sam2_predict::{ImagePredictor, Mask, Prediction, Prompt};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(
        std::env::args_os()
            .nth(1)
            .ok_or("give the folder to write into")?,
    );
    std::fs::create_dir_all(&out)?;

    let mut models = serde_json::Map::new();
    for name in COMMITTED {
        let fixture = Fixture::committed(name);
        let config = fixture.config().to_official();
        let metadata = HashMap::from([("config".to_string(), config.to_string())]);
        let file = format!("{name}.safetensors");
        std::fs::write(
            out.join(&file),
            fixture.recipe().to_safetensors(Dtype::F16, metadata),
        )?;
        models.insert(name.into(), json!({ "weights": file, "cases": cases(&fixture)? }));
    }

    // The picture is the same in all of them.
    let fixture = Fixture::committed(COMMITTED[0]);
    let [width, height] = fixture.picture_size();
    write_png(&out.join("picture.png"), fixture.bytes("img.u8"), [width, height])?;
    let picture = json!({ "file": "picture.png", "width": width, "height": height });
    let all = json!({ "picture": picture, "models": models });
    std::fs::write(out.join("cases.json"), serde_json::to_string(&all)?)?;
    Ok(())
}

/// Every case that the web API can say, with the native answer.
fn cases(fixture: &Fixture) -> Result<Vec<Value>, Box<dyn Error>> {
    let [width, height] = fixture.picture_size();
    let predictor = ImagePredictor::new(fixture.image_model());
    let image = block_on(predictor.set_image(fixture.picture()))?;
    let mut written = Vec::new();
    for case in fixture.predict_cases() {
        if case.dynamic != Some(DynamicMultimask::default()) {
            continue;
        }
        let prompts = case.prompts(width, height, fixture.floats("pred.mask_input"));
        let expected = block_on(predictor.predict_batch(&image, &prompts))?;
        written.push(json!({
            "name": case.name,
            "prompts": prompts.iter().map(prompt_json).collect::<Vec<_>>(),
            "expected": expected.iter().map(prediction_json).collect::<Vec<_>>(),
        }));
    }
    Ok(written)
}

/// As `image.predict` takes it.
fn prompt_json(prompt: &Prompt) -> Value {
    let mut json = json!({ "multimask": prompt.multimask });
    if !prompt.points.is_empty() {
        let points = prompt.points.iter();
        json["points"] = points
            .map(|p| json!({ "x": p.x, "y": p.y, "label": p.label }))
            .collect();
    }
    if let Some(b) = prompt.box_ {
        json["box"] = json!([b.x0, b.y0, b.x1, b.y1]);
    }
    if let Some(mask) = &prompt.mask {
        json["mask"] = json!(mask);
    }
    json
}

fn prediction_json(prediction: &Prediction) -> Value {
    let mask = |mask: &Mask| {
        let logits: Vec<u8> = mask.logits().iter().flat_map(|v| v.to_le_bytes()).collect();
        json!({
            "score": mask.score(),
            "area": mask.area(),
            // f32, little-endian, row-major, `logitsSide` squared.
            "logits": BASE64_STANDARD.encode(logits),
            "logitsSide": mask.logits_side(),
            // A bit a pixel, row-major, the first pixel in the lowest bit.
            "bits": BASE64_STANDARD.encode(mask.bits()),
        })
    };
    json!({
        "objectScore": prediction.object_score,
        "masks": prediction.masks.iter().map(mask).collect::<Vec<_>>(),
    })
}

fn write_png(path: &Path, rgb: &[u8], [width, height]: [usize; 2]) -> Result<(), Box<dyn Error>> {
    let file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut encoder = png::Encoder::new(file, width.try_into()?, height.try_into()?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(rgb)?;
    Ok(())
}
