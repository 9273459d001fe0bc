//! `sam2 convert` writes a checkpoint as packed safetensors.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use sam2::checkpoint::Packing;

use crate::{detector, load};

/// Arguments of `sam2 convert`.
#[derive(clap::Args)]
pub struct Args {
    /// The checkpoint: SAM 2's or EdgeTAM's official .pt or safetensors file, or the folder or index of a checkpoint in several files;
    /// or a detector's file from transformers
    input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT.safetensors")]
    output: PathBuf,
    /// The number format: f16 is half the size of f32, and q8 about a quarter (matrices in 8 bits, the rest in f16)
    #[arg(long, value_enum, default_value = "f16")]
    dtype: Dtype,
    /// Leave out a detector's text tower, for pages and programs with ready-made labels (`sam2 embed-labels`)
    #[arg(long)]
    without_text: bool,
    #[command(flatten)]
    config: load::ConfigArgs,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Dtype {
    F16,
    F32,
    Q8,
}

impl Dtype {
    fn packing(self) -> Packing {
        match self {
            Self::F16 => Packing::F16,
            Self::F32 => Packing::F32,
            Self::Q8 => Packing::Q8,
        }
    }
}

/// Runs `sam2 convert`.
///
/// # Errors
/// Bad input. The message says which file, what was expected and what was found.
pub fn run(args: &Args) -> Result<()> {
    let name = || args.input.display().to_string();
    if args.without_text {
        let detector = detector::open_if_detector(&args.input)?.with_context(|| {
            format!(
                "--without-text: {} is no detector, and only detectors have a text tower",
                name()
            )
        })?;
        return args.write_detector(detector);
    }
    let mut checkpoint = match load::checkpoint(&args.input) {
        Ok(checkpoint) => checkpoint,
        Err(error) => match detector::open_if_detector(&args.input)? {
            Some(detector) => return args.write_detector(detector),
            None => return Err(error),
        },
    };
    let config = load::config(&args.config, &checkpoint).with_context(name)?;
    load::tell(&checkpoint.check(&config).with_context(name)?);
    let packed = checkpoint
        .pack(&config, args.dtype.packing())
        .with_context(name)?;
    args.write(&packed)
}

impl Args {
    fn write_detector(&self, (checkpoint, config): (owlv2::Checkpoint, owlv2::Owlv2Config)) -> Result<()> {
        let with_text = checkpoint.has_text() && !self.without_text;
        let packed = checkpoint.pack(&config, with_text, self.dtype.packing());
        self.write(&packed.with_context(|| self.input.display().to_string())?)
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        let path = &self.output;
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}
