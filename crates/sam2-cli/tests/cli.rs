//! Runs the tool: what it writes, and that bad input is reported on one line with exit code 2.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{WEIGHTS, assert_refused, sam2};
use image::{Rgb, RgbImage};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

const MALICIOUS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../checkpoint/tests/fixtures/malicious.pt"
);

/// A folder for one test, with a picture of a red disc, 60 wide and 40 high.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    let disc = RgbImage::from_fn(60, 40, |x, y| {
        let inside = (x as i32 - 30).pow(2) + (y as i32 - 20).pow(2) < 100;
        Rgb(if inside { [200, 30, 30] } else { [90, 140, 90] })
    });
    disc.save(folder.join("disc.png")).unwrap();
    folder
}

fn predict(folder: &Path, more: &[&str]) -> Output {
    let picture = folder.join("disc.png");
    let mut args = vec![
        "predict",
        "--weights",
        WEIGHTS,
        "--image",
        picture.to_str().unwrap(),
    ];
    let out = folder.to_str().unwrap();
    args.extend(["--out", out]);
    args.extend(more);
    sam2(&args)
}

#[test]
fn predict_writes_what_it_says() {
    let folder = folder("predict");
    let output = predict(&folder, &["--point", "30,20,1", "--point", "2,2,0"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let bytes = fs::read(folder.join("result.safetensors")).unwrap();
    let result = SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| result.tensor(name).unwrap().shape().to_vec();
    assert_eq!(shape("low_res_logits"), [3, 128, 128]);
    assert_eq!(shape("masks"), [3, 40, 60]);
    assert_eq!(shape("scores"), [3]);
    assert_eq!(shape("object_score"), [1]);

    let masks = result.tensor("masks").unwrap();
    assert_eq!(masks.dtype(), Dtype::U8);
    for (i, mask) in masks.data().chunks_exact(60 * 40).enumerate() {
        let png = image::open(folder.join(format!("mask_{i}.png")))
            .unwrap()
            .into_luma8();
        assert!(
            png.as_raw()
                .iter()
                .zip(mask)
                .all(|(pixel, bit)| *pixel == bit * 255)
        );
    }

    // The best mask's logits are the next prompt.
    let logits = &result.tensor("low_res_logits").unwrap().data()[..4 * 128 * 128];
    let view = TensorView::new(Dtype::F32, vec![128, 128], logits).unwrap();
    let earlier = folder.join("earlier.safetensors");
    fs::write(&earlier, safetensors::serialize([("mask", view)], None).unwrap()).unwrap();
    let earlier = earlier.to_str().unwrap();
    let output = predict(
        &folder,
        &["--mask-input", earlier, "--box", "15,5,45,35", "--single"],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let bytes = fs::read(folder.join("result.safetensors")).unwrap();
    assert_eq!(
        SafeTensors::deserialize(&bytes)
            .unwrap()
            .tensor("masks")
            .unwrap()
            .shape(),
        [1, 40, 60]
    );
}

#[test]
fn converting_to_f32_and_back_changes_nothing() {
    let folder = folder("convert");
    let [wide, narrow] = ["wide.safetensors", "narrow.safetensors"].map(|name| folder.join(name));
    let (wide, narrow) = (wide.to_str().unwrap(), narrow.to_str().unwrap());
    assert!(
        sam2(&["convert", WEIGHTS, wide, "--dtype", "f32"])
            .status
            .success()
    );
    assert!(sam2(&["convert", wide, narrow]).status.success());
    let (original, narrow) = (fs::read(WEIGHTS).unwrap(), fs::read(narrow).unwrap());
    let (original, narrow) = (
        SafeTensors::deserialize(&original).unwrap(),
        SafeTensors::deserialize(&narrow).unwrap(),
    );
    assert_eq!(original.len(), narrow.len());
    for (name, tensor) in original.tensors() {
        assert_eq!(tensor, narrow.tensor(&name).unwrap(), "{name}");
    }

    let eight = folder.join("eight.safetensors");
    let eight = eight.to_str().unwrap();
    assert!(
        sam2(&["convert", WEIGHTS, eight, "--dtype", "q8"])
            .status
            .success()
    );
    let size = |path: &str| fs::metadata(path).unwrap().len();
    assert!(10 * size(eight) < 6 * size(WEIGHTS), "{} bytes", size(eight));
    let info = String::from_utf8(sam2(&["info", eight]).stdout).unwrap();
    assert!(info.contains("f16, q8") && info.contains("nano"), "{info}");

    let info = String::from_utf8(sam2(&["info", WEIGHTS]).stdout).unwrap();
    assert!(
        info.contains("nano") && info.contains("2.1") && info.contains("official"),
        "{info}"
    );
}

#[test]
fn wrong_prompts_are_refused() {
    let folder = folder("prompts");
    assert_refused(
        &predict(&folder, &["--point", "61,20,1"]),
        "outside the picture of 60x40",
    );
    assert_refused(&predict(&folder, &["--point", "nan,20,1"]), "not a finite number");
    assert_refused(&predict(&folder, &["--point", "5,5,4"]), "label 4");
    assert_refused(&predict(&folder, &["--point", "5,5"]), "X,Y,LABEL");
    assert_refused(&predict(&folder, &["--box", "30,30,10,10"]), "left < right");
    assert_refused(&predict(&folder, &["--mask-input", WEIGHTS]), "no tensor `mask`");
}

#[test]
fn wrong_files_are_refused() {
    let folder = folder("files");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (out, disc) = (path("out"), path("disc.png"));
    let with = |weights: &str, image: &str| {
        sam2(&[
            "predict",
            "--weights",
            weights,
            "--image",
            image,
            "--point",
            "5,5,1",
            "--out",
            &out,
        ])
    };
    fs::write(path("text.jpg"), "not a picture").unwrap();
    assert_refused(&with(WEIGHTS, &path("text.jpg")), "not a picture");
    assert_refused(&with(WEIGHTS, &path("nowhere.jpg")), "cannot read");
    // The header is enough to refuse the picture, so its pixels are never decoded.
    fs::write(path("huge.bmp"), bmp_header(12_000, 9_000)).unwrap();
    assert_refused(&with(WEIGHTS, &path("huge.bmp")), "over the limit");

    assert_refused(&with(&path("disc.png"), &disc), "not a model's weights");
    assert_refused(&with(MALICIOUS, &disc), "posix.system");
    let whole = fs::read(WEIGHTS).unwrap();
    fs::write(path("half.safetensors"), &whole[..whole.len() / 2]).unwrap();
    assert_refused(&with(&path("half.safetensors"), &disc), "cut short");
    let wrong = sam2(&[
        "predict",
        "--weights",
        WEIGHTS,
        "--config",
        "large",
        "--image",
        &disc,
        "--out",
        &out,
    ]);
    assert_refused(&wrong, "another variant");
}

/// nano's tensors, as `keep` renames them, in a file.
fn rewritten(path: &Path, metadata: bool, keep: impl Fn(&str) -> Option<String>) {
    let bytes = fs::read(WEIGHTS).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let nano = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = nano.iter().filter_map(|(name, view)| Some((keep(name)?, view)));
    let metadata = metadata.then(|| header.metadata().clone()).flatten();
    fs::write(path, safetensors::serialize(tensors, metadata).unwrap()).unwrap();
}

#[test]
fn a_checkpoint_as_training_left_it() {
    let folder = folder("training");
    let at = |name: &str| folder.join(name);
    let info = |path: &Path| {
        let output = sam2(&["info", path.to_str().unwrap()]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    let (nano, warnings) = info(Path::new(WEIGHTS));
    assert_eq!(warnings, "");

    // With prefixes, and without a file extension. A missing tensor is still an error.
    let own = at("own");
    rewritten(&own, true, |name| {
        Some(match name {
            "no_obj_ptr" => "my_head.weight".into(),
            _ => format!("module.{name}"),
        })
    });
    let error = sam2(&["info", own.to_str().unwrap()]);
    assert_refused(&error, "no tensor `no_obj_ptr`");
    rewritten(&own, true, |name| Some(format!("_orig_mod.module.{name}")));
    assert_eq!(info(&own), (nano.clone(), String::new()));

    // In two files, with an index.
    let parts = at("parts");
    fs::create_dir_all(&parts).unwrap();
    let mut map = serde_json::Map::new();
    for (file, encoder) in [("a.safetensors", true), ("b.safetensors", false)] {
        rewritten(&parts.join(file), encoder, |name| {
            (name.starts_with("image_encoder.") == encoder).then(|| name.to_owned())
        });
        map.insert(file.into(), file.into());
    }
    assert_eq!(info(&parts).0, nano);
    let index = parts.join("model.safetensors.index.json");
    fs::write(&index, serde_json::json!({ "weight_map": map }).to_string()).unwrap();
    assert_eq!(info(&parts).0, nano);
    assert_eq!(info(&index).0, nano);
    fs::write(at("bad.index.json"), r#"{"weight_map": {"a": "../own"}}"#).unwrap();
    let error = sam2(&["info", at("bad.index.json").to_str().unwrap()]);
    assert_refused(&error, "not the name of a file beside it");

    // A file without a configuration needs one.
    let bare = at("bare.safetensors");
    rewritten(&bare, false, |name| Some(name.to_owned()));
    let out = at("out.safetensors");
    let [bare, out] = [&bare, &out].map(|path| path.to_str().unwrap());
    assert_refused(&sam2(&["convert", bare, out]), "--config FILE.yaml");
    let yaml = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/nano/nano.yaml");
    let output = sam2(&["convert", bare, out, "--config", yaml]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn pictures_can_be_resized_to_another_side() {
    let folder = folder("image-size");
    let output = predict(&folder, &["--point", "30,20,1", "--image-size", "256"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let bytes = fs::read(folder.join("result.safetensors")).unwrap();
    let result = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(result.tensor("low_res_logits").unwrap().shape(), [3, 64, 64]);
    assert_eq!(result.tensor("masks").unwrap().shape(), [3, 40, 60]);
    for side in ["0", "100", "1000000", "18446744073709551615"] {
        let output = predict(&folder, &["--point", "30,20,1", "--image-size", side]);
        assert_refused(&output, "a multiple of 32 from 64 to 4096");
    }
}

/// An uncompressed 24-bit BMP without its pixels.
fn bmp_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"BM".to_vec();
    for word in [
        54 + 3 * width * height,
        0,
        54,
        40,
        width,
        height,
        1 | 24 << 16,
        0,
        0,
        0,
        0,
        0,
        0,
    ] {
        header.extend(word.to_le_bytes());
    }
    header
}

#[test]
fn everything_writes_the_official_records() {
    let folder = folder("everything");
    let (picture, out) = (folder.join("disc.png"), folder.join("everything.json"));
    let everything = |more: &[&str]| {
        let files = [picture.to_str().unwrap(), out.to_str().unwrap()];
        let args = [
            "everything",
            "--weights",
            WEIGHTS,
            "--image",
            files[0],
            "--out",
            files[1],
        ];
        sam2(&[&args[..], more].concat())
    };
    // With every filter off, empty masks are there too.
    let output = everything(&[
        "--points-per-side=3",
        "--pred-iou-thresh=0",
        "--stability-score-thresh=0",
        "--mask-threshold=1000",
        "--box-nms-thresh=1",
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let records: serde_json::Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    assert_eq!(records.as_array().unwrap().len(), 27);
    let record = &records[0];
    assert_eq!(record["segmentation"]["size"], serde_json::json!([40, 60]));
    assert_eq!(record["segmentation"]["counts"], "P[2"); // 2,400 pixels of background
    assert_eq!(record["area"], 0);
    assert_eq!(record["bbox"], serde_json::json!([0.0, 0.0, 0.0, 0.0]));
    assert_eq!(record["crop_box"], serde_json::json!([0.0, 0.0, 60.0, 40.0]));
    assert_eq!(record["stability_score"], serde_json::Value::Null);

    assert!(everything(&["--points-per-side=4"]).status.success());
    let records: serde_json::Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    for record in records.as_array().unwrap() {
        assert!(record["predicted_iou"].as_f64().unwrap() > 0.8);
        assert!(record["stability_score"].as_f64().unwrap() >= 0.95);
    }

    assert_refused(
        &everything(&["--pred-iou-thresh=2"]),
        "`pred_iou_thresh` is 2, expected a number from 0 to 1",
    );
    assert_refused(&everything(&["--points-per-side=0"]), "`points_per_side` is 0");
    assert_refused(&everything(&["--crop-n-layers=8"]), "`crop_n_layers` is 8");
}
