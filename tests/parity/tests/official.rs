//! The official weights, if they are on this machine, against values that Hugging Face transformers publishes for them
//! (`tests/models/sam2/test_modeling_sam2.py`, facebook/sam2.1-hiera-tiny, and
//! `tests/models/edgetam/test_modeling_edgetam.py`, yonigozlan/EdgeTAM-hf). Their pictures come through another resizing
//! filter and ran on a GPU (their own figures of EdgeTAM differ by 0.013 between tests), so this is a smoke test:
//! predicted IoUs within 0.02.
//!
//!     SAM2_WEIGHTS_DIR=… SAM2_SAMPLES=… cargo test --release -p parity --test official -- --nocapture
//!
//! The first names a folder with SAM 2.1 tiny or EdgeTAM in any format that is read, the second one with the official
//! repository's `truck.jpg` and `groceries.jpg`.

use std::path::{Path, PathBuf};

use parity::{block_on, natively};
use sam2::Checkpoint;
use sam2::{ImageModel, Version};
use sam2_predict::{BoxPrompt, ImageEmbedding, ImagePredictor, PictureRef, PixelFormat, PointPrompt, Prompt};

const TOLERANCE: f32 = 0.02;

/// The published predicted IoUs.
struct Published {
    /// The model's name in its configuration.
    model: &'static str,
    /// A click on `truck.jpg`: its three masks, best first, and its single one.
    three_masks: [f32; 3],
    one_mask: f32,
    /// The best of the three with a second click that adds, and one that subtracts.
    refined: [f32; 2],
    truck_boxes: [f32; 4],
    groceries_boxes: [f32; 4],
}

#[test]
fn published_predictions_of_tiny() {
    check(&Published {
        model: "tiny",
        three_masks: [0.9547, 0.4932, 0.0427],
        one_mask: 0.9364,
        refined: [0.9738, 0.9719],
        truck_boxes: [0.9904, 0.9689, 0.9770, 0.9079],
        groceries_boxes: [0.9739, 0.9816, 0.9838, 0.9781],
    });
}

#[test]
fn published_predictions_of_edgetam() {
    check(&Published {
        model: "edgetam",
        three_masks: [0.7621, 0.4859, 0.0461],
        one_mask: 0.7621,
        refined: [0.9431, 0.9695],
        truck_boxes: [0.9773, 0.9415, 0.9683, 0.8792],
        groceries_boxes: [0.9721, 0.9852, 0.9812, 0.9760],
    });
}

fn check(published: &Published) {
    let Some((weights, samples)) = folders() else {
        return;
    };
    let Some(model) = find(published.model, &weights) else {
        println!("skipped: {} holds no {}", weights.display(), published.model);
        return;
    };
    let predictor = ImagePredictor::new(model);

    let truck = encode(&predictor, &samples.join("truck.jpg"));
    let click = points(&[(500.0, 375.0, 1)]);
    let three = Prompt {
        multimask: true,
        ..click.clone()
    };
    let answer = block_on(predictor.predict(&truck, &three)).expect("masks");
    let mut masks = answer.masks;
    masks.sort_by(|a, b| b.score().total_cmp(&a.score()));
    let scores: Vec<f32> = masks.iter().map(|mask| mask.score()).collect();
    assert_close("truck, one click, three masks", &scores, &published.three_masks);
    assert_close(
        "truck, one click",
        &[score(&predictor, &truck, &click)],
        &[published.one_mask],
    );

    for (label, expected) in [1, 0].into_iter().zip(published.refined) {
        let refined = Prompt {
            mask: Some(masks[0].logits()),
            ..points(&[(500.0, 375.0, 1), (1125.0, 625.0, label)])
        };
        assert_close(
            "truck, refined",
            &[score(&predictor, &truck, &refined)],
            &[expected],
        );
    }
    let truck_boxes = [
        [75.0, 275.0, 1725.0, 850.0],
        [425.0, 600.0, 700.0, 875.0],
        [1375.0, 550.0, 1650.0, 800.0],
        [1240.0, 675.0, 1400.0, 750.0],
    ];
    let found = truck_boxes.map(|b| score(&predictor, &truck, &boxed(b)));
    assert_close("truck, boxes", &found, &published.truck_boxes);

    let groceries = encode(&predictor, &samples.join("groceries.jpg"));
    let groceries_boxes = [
        [450.0, 170.0, 520.0, 350.0],
        [350.0, 190.0, 450.0, 350.0],
        [500.0, 170.0, 580.0, 350.0],
        [580.0, 170.0, 640.0, 350.0],
    ];
    let found = groceries_boxes.map(|b| score(&predictor, &groceries, &boxed(b)));
    assert_close("groceries, boxes", &found, &published.groceries_boxes);
}

/// The folders of weights and of pictures, or a word on which is not named.
fn folders() -> Option<(PathBuf, PathBuf)> {
    let folder = |name: &str| {
        let value = std::env::var_os(name).map(PathBuf::from);
        if value.is_none() {
            println!("skipped: {name} is not set");
        }
        value
    };
    Some((folder("SAM2_WEIGHTS_DIR")?, folder("SAM2_SAMPLES")?))
}

/// The first file that is the model, of SAM 2.1 where there are several versions, whatever the file's name.
fn find(model: &str, folder: &Path) -> Option<ImageModel> {
    for entry in std::fs::read_dir(folder).expect("SAM2_WEIGHTS_DIR is a folder") {
        let path = entry.expect("a readable folder").path();
        let is_weights = path.extension().is_some_and(|e| e == "pt" || e == "safetensors");
        let bytes = is_weights.then(|| std::fs::read(&path).expect("a readable file"));
        let Some(mut checkpoint) = bytes.and_then(|bytes| Checkpoint::from_bytes(bytes).ok()) else {
            continue;
        };
        let Ok(config) = checkpoint.config() else { continue };
        if config.name == model && (config.version == Version::V2_1 || config.spatial_perceiver.is_some()) {
            println!("{}", path.display());
            return Some(
                ImageModel::load(&config, &mut checkpoint, &natively()).expect("a whole checkpoint"),
            );
        }
    }
    None
}

fn encode(predictor: &ImagePredictor, path: &Path) -> ImageEmbedding {
    let picture = image::open(path).expect("a picture").into_rgb8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let picture = PictureRef::new(&picture, PixelFormat::Rgb, width, height).expect("a picture");
    block_on(predictor.set_image(picture)).expect("an embedding")
}

fn points(points: &[(f32, f32, i32)]) -> Prompt {
    Prompt {
        points: points
            .iter()
            .map(|&(x, y, label)| PointPrompt { x, y, label })
            .collect(),
        ..Prompt::default()
    }
}

fn boxed([x0, y0, x1, y1]: [f32; 4]) -> Prompt {
    Prompt {
        box_: Some(BoxPrompt { x0, y0, x1, y1 }),
        ..Prompt::default()
    }
}

/// The predicted IoU of the one mask.
fn score(predictor: &ImagePredictor, image: &ImageEmbedding, prompt: &Prompt) -> f32 {
    block_on(predictor.predict(image, prompt)).expect("a mask").masks[0].score()
}

fn assert_close(what: &str, found: &[f32], published: &[f32]) {
    println!("{what}: {found:.4?}, published {published:.4?}");
    for (a, b) in found.iter().zip(published) {
        assert!((a - b).abs() <= TOLERANCE, "{what}: {a} is not {b}");
    }
}
