//! Loading of weights, configurations and folders.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sam2::checkpoint::Remark;
use sam2::{Checkpoint, CheckpointError, ImageModel, Implementation, Sam2Config, VideoModel};
use sam2_ops::Products;

use crate::output::note;

impl ModelArgs {
    /// How the network is computed.
    pub fn implementation(&self) -> Implementation {
        self.options.computed.implementation()
    }
}

/// Which model to run.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// Weights: an official .pt or safetensors file, or the folder or index of a checkpoint in several files
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    #[command(flatten)]
    options: ModelOptions,
}

/// How a model is run.
#[derive(clap::Args)]
pub struct ModelOptions {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    computed: ImplementationArgs,
}

/// How a network is computed.
#[derive(clap::Args)]
pub struct ImplementationArgs {
    /// How the network is computed; `portable` and `packed` are slower, and meant for comparison
    #[arg(long, value_enum, default_value = "cpu")]
    implementation: Computed,
}

impl ImplementationArgs {
    /// The implementation of the network's operations.
    pub fn implementation(&self) -> Implementation {
        self.implementation.implementation()
    }
}

/// The configuration of the weights.
#[derive(clap::Args)]
pub struct ConfigArgs {
    /// tiny, small, base_plus, large, edgetam, or an official YAML file; found from the weights by default
    #[arg(long, value_name = "NAME|FILE.yaml")]
    config: Option<String>,
    /// Side in pixels of the square to which pictures are resized, such as 512: a smaller one is faster and less
    /// accurate; the configuration's by default
    #[arg(long, value_name = "PIXELS")]
    image_size: Option<usize>,
}

/// The implementations of the network's operations.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Computed {
    /// In place on the CPU, with matrix products by burn
    Cpu,
    /// In place on the CPU, with the matrix products of the browser build
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

/// Opens a `.pt` or safetensors file, or all files of a checkpoint in several files.
pub fn checkpoint(path: &Path) -> Result<Checkpoint> {
    let name = || path.display().to_string();
    let parts = parts(path)?
        .iter()
        .map(|part| fs::read(part).with_context(|| format!("cannot read {}", part.display())))
        .collect::<Result<Vec<_>>>()?;
    Checkpoint::from_parts(parts).with_context(name)
}

/// The files of a checkpoint: those that an index names, those in a folder, or a single file.
fn parts(path: &Path) -> Result<Vec<PathBuf>> {
    let has_ending = |path: &Path, ending: &str| path.to_string_lossy().ends_with(ending);
    if path.is_dir() {
        let files = entries(path)?;
        if let Some(index) = files
            .iter()
            .find(|file| has_ending(file, ".safetensors.index.json"))
        {
            return indexed(index);
        }
        let files: Vec<_> = files
            .into_iter()
            .filter(|file| has_ending(file, ".safetensors"))
            .collect();
        anyhow::ensure!(
            !files.is_empty(),
            "{} has no .safetensors file in it",
            path.display()
        );
        return Ok(files);
    }
    match has_ending(path, ".index.json") {
        true => indexed(path),
        false => Ok(vec![path.to_owned()]),
    }
}

/// The files that the index of a checkpoint in several files names. They are in the folder of the index.
fn indexed(index: &Path) -> Result<Vec<PathBuf>> {
    let name = || index.display().to_string();
    let text = fs::read_to_string(index).with_context(|| format!("cannot read {}", name()))?;
    let tree: serde_json::Value = serde_json::from_str(&text).with_context(name)?;
    let files: BTreeSet<&str> = tree
        .get("weight_map")
        .and_then(|map| map.as_object())
        .into_iter()
        .flat_map(|map| map.values().filter_map(|file| file.as_str()))
        .collect();
    anyhow::ensure!(!files.is_empty(), "{}: it has no `weight_map`", name());
    let folder = index.parent().unwrap_or(Path::new(""));
    let beside = files.into_iter().map(|file| {
        let plain = Path::new(file).file_name().is_some_and(|name| name == file);
        anyhow::ensure!(plain, "{}: `{file}` is not the name of a file beside it", name());
        Ok(folder.join(file))
    });
    beside.collect()
}

/// The configuration that was given, by the name of a variant or as an official YAML file, or else the checkpoint's own.
pub fn config(args: &ConfigArgs, checkpoint: &Checkpoint) -> Result<Sam2Config> {
    let config = match args.config.as_deref() {
        None => match checkpoint.config() {
            Err(error @ CheckpointError::UnknownVariant { .. }) => {
                Err(error).context("give --config NAME or --config FILE.yaml")?
            }
            other => other?,
        },
        Some(name) if name.ends_with(".yaml") || name.ends_with(".yml") => {
            let text = fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
            sam2_yaml::config(&text).with_context(|| name.to_owned())?
        }
        Some(name) => Sam2Config::named(name, checkpoint.version())?,
    };
    match args.image_size {
        Some(side) => config.with_image_size(side).context("--image-size"),
        None => Ok(config),
    }
}

/// Prints remarks for the user on standard error.
pub fn tell(remarks: &[Remark]) {
    for remark in remarks {
        note!("sam2: warning: {remark}");
    }
}

/// Loads the image model on the CPU.
pub fn image_model(args: &ModelArgs) -> Result<ImageModel> {
    image_model_of(&args.weights, &args.options)
}

/// Loads the image model of a weights file on the CPU.
pub fn image_model_of(weights: &Path, options: &ModelOptions) -> Result<ImageModel> {
    let (mut checkpoint, config) = checked(weights, options)?;
    Ok(ImageModel::load(
        &config,
        &mut checkpoint,
        &options.computed.implementation(),
    )?)
}

/// Loads the whole network on the CPU.
pub fn video_model(args: &ModelArgs) -> Result<VideoModel> {
    let (mut checkpoint, config) = checked(&args.weights, &args.options)?;
    Ok(VideoModel::load(
        &config,
        &mut checkpoint,
        &args.implementation(),
    )?)
}

/// Opens a checkpoint and checks that it matches its configuration.
fn checked(weights: &Path, options: &ModelOptions) -> Result<(Checkpoint, Sam2Config)> {
    let name = || weights.display().to_string();
    let checkpoint = checkpoint(weights)?;
    let config = config(&options.config, &checkpoint).with_context(name)?;
    tell(&checkpoint.check(&config).with_context(name)?);
    Ok((checkpoint, config))
}

/// A folder's files and folders in natural order: by the numbers in their names, then by letters. Files that operating
/// systems add (`._name`, `.DS_Store`, `Thumbs.db`) are left out.
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

/// The files of a folder and of the folders in it, in the order of [`entries`].
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        match path.is_dir() {
            true => files.extend(files_below(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

/// A path with slashes, on every system.
pub fn with_slashes(path: &Path) -> String {
    let parts = path.components().map(|part| part.as_os_str().to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

fn is_of_the_system(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    name.starts_with('.') || ["thumbs.db", "desktop.ini", "__macosx"].contains(&name.as_str())
}
