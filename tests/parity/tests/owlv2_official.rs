//! OWLv2's published weights on the example of transformers' documentation. `OWLV2_WEIGHTS` is a folder with the files
//! `model.safetensors`, `config.json` and `merges.txt` of google/owlv2-base-patch16-ensemble, and the picture
//! `000000039769.jpg` of COCO's val2017. Without it, the test says so.

use std::path::Path;

use burn::tensor::Tensor;
use owlv2::{Checkpoint, ObjectDetection, Owlv2Config, TextEncoder, Tokenizer, best_labels};
use parity::natively;
use sam2_predict::{PictureRef, PixelFormat};

/// "Detected a photo of a cat with confidence …" in the documentation of `Owlv2ForObjectDetection.forward`
/// (transformers 5.24.0, models/owlv2/modeling_owlv2.py), which shows them as rounded.
const CATS: [(f32, [f32; 4]); 2] = [
    (0.614, [341.67, 23.39, 642.32, 371.35]),
    (0.665, [6.75, 51.96, 326.62, 473.13]),
];

fn values(x: Tensor<2>) -> Vec<f32> {
    x.into_data().iter().collect()
}

#[test]
fn the_published_example() {
    let Ok(folder) = std::env::var("OWLV2_WEIGHTS") else {
        println!("skipped: OWLV2_WEIGHTS is not set, and OWLv2's weights are not in this repository");
        return;
    };
    let read = |name: &str| std::fs::read(Path::new(&folder).join(name)).expect(name);
    let config = String::from_utf8(read("config.json")).expect("text");
    let config = Owlv2Config::from_json(&config).expect("a configuration");
    assert_eq!(config, Owlv2Config::base_patch16());
    let mut checkpoint = Checkpoint::from_bytes(read("model.safetensors")).expect("a detector");
    checkpoint.check(&config).expect("every tensor");
    let detector = ObjectDetection::load(&config, 960, &mut checkpoint, &natively()).expect("every tensor");
    let text = TextEncoder::load(&config, &mut checkpoint, &natively()).expect("every tensor");
    let tokenizer = Tokenizer::from_merges(&read("merges.txt")).expect("merges");

    let picture = image::load_from_memory(&read("000000039769.jpg"))
        .expect("a picture")
        .to_rgb8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let picture = PictureRef::new(&picture, PixelFormat::Rgb, width, height).expect("a picture");
    let rows = |line, values: &mut [f32]| picture.read(line, values);
    let device = detector.implementation().device();
    let features = detector.encode(owlv2::preprocess([height, width], 960, &rows, device));
    let words = ["a photo of a cat", "a photo of a dog"].map(|word| tokenizer.encode(word, text.context()));
    let logits = values(detector.logits(&features, text.encode(&words)));
    let found = owlv2::decode(
        best_labels(&logits, 2),
        &values(features.boxes),
        [height, width],
        0.1,
    );
    for (score, edges) in CATS {
        let near = found.iter().find(|found| {
            let apart = found.edges.iter().zip(edges).map(|(a, b)| (a - b).abs());
            found.label == 0 && (found.score - score).abs() < 0.02 && apart.fold(0.0, f32::max) < 3.0
        });
        assert!(near.is_some(), "{score} {edges:?} is not among {found:?}");
    }
}
