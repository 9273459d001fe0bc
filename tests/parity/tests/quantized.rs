//! How far the logits of 8-bit weights are from those of the weights they were made from.
//!
//! The official tiny at full size is slow without optimisation, so not run by default:
//!
//!     cargo test --release -p parity --test quantized -- --ignored --nocapture

use parity::{COMMITTED, Difference, Fixture, block_on, natively, synthetic};
use sam2::checkpoint::{Packing, pack};
use sam2::{Checkpoint, ImageModel};
use sam2_predict::{ImagePredictor, PictureRef, PixelFormat};

/// In parts of the logits' scale: against coarse mistakes.
/// It was set after a first case of micro had 0.031.
const LIMIT: f64 = 0.1;

#[test]
fn small_networks_stay_close() {
    for name in COMMITTED {
        let fixture = Fixture::committed(name);
        check(&fixture, fixture.picture());
    }
}

#[test]
#[ignore = "a minute; the head of this file says how to run it"]
fn tiny_stays_close() {
    let fixture = Fixture::committed("tiny_synthetic");
    let [width, height] = fixture.picture_size();
    let pixels = synthetic::picture(width, height);
    let picture = PictureRef::new(&pixels, PixelFormat::Rgb, width, height).expect("a picture");
    check(&fixture, picture);
}

/// Compares the logits of every case with those of the recipe's own weights, in parts of their scale.
fn check(fixture: &Fixture, picture: PictureRef) {
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
        let difference = Difference::between(name, ours, wanted);
        println!("{name:32} {:.1e} of scale, {difference:?}", difference.relative());
        assert!(
            difference.max > 0.0,
            "`{name}` was computed with the same weights"
        );
        largest = largest.max(difference.relative());
    }
    assert!(largest <= LIMIT, "{largest} of scale");
}
