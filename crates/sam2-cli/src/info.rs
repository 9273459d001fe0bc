//! `sam2 info` prints what a weights file contains.

use std::path::PathBuf;

use anyhow::{Context, Result};
use sam2::CheckpointError;
use sam2::checkpoint::Naming;
use sam2_checkpoint::Container;

use crate::output::say;
use crate::{detector, load};

/// Arguments of `sam2 info`.
#[derive(clap::Args)]
pub struct Args {
    /// The checkpoint: an official .pt or safetensors file, or the folder or index of a checkpoint in several files
    file: PathBuf,
}

/// Runs `sam2 info`.
///
/// # Errors
/// Bad input. The message says what is wrong with the file.
pub fn run(args: &Args) -> Result<()> {
    let name = || args.file.display().to_string();
    let checkpoint = match load::checkpoint(&args.file) {
        Ok(checkpoint) => checkpoint,
        Err(error) => match detector::open_if_detector(&args.file)? {
            Some((checkpoint, config)) => return detector_info(&checkpoint, &config),
            None => return Err(error),
        },
    };
    let config = match checkpoint.config() {
        Err(CheckpointError::UnknownVariant { .. }) => None,
        other => Some(other.with_context(name)?),
    };
    if let Some(config) = &config {
        load::tell(&checkpoint.check(config).with_context(name)?);
    }
    let naming = match checkpoint.naming() {
        Naming::Official => "official",
        Naming::Transformers => "transformers",
    };
    let dtypes: Vec<String> = checkpoint.dtypes().iter().map(ToString::to_string).collect();
    let (variant, image_size) = match &config {
        Some(config) => (config.name.clone(), format!("{} px", config.image_size)),
        None => ("unknown".into(), "unknown".into()),
    };
    say!("variant      {variant}")?;
    say!("version      {}", checkpoint.version())?;
    say!("parameters   {}", checkpoint.parameter_count())?;
    say!("tensors      {}", checkpoint.tensor_count())?;
    say!("names        {naming}")?;
    say!("format       {}", format_name(checkpoint.container()))?;
    say!("dtype        {}", dtypes.join(", "))?;
    say!("image size   {image_size}")?;
    say!(
        "memory part  {}",
        if checkpoint.has_memory() {
            "yes"
        } else {
            "no (pictures only)"
        }
    )?;
    Ok(())
}

/// Prints what a detector's file contains.
fn detector_info(checkpoint: &owlv2::Checkpoint, config: &owlv2::Owlv2Config) -> Result<()> {
    let dtypes: Vec<String> = checkpoint.dtypes().iter().map(ToString::to_string).collect();
    let vision = &config.vision_config;
    say!("detector     OWLv2")?;
    say!("parameters   {}", checkpoint.parameter_count(config))?;
    say!("format       {}", format_name(checkpoint.container()))?;
    say!("dtype        {}", dtypes.join(", "))?;
    say!(
        "image size   {} px, patches of {} px",
        vision.image_size,
        vision.patch_size
    )?;
    say!(
        "text tower   {}",
        match checkpoint.has_text() {
            true => format!("yes, {} tokens", config.text_config.vocab_size),
            false => "no (labels and examples only)".to_owned(),
        }
    )
}

fn format_name(container: Container) -> &'static str {
    match container {
        Container::Safetensors => "safetensors",
        Container::Torch => "PyTorch .pt",
    }
}
