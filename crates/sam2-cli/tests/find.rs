//! `sam2 find` with OWLv2 on weights that nobody trained: that the whole path runs, and what is refused.

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{WEIGHTS, assert_refused, sam2};
use image::{Rgb, RgbImage};
use parity::Recipe;
use safetensors::tensor::Dtype;
use serde_json::Value;

/// A folder for one test, with a detector, its vocabulary and a picture of a red disc, 60 wide and 40 high.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity/fixtures/owlv2");
    for file in ["config.json", "merges.txt"] {
        fs::copy(fixture.join(file), folder.join(file)).unwrap();
    }
    let recipe = Recipe::read(fixture.join("weights.json"));
    let detector = recipe.to_safetensors(Dtype::F16, HashMap::new());
    fs::write(folder.join("model.safetensors"), detector).unwrap();
    let disc = RgbImage::from_fn(60, 40, |x, y| {
        let inside = (x as i32 - 30).pow(2) + (y as i32 - 20).pow(2) < 100;
        Rgb(if inside { [200, 30, 30] } else { [90, 140, 90] })
    });
    disc.save(folder.join("disc.png")).unwrap();
    folder
}

/// Runs the tool on the disc.
fn find(folder: &Path, more: &[&str]) -> Output {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (detector, image, out) = (path("model.safetensors"), path("disc.png"), path("found.json"));
    let mut args = vec!["find", "--weights", WEIGHTS, "--detector", &detector];
    args.extend(["--image", &image, "--out", &out]);
    args.extend(more);
    sam2(&args)
}

/// The file that the tool wrote.
#[track_caller]
fn found(folder: &Path, output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&fs::read(folder.join("found.json")).unwrap()).unwrap()
}

#[test]
fn words_become_labelled_masks() {
    let folder = folder("find_words");
    let output = find(&folder, &["--text", "a red circle, blue", "--threshold", "0.2"]);
    let file = found(&folder, &output);
    assert_eq!(file["images"][0]["file_name"], "disc.png");
    let names: Vec<&str> = (file["categories"].as_array().unwrap().iter())
        .map(|category| category["name"].as_str().unwrap())
        .collect();
    assert!(!names.is_empty() && names.iter().all(|name| ["a red circle", "blue"].contains(name)));
    let records = file["annotations"].as_array().unwrap();
    assert!(!records.is_empty());
    let scores: Vec<f64> = records
        .iter()
        .map(|record| record["score"].as_f64().unwrap())
        .collect();
    assert!(
        scores.iter().all(|score| (0.2..=1.0).contains(score)),
        "{scores:?}"
    );
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    for record in records {
        assert_eq!(record["segmentation"]["size"], serde_json::json!([40, 60]));
    }
}

#[test]
fn an_example_and_a_folder() {
    let folder = folder("find_like");
    let pictures = folder.join("pictures");
    fs::create_dir_all(&pictures).unwrap();
    fs::copy(folder.join("disc.png"), pictures.join("1.png")).unwrap();
    fs::copy(folder.join("disc.png"), pictures.join("2.png")).unwrap();
    fs::write(pictures.join("notes.txt"), "no picture").unwrap();
    let disc = folder.join("disc.png");
    let like = ["--like-image", disc.to_str().unwrap()];
    let all = ["--like", "20,10,40,30", "--image", pictures.to_str().unwrap()];
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (detector, out) = (path("model.safetensors"), path("found.json"));
    let mut args = vec![
        "find",
        "--weights",
        WEIGHTS,
        "--detector",
        &detector,
        "--out",
        &out,
    ];
    args.extend(all);
    assert_refused(&sam2(&args), "--like-image");
    args.extend(like);
    let output = sam2(&args);
    let file = found(&folder, &output);
    assert_eq!(file["images"].as_array().unwrap().len(), 2);
    assert_eq!(file["categories"][0]["name"], "like the example");
    assert!(String::from_utf8_lossy(&output.stderr).contains("notes.txt"));
}

#[test]
fn nothing_many_and_long() {
    let folder = folder("find_many");
    let none = found(
        &folder,
        &find(&folder, &["--text", "cat", "--threshold", "0.9999"]),
    );
    assert_eq!(none["annotations"].as_array().unwrap().len(), 0);
    let many: Vec<String> = (0..500).map(|i| format!("label {i}")).collect();
    found(
        &folder,
        &find(&folder, &["--text", &many.join(","), "--max", "3"]),
    );
    found(
        &folder,
        &find(&folder, &["--text", &"a".repeat(10_000), "--max", "3"]),
    );
}

#[test]
fn what_is_wrong_is_said() {
    let folder = folder("find_wrong");
    let cat = ["--text", "cat"];
    assert_refused(&find(&folder, &["--text", "cat,,dog"]), "label 1 is empty");
    assert_refused(&find(&folder, &[]), "--text");
    assert_refused(
        &find(&folder, &["--like", "70,10,80,20"]),
        "outside the picture of 60x40",
    );
    let size = [&cat[..], &["--detector-size", "100"]].concat();
    assert_refused(&find(&folder, &size), "multiple of 16 from 16 to 96");
    let vocabulary = folder.join("config.json");
    let vocabulary = [&cat[..], &["--vocabulary", vocabulary.to_str().unwrap()]].concat();
    assert_refused(&find(&folder, &vocabulary), "merges.txt");

    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (detector, image, out) = (path("model.safetensors"), path("disc.png"), path("found.json"));
    let swapped = |weights: &str, detector: &str| {
        let mut args = vec!["find", "--weights", weights, "--detector", detector];
        args.extend(["--image", &image, "--out", &out, "--text", "cat"]);
        sam2(&args)
    };
    assert_refused(
        &swapped(WEIGHTS, WEIGHTS),
        "this is not a detector (its tensors are those of SAM 2)",
    );
    assert_refused(&swapped(&detector, &detector), "these are not SAM 2's tensors");
}

#[test]
fn labels_made_beforehand_need_no_text_tower() {
    let folder = folder("find_labels");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    fs::write(folder.join("words.txt"), "a red circle\n\n blue \n").unwrap();
    let (words, detector, labels) = (
        path("words.txt"),
        path("model.safetensors"),
        path("labels.safetensors"),
    );
    let embed = ["embed-labels", &words, "--detector", &detector, "--out", &labels];
    let output = sam2(&embed);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 labels"));

    let by_words = found(
        &folder,
        &find(&folder, &["--text", "a red circle", "--text", "blue"]),
    );
    // The packed detector has its configuration in it, and no vocabulary beside it.
    let packed = folder.join("packed");
    fs::create_dir_all(&packed).unwrap();
    let vision = packed.join("vision.safetensors").to_str().unwrap().to_owned();
    let convert = ["convert", &detector, &vision, "--dtype", "f16", "--without-text"];
    let output = sam2(&convert);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (image, out) = (path("disc.png"), path("found.json"));
    let run = |more: &[&str]| {
        let mut args = vec!["find", "--weights", WEIGHTS, "--detector", &vision];
        args.extend(["--image", &image, "--out", &out]);
        args.extend(more);
        sam2(&args)
    };
    let by_labels = found(&folder, &run(&["--labels", &labels]));
    let boxes = |file: &Value| -> Vec<(Value, Value)> {
        let records = file["annotations"].as_array().unwrap().iter();
        records
            .map(|record| (record["bbox"].clone(), record["category_id"].clone()))
            .collect()
    };
    assert!(!boxes(&by_words).is_empty());
    assert_eq!(boxes(&by_labels), boxes(&by_words));
    assert_refused(&run(&["--text", "cat"]), "has no text tower");
    assert_refused(&run(&["--labels", &vision]), "no file of label embeddings");
    fs::write(folder.join("words.txt"), "\n").unwrap();
    assert_refused(&sam2(&embed), "has no labels");
}

#[test]
fn a_detector_is_described_and_converted() {
    let folder = folder("find_info");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (detector, q8) = (path("model.safetensors"), path("q8.safetensors"));
    let says = |args: &[&str]| {
        let output = sam2(args);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = says(&["info", &detector]);
    for line in [
        "detector     OWLv2",
        "dtype        f16",
        "image size   96 px",
        "yes, 49408 tokens",
    ] {
        assert!(text.contains(line), "{text}");
    }
    says(&["convert", &detector, &q8, "--dtype", "q8"]);
    assert!(says(&["info", &q8]).contains("q8"));
    let size = |path: &str| fs::metadata(path).unwrap().len() as f64;
    assert!(size(&q8) < 0.6 * size(&detector));
    let nano = ["convert", WEIGHTS, &q8, "--without-text"];
    assert_refused(&sam2(&nano), "is no detector");
    let bytes = fs::read(&detector).unwrap();
    fs::write(folder.join("model.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    assert_refused(&find(&folder, &["--text", "cat"]), "cut short");
}
