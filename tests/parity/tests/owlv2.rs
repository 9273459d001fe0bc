//! OWLv2 against transformers' `Owlv2ForObjectDetection` and its processor (`make_owlv2.py`), in every way to compute it.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use owlv2::{Features, ObjectDetection, Owlv2Config, TextEncoder, Tokenizer, best_labels};
use parity::{Fixture, cpu, implementations, natively, synthetic};
use sam2_ops::Implementation;
use sam2_predict::{PictureRef, PixelFormat};

/// In parts of each tensor's scale.
const LIMIT: f64 = 1e-4;
/// The same of a picture's pixels, which are computed by the processor in two steps and here in one.
const PIXEL_LIMIT: f64 = 1e-5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/owlv2")
}

fn config() -> Owlv2Config {
    let text = std::fs::read_to_string(folder().join("config.json")).expect("config.json");
    Owlv2Config::from_json(&text).expect("a configuration")
}

fn tokenizer() -> Tokenizer {
    let merges = std::fs::read(folder().join("merges.txt")).expect("merges.txt");
    Tokenizer::from_merges(&merges).expect("CLIP's merges")
}

/// The network's input of the synthetic picture of this size.
fn picture([height, width]: [usize; 2], side: usize, device: &Device) -> Tensor<4> {
    let bytes = synthetic::picture(width, height);
    let picture = PictureRef::new(&bytes, PixelFormat::Rgb, width, height).expect("a picture");
    let read = |line, values: &mut [f32]| picture.read(line, values);
    owlv2::preprocess([height, width], side, &read, device)
}

/// On the CPU, where fixtures are compared.
fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter().collect()
}

#[test]
fn tokens_are_those_of_the_official_tokenizer() {
    let tokenizer = tokenizer();
    let config = config();
    tokenizer
        .check(config.text_config.vocab_size)
        .expect("CLIP's size");
    let file = std::fs::read_to_string(folder().join("texts.json")).expect("texts.json");
    let texts: Vec<(String, Vec<u32>)> = serde_json::from_str(&file).expect("texts and tokens");
    assert!(texts.len() >= 200, "{} texts", texts.len());
    let mut wrong = Vec::new();
    for (text, official) in texts {
        let mut tokens = tokenizer.encode(&text, 16);
        tokens.resize(16, 0);
        if tokens != official {
            let beginning: String = text.chars().take(40).collect();
            wrong.push(format!("{beginning:?}: {tokens:?}, official {official:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pictures_are_those_of_the_official_processor() {
    let fixture = Fixture::committed("owlv2");
    for (size, side) in [
        ([120, 200], 96),
        ([300, 200], 96),
        ([60, 40], 96),
        ([96, 96], 96),
        ([97, 101], 64),
    ] {
        let name = format!("pixels.{}x{}.{side}", size[0], size[1]);
        fixture.assert_close(&name, picture(size, side, &cpu()), PIXEL_LIMIT);
    }
}

/// The features of the picture of 120 x 200, by a detector of this side.
fn features(
    fixture: &Fixture,
    implementation: &Implementation,
    side: usize,
) -> (ObjectDetection, Tensor<4>, Features) {
    let recipe = fixture.recipe();
    let detector = ObjectDetection::load(&config(), side, &mut &recipe, implementation).expect("all tensors");
    let input = picture([120, 200], side, implementation.device());
    let features = detector.encode(input.clone());
    (detector, input, features)
}

fn text_embeds(fixture: &Fixture, implementation: &Implementation) -> Tensor<2> {
    let encoder = TextEncoder::load(&config(), &mut &fixture.recipe(), implementation).expect("all tensors");
    let tokenizer = tokenizer();
    let queries: Vec<String> = serde_json::from_value(fixture.events["queries"].clone()).expect("texts");
    let tokens: Vec<Vec<u32>> = queries
        .iter()
        .map(|text| tokenizer.encode(text, encoder.context()))
        .collect();
    encoder.encode(&tokens)
}

#[test]
fn every_layer_and_head() {
    let fixture = Fixture::committed("owlv2");
    for implementation in implementations() {
        println!("-- {}", implementation.name());
        let queries = text_embeds(&fixture, &implementation);
        fixture.assert_values_close("text_embeds", &values(queries.clone()), LIMIT);
        // The side that the network was trained for, and a smaller one, for which the position grid is resized.
        for side in [96, 64] {
            let (detector, input, features) = features(&fixture, &implementation, side);
            let close = |name: &str, ours: Vec<f32>| {
                fixture.assert_values_close(&format!("side{side}.{name}"), &ours, LIMIT);
            };
            let vision = &detector.vision_model;
            let embedded = vision.embed(input);
            close("embeddings", values(embedded.clone()));
            let mut x = vision.normalise(embedded);
            for (i, layer) in vision.layers.iter().enumerate() {
                x = layer.forward(x, false);
                close(&format!("layer.{i}"), values(x.clone()));
            }
            close("image_embeds", values(features.image_embeds.clone()));
            close("objectness", values(features.objectness.clone()));
            close("boxes", values(features.boxes.clone()));
            close("logits", values(detector.logits(&features, queries.clone())));
        }
    }
}

#[test]
fn objects_like_an_example() {
    let fixture = Fixture::committed("owlv2");
    for implementation in implementations() {
        println!("-- {}", implementation.name());
        for side in [96, 64] {
            let (detector, _, features) = features(&fixture, &implementation, side);
            let (embeds, boxes) = (
                values(features.classes.embeds.clone()),
                values(features.boxes.clone()),
            );
            let d = config().text_config.hidden_size;
            let of_patch = |patch: usize| &embeds[patch * d..(patch + 1) * d];
            let official = |name: &str| fixture.integers(&format!("side{side}.{name}"))[0] as usize;

            let best = owlv2::most_object_like(&values(features.objectness.clone()));
            assert_eq!(best, official("guided.index"));
            fixture.assert_values_close(&format!("side{side}.guided.query"), of_patch(best), LIMIT);
            let query = TensorData::new(of_patch(best).to_vec(), [1, d]);
            let logits = detector.logits(&features, Tensor::from_data(query, implementation.device()));
            fixture.assert_values_close(&format!("side{side}.guided.logits"), &values(logits), LIMIT);

            let whole = owlv2::like_box(&boxes, &embeds, [0.0, 0.0, 1.0, 1.0]).expect("a patch");
            assert_eq!(whole, official("whole.index"));
            fixture.assert_values_close(&format!("side{side}.whole.query"), of_patch(whole), LIMIT);
        }
    }
}

#[test]
fn boxes_are_those_of_the_official_post_processing() {
    let fixture = Fixture::committed("owlv2");
    for side in [96, 64] {
        let (detector, _, features) = features(&fixture, &natively(), side);
        let queries = text_embeds(&fixture, &natively());
        let [count, _] = queries.dims();
        let logits = values(detector.logits(&features, queries));
        let found = owlv2::decode(
            best_labels(&logits, count),
            &values(features.boxes),
            [120, 200],
            0.3,
        );
        let official = &fixture.events["detections"][format!("side{side}")];
        let list = |name: &str| official[name].as_array().expect("a list").clone();
        let (scores, labels, boxes) = (list("scores"), list("labels"), list("boxes"));
        assert_eq!(found.len(), scores.len());
        assert!(found.len() > 10, "something is found");
        for (i, found) in found.iter().enumerate() {
            assert_eq!(found.label as u64, labels[i].as_u64().expect("a number"));
            assert!((f64::from(found.score) - scores[i].as_f64().expect("a number")).abs() < 1e-4);
            for (edge, official) in found.edges.iter().zip(boxes[i].as_array().expect("four edges")) {
                assert!((f64::from(*edge) - official.as_f64().expect("a number")).abs() < 0.02);
            }
        }
    }
}
