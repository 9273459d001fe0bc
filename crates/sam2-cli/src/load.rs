//! Weights, configurations and pictures from files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::{DynamicImage, ImageDecoder, ImageReader};
use sam2::{ImageModel, Implementation, Sam2Config, VideoModel};
use sam2_ops::Products;
use sam2_predict::PictureRef;
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

/// A folder's files and folders, in order of their names.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}", folder.display());
    let read = fs::read_dir(folder).with_context(cannot)?;
    let mut paths = read
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()
        .with_context(cannot)?;
    paths.sort();
    Ok(paths)
}

/// The picture as a viewer shows it: turned upright by its EXIF orientation, as browsers do.
pub fn picture(path: &Path) -> Result<DynamicImage> {
    let name = || path.display().to_string();
    let reader = ImageReader::open(path).with_context(|| format!("cannot read {}", name()))?;
    let mut decoder = reader
        .with_guessed_format()
        .and_then(|reader| reader.into_decoder().map_err(std::io::Error::other))
        .with_context(|| format!("{} is not a picture that can be read", name()))?;
    let (width, height) = decoder.dimensions();
    // Before any pixel is decoded: a small file may claim a huge picture.
    PictureRef::check_size(width as usize, height as usize).with_context(name)?;
    let orientation = decoder.orientation().with_context(name)?;
    let mut picture =
        DynamicImage::from_decoder(decoder).with_context(|| format!("{} is damaged", name()))?;
    picture.apply_orientation(orientation);
    Ok(picture)
}
