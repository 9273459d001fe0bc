//! `sam2 convert` writes a checkpoint as packed safetensors.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use sam2::checkpoint::Packing;

use crate::load;

/// Arguments of `sam2 convert`.
#[derive(clap::Args)]
pub struct Args {
    /// The checkpoint: an official .pt or safetensors file, or the folder or index of a checkpoint in several files
    input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT.safetensors")]
    output: PathBuf,
    /// The number format: f16 is half the size of f32, and q8 about a quarter (matrices in 8 bits, the rest in f16)
    #[arg(long, value_enum, default_value = "f16")]
    dtype: Dtype,
    #[command(flatten)]
    config: load::ConfigArgs,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Dtype {
    F16,
    F32,
    Q8,
}

/// Runs `sam2 convert`.
///
/// # Errors
/// Bad input. The message says which file, what was expected and what was found.
pub fn run(args: &Args) -> Result<()> {
    let name = || args.input.display().to_string();
    let mut checkpoint = load::checkpoint(&args.input)?;
    let config = load::config(&args.config, &checkpoint).with_context(name)?;
    load::tell(&checkpoint.check(&config).with_context(name)?);
    let packing = match args.dtype {
        Dtype::F16 => Packing::F16,
        Dtype::F32 => Packing::F32,
        Dtype::Q8 => Packing::Q8,
    };
    let packed = checkpoint.pack(&config, packing).with_context(name)?;
    fs::write(&args.output, packed).with_context(|| format!("cannot write {}", args.output.display()))
}
