//! How far the logits of 8-bit weights are from those of the weights they were made from.
//!
//! The official tiny at full size is slow without optimisation, so not run by default:
//!
//!     cargo test --release -p parity --test quantized -- --ignored --nocapture

use parity::{COMMITTED, Difference, EDGETAM, Fixture, block_on, natively, synthetic};
use sam2::checkpoint::{Packing, pack};
use sam2::{Checkpoint, ImageModel};
use sam2_predict::{ImagePredictor, PictureRef, PixelFormat};

#[test]
fn small_networks_stay_close() {
    for name in COMMITTED.into_iter().chain([EDGETAM]) {
        let fixture = Fixture::committed(name);
        check(&fixture, fixture.picture(), 0.04);
    }
}

#[test]
#[ignore = "a minute; the head of this file says how to run it"]
fn tiny_stays_close() {
    let fixture = Fixture::committed("tiny_synthetic");
    let [width, height] = fixture.picture_size();
    let pixels = synthetic::picture(width, height);
    let picture = PictureRef::new(&pixels, PixelFormat::Rgb, width, height).expect("a picture");
    // Each layer adds its own rounding, and has the earlier layers' in its input: 0.098 was measured.
    check(&fixture, picture, 0.15);
}

/// Compares the logits of every case with those of the recipe's own weights: the root mean square of the differences, in
/// parts of the logits' own.
///
/// Rounding moves the recipe's uniformly distributed weights by 1 / 254 of their root mean square: to 127 steps of an output
/// channel's largest weight, a step's error is `step / √12`, and the weights' root mean square `127 step / √3`.
fn check(fixture: &Fixture, picture: PictureRef, limit: f64) {
    let (config, recipe) = (fixture.config(), fixture.recipe());
    let file = pack(&mut &recipe, &config, true, Packing::Q8).expect("a file");
    println!("{} bytes in 8 bits", file.len());
    let mut checkpoint = Checkpoint::from_bytes(file).expect("a checkpoint");
    assert_eq!(checkpoint.config().as_ref(), Ok(&config));
    let quantized = ImageModel::load(&config, &mut checkpoint, &natively()).expect("a network");

    let logits = |model: ImageModel| -> Vec<(String, Vec<f32>)> {
        let predictor = ImagePredictor::new(model);
        let image = block_on(predictor.set_image(picture)).expect("an embedding");
        // Which single mask gives way to a candidate may hinge on a pixel.
        let cases = fixture.predict_cases().into_iter().filter(|case| case.multimask);
        let cases = cases.map(|case| {
            let prompts = case.prompts(image.width(), image.height(), fixture.floats("pred.mask_input"));
            let predictions = block_on(predictor.predict_batch(&image, &prompts)).expect("masks");
            let masks = predictions.iter().flat_map(|prediction| &prediction.masks);
            (case.name, masks.flat_map(|mask| mask.logits()).collect())
        });
        cases.collect()
    };
    let whole = logits(fixture.image_model(&natively()));
    let mut largest = 0.0f64;
    for ((name, ours), (_, wanted)) in logits(quantized).iter().zip(&whole) {
        let largest_of_case = Difference::between(name, ours, wanted);
        let difference = root_mean_square(ours.iter().zip(wanted).map(|(a, b)| a - b));
        let relative = difference / root_mean_square(wanted.iter().copied());
        println!("{name:32} {relative:.1e} of the root mean square; {largest_of_case:?}");
        assert!(difference > 0.0, "`{name}` was computed with the same weights");
        largest = largest.max(relative);
    }
    assert!(largest <= limit, "{largest} of the root mean square");
}

fn root_mean_square(values: impl ExactSizeIterator<Item = f32>) -> f64 {
    let count = values.len() as f64;
    (values.map(|value| f64::from(value).powi(2)).sum::<f64>() / count).sqrt()
}
