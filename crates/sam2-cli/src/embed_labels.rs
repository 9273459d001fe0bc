//! `sam2 embed-labels` writes the embeddings of labels, so that a page or `sam2 find` needs no text tower.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::detector::DetectorArgs;
use crate::load::ImplementationArgs;
use crate::output::say;

/// Arguments of `sam2 embed-labels`.
#[derive(clap::Args)]
pub struct Args {
    /// A text file with a label in each line; empty lines are passed over
    #[arg(value_name = "words.txt")]
    words: PathBuf,
    #[command(flatten)]
    detector: DetectorArgs,
    #[command(flatten)]
    computed: ImplementationArgs,
    /// The file to write
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
}

/// Runs `sam2 embed-labels`.
///
/// # Errors
/// Bad input. The message says which file, what was expected and what was found.
pub fn run(args: &Args) -> Result<()> {
    let name = || args.words.display().to_string();
    let text = fs::read_to_string(&args.words).with_context(|| format!("cannot read {}", name()))?;
    let labels: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|label| !label.is_empty())
        .collect();
    anyhow::ensure!(
        !labels.is_empty(),
        "{} has no labels: write one in each line",
        name()
    );
    let detector = args.detector.load(true, &args.computed.implementation())?;
    let embeddings = pollster::block_on(detector.embed(&labels)).with_context(name)?;
    let file = embeddings.to_bytes().with_context(name)?;
    fs::write(&args.out, file).with_context(|| format!("cannot write {}", args.out.display()))?;
    say!("{}  {} labels", args.out.display(), embeddings.labels().len())
}
