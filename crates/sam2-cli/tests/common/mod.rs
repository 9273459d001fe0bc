//! What the tests of the tool share.

use std::process::{Command, Output};

pub const WEIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/nano.safetensors");

pub fn sam2(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sam2"))
        .args(args)
        .output()
        .expect("the tool runs")
}

#[track_caller]
pub fn assert_refused(output: &Output, says: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains(says), "{error}");
}
