//! Runs `sam2 track`.

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{WEIGHTS, assert_refused, sam2};
use image::{GrayImage, Luma, Rgb, RgbImage};
use parity::Recipe;
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::Value;

const FRAMES: usize = 4;

/// A folder for one test, with a clip of a red disc that moves to the right, 60 wide and 40 high. Frames are
/// numbered from 8 on, so that names do not sort as numbers do.
fn clip(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("frames")).unwrap();
    for i in 0..FRAMES {
        let disc = RgbImage::from_fn(60, 40, |x, y| {
            Rgb(if in_disc(x, y, i) {
                [200, 30, 30]
            } else {
                [90, 140, 90]
            })
        });
        disc.save(folder.join(format!("frames/{}.png", i + 8))).unwrap();
    }
    folder
}

fn in_disc(x: u32, y: u32, frame: usize) -> bool {
    (x as i32 - 20 - 4 * frame as i32).pow(2) + (y as i32 - 20).pow(2) < 100
}

fn track(folder: &Path, prompts: &str, more: &[&str]) -> Output {
    fs::write(folder.join("prompts.json"), prompts).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (frames, prompts, out) = (path("frames"), path("prompts.json"), path("out"));
    let args = [
        "track",
        "--weights",
        WEIGHTS,
        "--frames",
        &frames,
        "--prompts",
        &prompts,
        "--out",
        &out,
    ];
    sam2(&[&args[..], more].concat())
}

#[track_caller]
fn assert_done(output: &Output) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}

/// A mask that was written, and its logits.
fn result(folder: &Path, object: u32, frame: usize) -> (GrayImage, Vec<f32>) {
    let mask = image::open(folder.join(format!("out/{object}/{frame:05}.png"))).unwrap();
    let bytes = fs::read(folder.join("out/result.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let logits = file.tensor(&format!("logits.{object}.{frame}")).unwrap();
    assert_eq!(logits.shape(), [128, 128]);
    let logits = logits
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    (mask.into_luma8(), logits)
}

#[test]
fn every_frame_gets_a_mask_of_every_object() {
    let folder = clip("track");
    let mask = GrayImage::from_fn(60, 40, |x, y| Luma([u8::from(in_disc(x, y, 1))]));
    mask.save(folder.join("disc.png")).unwrap();
    // The first prompted frame is 1: frame 0 is tracked backwards.
    let prompts = r#"[{"frame": 1, "object": 3, "mask": "disc.png"},
        {"frame": 2, "object": 5, "box": [17, 9, 40, 32], "points": [[28, 20, 1]]}]"#;
    assert_done(&track(&folder, prompts, &[]));
    for object in [3, 5] {
        for frame in 0..FRAMES {
            let (mask, logits) = result(&folder, object, frame);
            assert_eq!(mask.dimensions(), (60, 40));
            // A mask is the sign of the resized logits, so both cover the same fraction of the picture.
            let share = mask.pixels().filter(|pixel| pixel.0[0] == 255).count() as f64 / 2400.0;
            let low = logits.iter().filter(|&&logit| logit > 0.0).count() as f64 / logits.len() as f64;
            assert!(mask.pixels().all(|pixel| [0, 255].contains(&pixel.0[0])));
            assert!(
                (share - low).abs() < 0.02,
                "object {object} frame {frame}: {share} {low}"
            );
        }
    }
    // The given mask is the result on its frame.
    let (written, _) = result(&folder, 3, 1);
    let same = written
        .pixels()
        .zip(mask.pixels())
        .filter(|(a, b)| (a.0[0] > 0) == (b.0[0] > 0));
    assert!(same.count() > 2350);
    assert!(!folder.join("out/result.safetensors.part").exists());
}

#[test]
fn corrections_last_unless_official() {
    let folder = clip("corrections");
    let first = r#"{"frame": 0, "object": 1, "points": [[20, 20, 1]]}"#;
    let fix = |more: &str| {
        format!(r#"{{"frame": 2, "object": 1, "points": [[5, 5, 1]], "correction": true{more}}}"#)
    };
    assert_done(&track(&folder, &format!("[{first}]"), &["--official"]));
    let plain = result(&folder, 1, 2);
    assert_done(&track(
        &folder,
        &format!("[{first}, {}]", fix("")),
        &["--official"],
    ));
    assert_eq!(
        result(&folder, 1, 2),
        plain,
        "the official predictor loses a correction"
    );
    assert_done(&track(&folder, &format!("[{first}, {}]", fix("")), &[]));
    assert_ne!(result(&folder, 1, 2).1, plain.1);
}

#[test]
fn frames_are_in_the_order_of_their_numbers() {
    let folder = clip("numbered");
    let frames = folder.join("frames");
    for i in 0..FRAMES {
        fs::rename(
            frames.join(format!("{}.png", i + 8)),
            frames.join(format!("frame_{}.PNG", i + 8)),
        )
        .unwrap();
        // Files that operating systems add are not frames.
        fs::write(frames.join(format!("._frame_{}.PNG", i + 8)), b"\0\x05\x16\x07").unwrap();
    }
    for name in [".DS_Store", "Thumbs.db", "desktop.ini"] {
        fs::write(frames.join(name), b"x").unwrap();
    }
    // A detector's box that is outside by less than a pixel. The disc of each frame is recognised by its centre.
    let prompts = r#"[{"frame": 0, "object": 1, "box": [9.4, 9.6, 30.5, 30.9]},
        {"frame": 0, "object": 2, "box": [-0.31, -0.5, 60.4, 40.2]}]"#;
    assert_done(&track(&folder, prompts, &[]));
    assert_eq!(fs::read_dir(folder.join("out/1")).unwrap().count(), FRAMES);
    for frame in 0..FRAMES {
        let (mask, _) = result(&folder, 1, frame);
        let columns: Vec<u32> = mask
            .enumerate_pixels()
            .filter(|p| p.2.0[0] > 0)
            .map(|p| p.0)
            .collect();
        let middle = columns.iter().sum::<u32>() as f64 / columns.len() as f64;
        assert!(
            (middle - 19.5 - 4.0 * frame as f64).abs() < 2.0,
            "frame {frame}: {middle}"
        );
    }
}

#[test]
fn wrong_input_is_refused() {
    let folder = clip("track-wrong");
    let refused = |prompts: &str, says: &str| assert_refused(&track(&folder, prompts, &[]), says);
    refused("[]", "no prompts");
    refused("[\n{\"frame\": 0 \"object\": 1}]", "line 2 column");
    refused(
        r#"[{"frame": 0, "object": 1, "dots": []}]"#,
        "unknown field `dots`",
    );
    refused(r#"[{"frame": 0, "object": -1}]"#, "line 1 column");
    refused(r#"[{"frame": 0, "object": 1}]"#, "give points, a box or both");
    refused(
        r#"[{"frame": 4, "object": 1, "points": [[1, 1, 1]]}]"#,
        "prompt 1 (frame 4, object 1): there is no such frame, only 0 to 3",
    );
    refused(
        r#"[{"frame": 0, "object": 1, "points": [[99, 1, 1]]}]"#,
        "outside the picture",
    );
    refused(
        r#"[{"frame": 0, "object": 1, "points": [[1, 1, 0.5]]}]"#,
        "label 0.5",
    );
    refused(
        r#"[{"frame": 0, "object": 1, "points": [[1, 1]]}]"#,
        "prompt 1 (frame 0, object 1): a point is [x, y, label]",
    );
    refused(
        r#"[{"frame": 0, "object": 1, "box": [-9, 1, 20, 20]}]"#,
        "outside the picture",
    );
    GrayImage::new(60, 40).save(folder.join("empty.png")).unwrap();
    refused(
        r#"[{"frame": 0, "object": 1, "mask": "empty.png"}]"#,
        "the mask is empty",
    );
    refused(
        r#"[{"frame": 0, "object": 1, "mask": "none.png"}]"#,
        "cannot read",
    );
    GrayImage::from_pixel(59, 40, Luma([1]))
        .save(folder.join("small.png"))
        .unwrap();
    refused(
        r#"[{"frame": 0, "object": 1, "mask": "small.png"}]"#,
        "is 59x40, the frames are 60x40",
    );
    fs::remove_file(folder.join("prompts.json")).unwrap();

    let good = r#"[{"frame": 0, "object": 1, "points": [[20, 20, 1]]}]"#;
    RgbImage::new(60, 41).save(folder.join("frames/9.png")).unwrap();
    refused(good, "the frame is 60x41 pixels, the video 60x40");
    assert!(!folder.join("out/result.safetensors").exists());
    fs::copy(folder.join("frames/8.png"), folder.join("frames/9.png")).unwrap();
    fs::copy(folder.join("frames/8.png"), folder.join("frames/8.jpg")).unwrap();
    refused(good, "are the same frame");
    fs::remove_dir_all(folder.join("frames")).unwrap();
    refused(good, "cannot read");
    fs::create_dir(folder.join("frames")).unwrap();
    refused(good, "has no pictures");
}

#[test]
fn what_words_name_is_tracked() {
    let folder = clip("track_words");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity/fixtures/owlv2");
    for file in ["config.json", "merges.txt"] {
        fs::copy(fixture.join(file), folder.join(file)).unwrap();
    }
    // Weights that nobody trained.
    let detector = Recipe::read(fixture.join("weights.json")).to_safetensors(Dtype::F16, HashMap::new());
    fs::write(folder.join("model.safetensors"), detector).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (frames, detector, out) = (path("frames"), path("model.safetensors"), path("out"));
    let run = |more: &[&str]| {
        let args = ["track", "--weights", WEIGHTS, "--frames", &frames, "--out", &out];
        sam2(&[&args[..], &["--detector", &detector], more].concat())
    };
    let kept = ["--threshold", "0.01", "--max", "2", "--text-frame", "1"];
    assert_done(&run(&[&["--text", "a red disc, blue"], &kept[..]].concat()));
    let objects: Value = serde_json::from_slice(&fs::read(folder.join("out/objects.json")).unwrap()).unwrap();
    let objects = objects.as_array().unwrap();
    assert!((1..=2).contains(&objects.len()), "{objects:?}");
    for (object, number) in objects.iter().zip(1..) {
        assert_eq!(object["object"], number);
        assert!(["a red disc", "blue"].contains(&object["label"].as_str().unwrap()));
        for frame in 0..FRAMES {
            assert_eq!(result(&folder, number, frame).0.dimensions(), (60, 40));
        }
    }
    assert_refused(
        &run(&["--text", "cat", "--threshold", "1"]),
        "nothing of this was found",
    );
    assert_refused(&run(&["--text", "cat", "--text-frame", "4"]), "only 0 to 3");
    assert_refused(&run(&[]), "--prompts");
}
