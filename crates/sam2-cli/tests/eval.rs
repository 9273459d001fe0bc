//! `sam2 eval` on made-up data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::Value;

const WEIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/nano.safetensors");
const FRAMES: usize = 3;

/// A disc that moves to the right over a plain background, and another one that is too small to be measured.
fn label(x: u32, y: u32, frame: usize) -> u8 {
    let inside =
        |cx: usize, radius: i32| (x as i32 - cx as i32).pow(2) + (y as i32 - 48).pow(2) < radius.pow(2);
    match () {
        () if inside(40 + 6 * frame, 20) => 7,
        () if inside(120, 3) => 9,
        () if y == 0 => 255,
        () => 0,
    }
}

/// A data folder with two clips; the labels of the second one's last frame are empty.
fn data(name: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&data);
    for clip in ["moving", "gone"] {
        let folder = data.join("video/discs").join(clip);
        fs::create_dir_all(&folder).unwrap();
        for frame in 0..FRAMES {
            let gone = clip == "gone" && frame == FRAMES - 1;
            let at = |x, y| if gone { 0 } else { label(x, y, frame) };
            let colors = |x, y| {
                Rgb(if at(x, y) == 7 {
                    [210, 40, 40]
                } else {
                    [80, 130, 90]
                })
            };
            let path = folder.join(format!("{frame:05}"));
            RgbImage::from_fn(144, 96, colors)
                .save(path.with_extension("jpg"))
                .unwrap();
            GrayImage::from_fn(144, 96, |x, y| Luma([at(x, y)]))
                .save(path.with_extension("png"))
                .unwrap();
        }
    }
    data
}

fn eval(data: &Path, more: &[&str]) -> Output {
    let (folder, out) = (data.to_str().unwrap(), data.join("report.json"));
    Command::new(env!("CARGO_BIN_EXE_sam2"))
        .args([
            "eval",
            "--weights",
            WEIGHTS,
            "--data",
            folder,
            "--out",
            out.to_str().unwrap(),
        ])
        .args(more)
        .output()
        .expect("the tool runs")
}

#[test]
fn clips_are_measured_by_mask_and_by_click() {
    let data = data("eval-video");
    let output = eval(&data, &["--video"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = |data: &Path| -> Value {
        serde_json::from_slice(&fs::read(data.join("report.json")).unwrap()).unwrap()
    };
    let whole = report(&data);
    assert_eq!(whole["sources"][0]["source"], "discs");
    // There is one object in each clip, since the other one is too small.
    assert_eq!(whole["sources"][0]["n"], 2);
    for kind in ["j_mask", "j_click"] {
        let j = whole[kind].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&j));
        assert_eq!(whole["sources"][0][kind], whole[kind]);
    }

    fs::write(
        data.join("split.json"),
        r#"{"video/discs": ["moving"], "images/none": []}"#,
    )
    .unwrap();
    let split = data.join("split.json");
    assert!(
        eval(&data, &["--video", "--split", split.to_str().unwrap()])
            .status
            .success()
    );
    let half = report(&data);
    assert_eq!(half["sources"][0]["n"], 1);

    let refused = |output: Output, says: &str| {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(says), "{error}");
    };
    refused(
        eval(&data, &["--video", "--prompt", "box"]),
        "cannot be used with",
    );
    refused(eval(&data, &[]), "images");
    fs::remove_file(data.join("video/discs/gone/00001.png")).unwrap();
    refused(eval(&data, &["--video"]), "00001.png");
}
