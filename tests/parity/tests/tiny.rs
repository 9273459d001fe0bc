//! The official tiny and EdgeTAM at full size: 1024 px, pictures of 1800 x 1200. Slow without optimisation, so not run by default:
//!
//!     cargo test --release -p parity --test tiny -- --ignored --nocapture
//!
//! `SAM2_SAMPLES` names the folder that holds the official repository's `truck.jpg`, and `SAM2_EDGETAM_FIXTURE` one that
//! `make_edgetam_fixture.py --config edgetam` has written.

use std::path::Path;

use burn::tensor::Tensor;
use parity::{Fixture, block_on, cpu, natively, nchw, synthetic};
use sam2_predict::{ImagePredictor, LowResMask, PictureRef, PixelFormat};

#[test]
#[ignore = "half a minute; the head of this file says how to run it"]
fn synthetic_picture() {
    let fixture = Fixture::committed("tiny_synthetic");
    let [width, height] = fixture.picture_size();
    let pixels = synthetic::picture(width, height);
    assert_eq!(
        fixture.different_bytes("img.u8", &pixels),
        0,
        "the picture is the official side's"
    );
    check(&fixture, &pixels, 1e-4, 1e-3, 1e-5);
}

#[test]
#[ignore = "half a minute, and needs a picture; the head of this file says how to run it"]
fn truck() {
    let Some(folder) = std::env::var_os("SAM2_SAMPLES") else {
        println!("skipped: SAM2_SAMPLES does not name the folder of truck.jpg");
        return;
    };
    let fixture = Fixture::committed("tiny_truck");
    let picture = image::open(Path::new(&folder).join("truck.jpg"))
        .expect("truck.jpg")
        .into_rgb8();
    let different = fixture.different_bytes("img.u8", &picture);
    println!("values that the JPEG decoders give differently: {different} of those stored");
    // Decoders round differently, by a level or two; the network passes that on.
    check(&fixture, &picture, 2e-2, 5e-2, 5e-2);
}

#[test]
#[ignore = "half a minute, and needs a fixture; the head of this file says how to run it"]
fn edgetam() {
    let Some(fixture) = Fixture::of_edgetam_at_full_size() else {
        return;
    };
    let [width, height] = fixture.picture_size();
    check(&fixture, &synthetic::picture(width, height), 1e-4, 1e-3, 1e-4);
}

/// The whole way from pixels to masks, each step within its limit of the official one's scale.
fn check(fixture: &Fixture, pixels: &[u8], encoder: f64, logits: f64, scores: f64) {
    let [width, height] = fixture.picture_size();
    let picture = PictureRef::new(pixels, PixelFormat::Rgb, width, height).expect("a picture");
    let mut predictor = ImagePredictor::new(fixture.image_model(&natively()));

    let model = predictor.model();
    let input = picture.to_tensor(model.config.image_size, &cpu());
    fixture.assert_close("enc.input", input.clone(), encoder);
    let trunk = &model.image_encoder.trunk;
    if let Some(hiera) = trunk.as_hiera() {
        let mut x = hiera.patch_embed.forward(input);
        for (i, block) in hiera.blocks.iter().enumerate() {
            x = block.forward(x);
            fixture.assert_close(&format!("enc.block.{i}"), x.clone(), encoder);
        }
    } else {
        let stages: Vec<Tensor<4>> = trunk.forward(input);
        for (i, stage) in stages.into_iter().enumerate() {
            fixture.assert_close(&format!("enc.trunk.{i}"), nchw(stage), encoder);
        }
    }

    let started = std::time::Instant::now();
    let image = block_on(predictor.set_image(picture)).expect("an embedding");
    println!("set_image: {:.2} s", started.elapsed().as_secs_f64());
    let features = image.features();
    fixture.assert_close("enc.hires.s0", nchw(features.high_res_0.clone()), encoder);
    fixture.assert_close("enc.hires.s1", nchw(features.high_res_1.clone()), encoder);
    fixture.assert_close("enc.image_embed", nchw(features.embedding.clone()), encoder);

    let exact = scores < 1e-3;
    for case in fixture.predict_cases() {
        // Whether one mask gives way to a candidate may hinge on a pixel: only for equal pictures.
        if !exact && !case.multimask {
            continue;
        }
        let of = |part: &str| format!("pred.{}.{part}", case.name);
        predictor = predictor.with_dynamic_multimask(case.dynamic);
        let prompts = case.prompts(width, height, fixture.floats("pred.mask_input"));
        let started = std::time::Instant::now();
        let predictions = block_on(predictor.predict_batch(&image, &prompts)).expect("masks");
        println!("{}: {:.2} s", case.name, started.elapsed().as_secs_f64());
        let masks: Vec<&LowResMask> = predictions.iter().flat_map(|p| &p.masks).collect();
        let low_res: Vec<f32> = masks.iter().flat_map(|mask| mask.logits()).collect();
        fixture.assert_values_close(&of("low_res"), &low_res, logits);
        let ious: Vec<f32> = masks.iter().map(|mask| mask.score()).collect();
        fixture.assert_values_close(&of("iou"), &ious, scores);

        // The masks themselves are not stored at this size, but how much of the picture each covers is.
        let covered: Vec<f64> = masks
            .iter()
            .map(|mask| mask.to_mask().area() as f64 / (width * height) as f64)
            .collect();
        let difference = covered
            .iter()
            .zip(case.covered)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        println!("{:32} {difference:.1e}", of("area"));
        assert!(difference <= scores, "areas of `{}`: {covered:?}", case.name);
    }
}
