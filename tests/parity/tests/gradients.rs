//! Gradients through the portable implementation against PyTorch's: of a focal and dice loss with respect to every
//! parameter of the mask decoder (`make_gradients.py` says which loss, and on which inputs).

use std::path::Path;

use burn::tensor::{Tensor, TensorData, activation};
use parity::{Fixture, cpu};
use safetensors::SafeTensors;
use sam2::{Implementation, MaskDecoder, PromptEncoder, Weights};
use serde::Deserialize;

/// In parts of each gradient's greatest value.
const LIMIT: f64 = 1e-3;
/// Keys' biases have no gradient, as a softmax does not see them: what there is of them is rounding, and smaller than
/// this part of the greatest of all gradients.
const ROUNDING: f64 = 1e-6;
/// Of the inputs' streams.
const SEED: u64 = 11;
const PROMPTS: usize = 2;
const TOKENS: usize = 3;

#[derive(Deserialize)]
struct Kept {
    stride: usize,
    scale: f64,
}

#[test]
fn every_parameter_of_the_mask_decoder() {
    let fixture = Fixture::committed("micro");
    let (config, recipe) = (fixture.config(), fixture.recipe());
    let device = cpu().autodiff();
    let implementation = Implementation::portable(device.clone());
    let mut parameters = Vec::new();
    let mut source = &recipe;
    let mut weights = Weights::new(&mut source, &implementation).tracked(&mut parameters);
    let decoder = MaskDecoder::load(&config, weights.at("sam_mask_decoder")).expect("all tensors");
    drop(weights);
    let mut source = &recipe;
    let mut weights = Weights::new(&mut source, &implementation);
    let prompt_encoder = PromptEncoder::load(&config, weights.at("sam_prompt_encoder")).expect("all tensors");

    let (d, side) = (config.neck.d_model, config.embedding_side());
    let stream = |name: &str, shape: [usize; 4], scale: f32| {
        let values = parity::recipe::uniform(name, SEED).take(shape.iter().product());
        let values: Vec<f32> = values.map(|x| x as f32 * scale).collect();
        Tensor::<4>::from_data(TensorData::new(values, shape), &device)
    };
    // The official layout has channels first.
    let levels = [
        stream("level_0", [1, d, 4 * side, 4 * side], 1.0),
        stream("level_1", [1, d, 2 * side, 2 * side], 1.0),
        stream("embedding", [1, d, side, side], 1.0),
    ];
    let image = decoder.image_features(levels.map(|level| level.permute([0, 2, 3, 1])).to_vec());
    let sparse = stream("sparse", [1, PROMPTS, TOKENS, d], 1.0).reshape([PROMPTS, TOKENS, d]);
    let dense = stream("dense", [PROMPTS, d, side, side], 0.5).permute([0, 2, 3, 1]);
    let target = stream("target", [PROMPTS, 1, 4 * side, 4 * side], 1.0);
    let target = target
        .greater_elem(0.3)
        .float()
        .expand([PROMPTS, 4, 4 * side, 4 * side]);

    let output = decoder.predict_masks(&image, prompt_encoder.dense_pe(), Some(sparse), Some(dense));
    let pixels = 16 * side * side;
    let masks: Tensor<3> = output.masks.reshape([PROMPTS, 4, pixels]);
    let target: Tensor<3> = target.reshape([PROMPTS, 4, pixels]);
    let p = activation::sigmoid(masks.clone());
    let cross = cross_entropy(masks, target.clone());
    let right = p.clone() * target.clone() + (-p.clone() + 1.0) * (-target.clone() + 1.0);
    let weight = target.clone() * 0.25 + (-target.clone() + 1.0) * 0.75;
    let focal = (weight * cross * (-right + 1.0).powi_scalar(2)).mean();
    let sum = |x: Tensor<3>| x.sum_dim(2);
    let dice = (sum(p.clone() * target.clone()) * 2.0 + 1.0) / (sum(p) + sum(target) + 1.0);
    let ious = (output.iou_pred - 0.5).abs().mean();
    let score = output.object_score_logits;
    let score = cross_entropy(score.clone(), score.ones_like()).mean();
    let loss = focal * 20.0 + (-dice + 1.0).mean() + ious + score;

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/micro/gradients.safetensors");
    let bytes = std::fs::read(path).expect("the fixture");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("safetensors");
    let metadata = header.metadata().as_ref().expect("metadata");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let theirs: f64 = metadata["loss"].parse().expect("a number");
    let ours = f64::from(loss.clone().into_scalar::<f32>());
    assert!(
        (ours - theirs).abs() < 1e-5 * theirs.abs(),
        "a loss of {ours} for {theirs}"
    );

    let kept = |name: &str| -> Kept { serde_json::from_str(&metadata[name]).expect("a description") };
    let greatest = file
        .names()
        .into_iter()
        .map(|name| kept(name).scale)
        .fold(0.0, f64::max);
    let gradients = loss.backward();
    assert_eq!(parameters.len(), file.len());
    for parameter in parameters {
        let name = &parameter.name;
        let gradient = parameter.value.grad(&gradients);
        let gradient = gradient.unwrap_or_else(|| panic!("{name} has no gradient"));
        let gradient = gradient.into_data().try_to_vec::<f32>().expect("f32");
        let Kept { stride, scale } = kept(name);
        if name.ends_with("k_proj.bias") {
            let ours = gradient.iter().fold(0.0, |a: f32, b| a.max(b.abs()));
            assert!(f64::from(ours).max(scale) < ROUNDING * greatest, "{name}: {ours}");
            continue;
        }
        let view = file.tensor(name).expect("a gradient");
        let theirs = view
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes));
        let apart = gradient
            .iter()
            .step_by(stride)
            .zip(theirs)
            .map(|(a, b)| f64::from((a - b).abs()));
        let apart = apart.fold(0.0, f64::max);
        println!("{name:70} {:.1e}", apart / scale);
        assert!(apart <= LIMIT * scale, "{name}: {apart} of {scale}");
    }
}

/// `binary_cross_entropy_with_logits`, element by element.
fn cross_entropy<const D: usize>(logits: Tensor<D>, target: Tensor<D>) -> Tensor<D> {
    let stable = (-logits.clone().abs()).exp().log1p();
    logits.clone().clamp_min(0.0) - logits * target + stable
}
