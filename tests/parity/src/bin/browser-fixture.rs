//! Writes the fixture of the browser tests: checkpoints, a picture, a clip, prompts for the web API, and the native
//! results of this project's network on the CPU.
//!
//!     cargo run -p parity --bin browser-fixture -- OUTDIR

use std::collections::HashMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use parity::events::{Event, prompt};
use parity::{COMMITTED, EDGETAM, Fixture, block_on, generator_options, natively};
use safetensors::tensor::Dtype;
use sam2::checkpoint::{Packing, pack};
use sam2::mask_decoder::DynamicMultimask;
use sam2::{Checkpoint, ImageModel};
use sam2_predict::{
    FoundMasks, ImagePredictor, Mask, MaskGenerator, MaskRecord, PictureRef, PixelFormat, Prediction, Prompt,
    VideoMasks, VideoOptions, VideoSession,
};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(
        std::env::args_os()
            .nth(1)
            .ok_or("give the folder to write into")?,
    );
    std::fs::create_dir_all(&out)?;

    let mut models = serde_json::Map::new();
    for name in COMMITTED.into_iter().chain([EDGETAM]) {
        let fixture = Fixture::committed(name);
        let config = fixture.config().to_official();
        let metadata = HashMap::from([("config".to_string(), config.to_string())]);
        let file = format!("{name}.safetensors");
        std::fs::write(
            out.join(&file),
            fixture.recipe().to_safetensors(Dtype::F16, metadata),
        )?;
        let cases = cases(&fixture, fixture.image_model(&natively()))?;
        let everything = everything(&fixture)?;
        models.insert(
            name.into(),
            json!({ "weights": file, "cases": cases, "everything": everything }),
        );
    }

    let fixture = Fixture::committed(COMMITTED[0]);
    let config = fixture.config();
    let file = pack(&mut &fixture.recipe(), &config, true, Packing::Q8)?;
    std::fs::write(out.join("micro_q8.safetensors"), &file)?;
    let model = ImageModel::load(&config, &mut Checkpoint::from_bytes(file)?, &natively())?;
    models.insert(
        "micro_q8".into(),
        json!({ "weights": "micro_q8.safetensors", "cases": cases(&fixture, model)? }),
    );

    // The picture is the same in all of them.
    let [width, height] = fixture.picture_size();
    write_png(&out.join("picture.png"), fixture.bytes("img.u8"), [width, height])?;
    let picture = json!({ "file": "picture.png", "width": width, "height": height });
    let all = json!({ "picture": picture, "models": models });
    std::fs::write(out.join("cases.json"), serde_json::to_string(&all)?)?;

    // The frames, one after another, as red, green and blue bytes, and the same script for each model.
    std::fs::write(out.join("clip.rgb"), fixture.bytes("vid.frames_u8"))?;
    for name in [COMMITTED[0], EDGETAM] {
        let of_model = Fixture::committed(name);
        assert_eq!(
            of_model.bytes("vid.frames_u8"),
            fixture.bytes("vid.frames_u8"),
            "{name}: another clip"
        );
        let calls = serde_json::to_string(&video(&of_model, "main"))?;
        std::fs::write(out.join(format!("video-{name}.json")), calls)?;
    }
    Ok(())
}

/// A script of the official video predictor as calls of the web API, with the native results.
fn video(fixture: &Fixture, script: &str) -> Value {
    let [count, height, width, _] = *fixture.shape("vid.frames_u8") else {
        panic!("four dimensions")
    };
    let frames: Vec<PictureRef> = fixture
        .bytes("vid.frames_u8")
        .chunks_exact(height * width * 3)
        .map(|bytes| PictureRef::new(bytes, PixelFormat::Rgb, width, height).expect("a frame"))
        .collect();
    // The options of `openVideo` for a stream with `{ corrections: "official", fillHoles: 0 }`.
    let options = VideoOptions {
        fill_hole_area: 0,
        add_all_frames_to_correct_as_cond: false,
        ..VideoOptions::default()
    };
    let model = fixture.video_model(&natively());
    let mut session = VideoSession::new(model.into(), options, [width, height], None).expect("a session");
    let calls: Vec<Value> = fixture
        .video_events(script)
        .into_iter()
        .filter_map(|event| match event {
            Event::Call { op, args, phase } => Some((op, args, phase)),
            _ => None,
        })
        .map(|(op, args, phase)| {
            let mask = format!(
                "vid.{script}.{}.mask_arg",
                phase.split('.').next().expect("numbered")
            );
            let mask = (op == "mask").then(|| fixture.masks(&mask).1);
            video_call(&mut session, &frames, &op, &args, mask)
        })
        .collect();
    json!({ "width": width, "height": height, "frames": count, "calls": calls })
}

/// One call and its result.
fn video_call(
    session: &mut VideoSession,
    frames: &[PictureRef],
    op: &str,
    args: &Value,
    mask: Option<Vec<u8>>,
) -> Value {
    let number = |name: &str| args[name].as_u64().map(|n| n as usize);
    let frame = number("frame_idx").unwrap_or(0);
    let object = number("obj_id").unwrap_or(0) as u32;
    if op == "points" || op == "mask" {
        session.set_frame(frame, frames[frame]).expect("a frame");
    }
    let (call, answers) = match op {
        "points" => {
            let (prompt, keep) = (prompt(args), args["clear_old_points"] == json!(false));
            let masks = block_on(session.add_points_or_box(frame, object, &prompt, !keep)).expect("masks");
            let mut call = prompt_json(&prompt);
            call["keepPoints"] = keep.into();
            (call, vec![masks])
        }
        "mask" => {
            let mask = mask.expect("the script's mask");
            let masks = block_on(session.add_mask(frame, object, &mask)).expect("masks");
            (json!({ "mask": BASE64_STANDARD.encode(mask) }), vec![masks])
        }
        "propagate" => {
            let backward = args["reverse"] == json!(true);
            let (from, further) = (number("start_frame_idx"), number("max_frame_num_to_track"));
            session.begin_tracking().expect("prompts");
            let order = session.frames_to_track(from, further, backward).expect("frames");
            let mut order: Vec<usize> = order.take_while(|&frame| frame < frames.len()).collect();
            if backward {
                order.reverse();
            }
            let track = |frame: usize| {
                session.set_frame(frame, frames[frame]).expect("a frame");
                block_on(session.track(frame, backward)).expect("masks")
            };
            // The web API counts the first frame too.
            let call = json!({ "from": from, "frames": further.map(|n| n + 1), "backward": backward });
            (call, order.into_iter().map(track).collect())
        }
        "clear" => (
            json!({}),
            vec![session.clear_prompts(frame, object).expect("masks")],
        ),
        "remove" => (json!({}), session.remove_object(object)),
        "reset" => {
            session.reset();
            (json!({}), vec![])
        }
        other => panic!("{other}"),
    };
    let expected: Vec<Value> = answers.iter().map(frame_masks_json).collect();
    let mut written = json!({ "op": op, "frame": frame, "object": object, "expected": expected });
    if let (Some(written), Value::Object(call)) = (written.as_object_mut(), call) {
        written.extend(call);
    }
    written
}

fn frame_masks_json(masks: &VideoMasks) -> Value {
    let each = masks.masks.iter().map(|mask| {
        let mut json = mask_json(&mask.mask, &mask.logits);
        json["object"] = mask.object.into();
        json["objectScore"] = mask.object_score.into();
        json
    });
    json!({ "frame": masks.frame, "masks": each.collect::<Vec<_>>() })
}

/// Every case that the web API supports, with the native result of `model`.
fn cases(fixture: &Fixture, model: ImageModel) -> Result<Vec<Value>, Box<dyn Error>> {
    let [width, height] = fixture.picture_size();
    let predictor = ImagePredictor::new(model);
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

/// A prompt for `image.predict`.
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

/// Options of `generate` as the web API takes them, with the native records.
fn everything(fixture: &Fixture) -> Result<Vec<Value>, Box<dyn Error>> {
    let predictor = ImagePredictor::new(fixture.image_model(&natively()));
    let picture = fixture.picture();
    let image = block_on(predictor.set_image(picture))?;
    let mut written = Vec::new();
    // EdgeTAM's fixture has none.
    for (name, official) in fixture.events["amg"].as_object().into_iter().flatten() {
        let (spelled, options) = generator_options(&official["args"]);
        let generator = MaskGenerator::new(&predictor, options)?;
        let go_on = async |_: FoundMasks<'_>| ControlFlow::Continue(());
        let records = block_on(generator.generate(&image, Some(picture), go_on))?;
        let records: Vec<Value> = records.iter().map(record_json).collect();
        written.push(json!({ "name": name, "options": spelled, "expected": records }));
    }
    Ok(written)
}

fn record_json(record: &MaskRecord) -> Value {
    json!({
        "counts": record.segmentation.to_compressed(),
        "area": record.area,
        "bbox": record.bbox,
        "predictedIou": record.predicted_iou,
        "pointCoords": record.point_coords,
        "stabilityScore": record.stability_score,
        "cropBox": record.crop_box,
    })
}

fn prediction_json(prediction: &Prediction) -> Value {
    json!({
        "objectScore": prediction.object_score,
        "masks": prediction.masks.iter().map(|mask| mask_json(&mask.to_mask(), &mask.logits())).collect::<Vec<_>>(),
    })
}

fn mask_json(mask: &Mask, logits: &[f32]) -> Value {
    let side = logits.len().isqrt();
    let logits: Vec<u8> = logits.iter().flat_map(|v| v.to_le_bytes()).collect();
    json!({
        "score": mask.score(),
        "area": mask.area(),
        // f32, little-endian, row-major, `logitsSide` squared.
        "logits": BASE64_STANDARD.encode(logits),
        "logitsSide": side,
        // One bit for each pixel, row-major, with the first pixel in the lowest bit.
        "bits": BASE64_STANDARD.encode(mask.bits()),
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
