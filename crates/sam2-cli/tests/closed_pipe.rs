//! Whoever reads what the tool says may stop before the end: nothing panics, and all files are written.

mod common;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{WEIGHTS, assert_refused, sam2};
use image::{GrayImage, Luma, Rgb, RgbImage};

/// A red disc on green, 60 wide and 40 high.
fn in_disc(x: u32, y: u32) -> bool {
    (x as i32 - 30).pow(2) + (y as i32 - 20).pow(2) < 100
}

/// A folder with all that the commands read.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("closed-pipe");
    let _ = fs::remove_dir_all(&folder);
    let pictures = folder.join("data/images/discs");
    let clip = folder.join("data/video/discs/still");
    for new in [&pictures, &clip, &folder.join("frames")] {
        fs::create_dir_all(new).unwrap();
    }
    let disc = RgbImage::from_fn(60, 40, |x, y| {
        Rgb(if in_disc(x, y) {
            [200, 30, 30]
        } else {
            [90, 140, 90]
        })
    });
    let labels = GrayImage::from_fn(60, 40, |x, y| Luma([u8::from(in_disc(x, y))]));
    for path in [
        folder.join("disc.png"),
        folder.join("frames/0.png"),
        folder.join("frames/1.png"),
        pictures.join("disc.jpg"),
        clip.join("00000.jpg"),
        clip.join("00001.jpg"),
    ] {
        disc.save(path).unwrap();
    }
    for path in [
        pictures.join("disc.png"),
        clip.join("00000.png"),
        clip.join("00001.png"),
    ] {
        labels.save(path).unwrap();
    }
    let prompts = r#"[{"frame": 0, "object": 1, "points": [[30, 20, 1]]}]"#;
    fs::write(folder.join("prompts.json"), prompts).unwrap();
    folder
}

/// A pipe of which nobody reads.
fn closed() -> Stdio {
    let (_, writer) = io::pipe().unwrap();
    writer.into()
}

/// Runs the tool in `folder` with its output closed, or its errors, or both.
fn run(folder: &Path, args: &[&str], [out, err]: [bool; 2]) -> Output {
    let pipe = |is_closed| if is_closed { closed() } else { Stdio::piped() };
    Command::new(env!("CARGO_BIN_EXE_sam2"))
        .current_dir(folder)
        .args(args)
        .stdout(pipe(out))
        .stderr(pipe(err))
        .output()
        .expect("the tool runs")
}

#[test]
fn a_reader_that_stops_ends_nothing() {
    let heard = sam2(&["info", WEIGHTS]);
    assert_eq!(String::from_utf8_lossy(&heard.stdout).lines().count(), 9);
    let folder = folder();
    // What each command writes.
    let commands: [(&[&str], Option<&str>); 8] = [
        (&["info", WEIGHTS], None),
        (&["--help"], None),
        (&["--version"], None),
        (
            &[
                "predict",
                "--weights",
                WEIGHTS,
                "--image",
                "disc.png",
                "--point",
                "30,20,1",
                "--out",
                "predicted",
            ],
            Some("predicted/mask_0.png"),
        ),
        (
            &[
                "everything",
                "--weights",
                WEIGHTS,
                "--image",
                "disc.png",
                "--points-per-side=2",
                "--out",
                "everything.json",
            ],
            Some("everything.json"),
        ),
        (
            &[
                "track",
                "--weights",
                WEIGHTS,
                "--frames",
                "frames",
                "--prompts",
                "prompts.json",
                "--out",
                "tracked",
            ],
            Some("tracked/1/00001.png"),
        ),
        (
            &[
                "eval",
                "--weights",
                WEIGHTS,
                "--data",
                "data",
                "--out",
                "pictures.report",
            ],
            Some("pictures.report"),
        ),
        (
            &[
                "eval",
                "--video",
                "--weights",
                WEIGHTS,
                "--data",
                "data",
                "--out",
                "clips.report",
            ],
            Some("clips.report"),
        ),
    ];
    for (args, file) in commands {
        for closed in [[true, false], [false, true], [true, true]] {
            let output = run(&folder, args, closed);
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{args:?}, {closed:?}: {error}");
            assert!(!error.contains("panicked"), "{args:?}: {error}");
            if let Some(file) = file {
                fs::remove_file(folder.join(file))
                    .unwrap_or_else(|error| panic!("{args:?}: {file}: {error}"));
            }
        }
    }
    // Bad input is known by the exit code, whoever listens.
    let bad = ["info", "missing.pt"];
    assert_refused(&run(&folder, &bad, [true, false]), "missing.pt");
    for closed in [[false, true], [true, true]] {
        assert_eq!(run(&folder, &bad, closed).status.code(), Some(2));
    }
    // A disk that is full is no reader that stops.
    #[cfg(target_os = "linux")]
    {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_sam2"))
            .args(["info", WEIGHTS])
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_refused(&output, "cannot write to standard output");
    }
}
