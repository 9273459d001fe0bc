//! Weights, configurations and folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sam2::{ImageModel, Implementation, Sam2Config, VideoModel};
use sam2_ops::Products;
use sam2_weights::Checkpoint;

/// Which model to run.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// Weights: the official .pt, or safetensors
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// tiny, small, base_plus, large, or an official YAML file; found from the weights if left out
    #[arg(long, value_name = "NAME|FILE.yaml")]
    config: Option<String>,
    /// How the network is computed: `portable` and `packed` are for comparison, and slower
    #[arg(long, value_enum, default_value = "cpu")]
    implementation: Computed,
}

/// The implementations of the network's operations.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Computed {
    /// In place, with burn's products
    Cpu,
    /// In place, with the products that browsers compute
    Packed,
    /// Plain burn
    Portable,
}

impl Computed {
    fn implementation(self) -> Implementation {
        match self {
            Self::Cpu => Implementation::cpu(Products::Burn),
            Self::Packed => Implementation::cpu(Products::Packed),
            Self::Portable => Implementation::portable(burn::tensor::Device::flex()),
        }
    }
}

/// Opens a `.pt` or safetensors file.
pub fn checkpoint(path: &Path) -> Result<Checkpoint> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Checkpoint::from_bytes(bytes).with_context(|| path.display().to_string())
}

/// The configuration that was named: a variant, or an official YAML file; else what the checkpoint says itself.
pub fn config(named: Option<&str>, checkpoint: &Checkpoint) -> Result<Sam2Config> {
    match named {
        None => Ok(checkpoint.config()?),
        Some(name) if name.ends_with(".yaml") || name.ends_with(".yml") => {
            let text = fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
            Sam2Config::from_yaml(&text).with_context(|| name.to_owned())
        }
        Some(name) => Ok(Sam2Config::named(name, checkpoint.version())?),
    }
}

/// The image half of the network, on the CPU.
pub fn image_model(args: &ModelArgs) -> Result<ImageModel> {
    let (mut checkpoint, config) = checked(args)?;
    Ok(ImageModel::load(
        &config,
        &mut checkpoint,
        &args.implementation.implementation(),
    )?)
}

/// The whole network, on the CPU.
pub fn video_model(args: &ModelArgs) -> Result<VideoModel> {
    let (mut checkpoint, config) = checked(args)?;
    Ok(VideoModel::load(
        &config,
        &mut checkpoint,
        &args.implementation.implementation(),
    )?)
}

/// A checkpoint that has all that its configuration asks for.
fn checked(args: &ModelArgs) -> Result<(Checkpoint, Sam2Config)> {
    let checkpoint = checkpoint(&args.weights)?;
    let config = config(args.config.as_deref(), &checkpoint)?;
    checkpoint
        .check(&config)
        .with_context(|| args.weights.display().to_string())?;
    Ok((checkpoint, config))
}

/// A folder's files and folders as people count: by the numbers in their names, then by letters. What a system adds
/// of its own (`._name`, `.DS_Store`, `Thumbs.db`) is left out.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}", folder.display());
    let read = fs::read_dir(folder).with_context(cannot)?;
    let mut paths = read
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()
        .with_context(cannot)?;
    paths.retain(|path| !is_of_the_system(path));
    alphanumeric_sort::sort_path_slice(&mut paths);
    Ok(paths)
}

fn is_of_the_system(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    name.starts_with('.') || ["thumbs.db", "desktop.ini", "__macosx"].contains(&name.as_str())
}
