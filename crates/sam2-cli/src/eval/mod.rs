//! `sam2 eval` measures the mean IoU over a folder of pictures, or of clips, with instance masks.
//!
//! Every instance with an area of at least 0.5 % of its picture is measured. Pixels labelled 255 are ignored.

mod labels;
mod pictures;
mod video;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pictures::PromptKind;
use serde::Serialize;

use crate::load;

/// The smallest area of an instance that is measured, as a fraction of the picture's.
const SMALLEST: f64 = 0.005;

/// Arguments of `sam2 eval`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: load::ModelArgs,
    /// A folder with images/<source>/<id>.jpg and <id>.png: palette indices, 0 background, 255 ignored; and with
    /// video/<source>/<clip>/<frame>.jpg and .png
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A JSON object of the ids to measure by folder, {"images/<source>": ["<id>", …]}, or by video/<source>; all by
    /// default
    #[arg(long, value_name = "FILE.json")]
    split: Option<PathBuf>,
    /// The prompt for each instance
    #[arg(long, value_enum, default_value = "click")]
    prompt: PromptKind,
    /// Measure only instances that cover at most this fraction of their picture, such as 0.02
    #[arg(
        long,
        value_name = "FRACTION",
        default_value_t = 1.0,
        conflicts_with = "video"
    )]
    largest: f64,
    /// Measure masks that were predicted again on the part of the picture around them
    #[arg(long, conflicts_with = "video")]
    refine: bool,
    /// Measure on the clips, prompted with the first frame's mask and with one click on it
    #[arg(long, conflicts_with = "prompt")]
    video: bool,
    /// The file for the report
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

/// Runs `sam2 eval`.
///
/// # Errors
/// A file cannot be read or does not have the expected contents.
pub fn run(args: &Args) -> Result<()> {
    if args.video {
        video::run(args)
    } else {
        pictures::run(args)
    }
}

/// The source and the path of each file of a kind that is `wanted` and in the split, in the order of their names.
fn files(args: &Args, kind: &str, wanted: impl Fn(&Path) -> bool) -> Result<Vec<(String, PathBuf)>> {
    let only: Option<BTreeMap<String, Vec<String>>> = args
        .split
        .as_deref()
        .map(|path| -> Result<_> {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_str(&text).with_context(|| format!("{} is not ids by folder", path.display()))
        })
        .transpose()?;
    let name = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for folder in load::entries(&args.data.join(kind))? {
        if !folder.is_dir() {
            continue;
        }
        let source = name(folder.file_name());
        let ids = only.as_ref().map(|only| only.get(&format!("{kind}/{source}")));
        for path in load::entries(&folder)?.into_iter().filter(|path| wanted(path)) {
            let id = name(path.file_stem());
            if ids.is_none_or(|ids| ids.is_some_and(|ids| ids.contains(&id))) {
                found.push((source.clone(), path));
            }
        }
    }
    Ok(found)
}

fn write(args: &Args, report: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    fs::write(&args.out, text).with_context(|| format!("cannot write {}", args.out.display()))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
