//! EfficientNet-Lite, nano's trunk, against the values of its PyTorch code, which `make_lite_fixture.py` has compared with
//! timm's network.

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use parity::recipe::uniform;
use parity::{Fixture, implementations, natively, nchw};
use sam2::config::{EfficientNetLiteConfig, LiteStageConfig};
use sam2::image_encoder::EfficientNetLite;
use sam2::{Checkpoint, ImageModel};
use sam2_ops::Weights;

/// In parts of each tensor's scale.
const LIMIT: f64 = 1e-4;

/// The sizes of the fixture's trunk.
fn config(fixture: &Fixture) -> EfficientNetLiteConfig {
    let read = |key: &str| fixture.events[key].clone();
    let stages: Vec<[usize; 5]> = serde_json::from_value(read("stages")).expect("stages");
    EfficientNetLiteConfig {
        stem: serde_json::from_value(read("stem")).expect("a number"),
        stages: (stages.into_iter())
            .map(|[kernel, stride, expansion, channels, blocks]| LiteStageConfig {
                kernel,
                stride,
                expansion,
                channels,
                blocks,
            })
            .collect(),
        taps: serde_json::from_value(read("taps")).expect("four indices"),
    }
}

#[test]
fn every_output_of_seeded_weights() {
    let fixture = Fixture::committed("lite_micro");
    let recipe = fixture.recipe();
    for implementation in implementations() {
        println!("-- {}", implementation.name());
        let mut source = &recipe;
        let mut weights = Weights::new(&mut source, &implementation);
        let trunk = EfficientNetLite::load(&config(&fixture), weights.at("image_encoder.trunk"));
        let trunk = trunk.expect("every tensor has the name and the shape of the recipe's");
        let shape = <[usize; 4]>::try_from(fixture.shape("input")).expect("a batch of pictures");
        let input = TensorData::new(fixture.floats("input").to_vec(), shape);
        let outputs = trunk.forward(Tensor::from_data(input, implementation.device()));
        assert_eq!(outputs.len(), 4);
        for (i, output) in outputs.into_iter().enumerate() {
            fixture.assert_close(&format!("trunk.{i}"), nchw(output), LIMIT);
        }
    }
}

/// The real size with trained weights, by `make_lite_fixture.py --weights`.
#[test]
fn every_output_of_trained_weights() {
    let [Ok(folder), Ok(file)] = ["SAM2_LITE_FIXTURE", "SAM2_LITE_WEIGHTS"].map(std::env::var) else {
        eprintln!("skipped: SAM2_LITE_FIXTURE and SAM2_LITE_WEIGHTS are not set");
        return;
    };
    let fixture = Fixture::read(Path::new(&folder), "fixture");
    let mut checkpoint = Checkpoint::from_bytes(std::fs::read(file).expect("the weights")).expect("weights");
    let config = checkpoint.config().expect("a configuration");
    let model = ImageModel::load(&config, &mut checkpoint, &natively()).expect("every tensor");
    let side = config.image_size;
    // As `picture` of the script.
    let values = uniform("picture", 7).take(3 * side * side);
    let values = values
        .map(|v| half::f16::from_f32((2.0 * v) as f32).to_f32())
        .collect();
    let input = Tensor::from_data(
        TensorData::new::<f32, _>(values, [1, 3, side, side]),
        model.device(),
    );
    let outputs = model.image_encoder.trunk.forward(input);
    for (i, output) in outputs.iter().enumerate() {
        fixture.assert_close(&format!("trunk.{i}"), nchw(output.clone()), LIMIT);
    }
    for (i, level) in model.image_encoder.neck.forward(outputs).into_iter().enumerate() {
        fixture.assert_close(&format!("neck.{i}"), nchw(level), LIMIT);
    }
}
