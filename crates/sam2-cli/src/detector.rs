//! Loading of detectors, and what is looked for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use owlv2::config::CPU_SIDE;
use owlv2::{Checkpoint, DetectOptions, Detector, LabelEmbeddings, Owlv2Config};
use sam2_ops::Implementation;

/// Which detector to run.
#[derive(clap::Args)]
pub struct DetectorArgs {
    /// The detector: OWLv2's model.safetensors or pytorch_model.bin from transformers, or what `sam2 convert` made of it.
    /// A config.json beside it is read
    #[arg(long, value_name = "FILE")]
    detector: Option<PathBuf>,
    /// The detector's vocabulary; the merges.txt beside the detector by default
    #[arg(long, value_name = "merges.txt", requires = "detector")]
    vocabulary: Option<PathBuf>,
    /// Side in pixels of the detector's pictures, such as 640 or 960: a larger one is slower and finds smaller things; up
    /// to 480 by default
    #[arg(long, value_name = "PIXELS", requires = "detector")]
    detector_size: Option<usize>,
}

/// What of the detector's boxes is kept.
#[derive(clap::Args)]
pub struct KeptArgs {
    /// The lowest score that is kept
    #[arg(long, value_name = "0..1", default_value_t = DetectOptions::default().threshold, allow_hyphen_values = true)]
    threshold: f32,
    /// Of boxes of one label that overlap by more than this IoU, keep only the best
    #[arg(long, value_name = "0..1", default_value_t = DetectOptions::default().nms_threshold, allow_hyphen_values = true)]
    nms_threshold: f64,
    /// The most objects of a label
    #[arg(long, value_name = "N", default_value_t = DetectOptions::default().per_label)]
    per_label: usize,
    /// The most objects of a picture
    #[arg(long, value_name = "N", default_value_t = DetectOptions::default().max)]
    max: usize,
}

impl KeptArgs {
    /// The options of the detector.
    ///
    /// # Errors
    /// One of them is out of range.
    pub fn options(&self) -> Result<DetectOptions> {
        let options = DetectOptions {
            threshold: self.threshold,
            nms_threshold: self.nms_threshold,
            per_label: self.per_label,
            max: self.max,
        };
        options.check()?;
        Ok(options)
    }
}

impl DetectorArgs {
    /// Loads the detector, with its text tower and vocabulary only if words are needed.
    ///
    /// # Errors
    /// A file cannot be read or is none of a detector, or the side cannot be run.
    pub fn load(&self, needs_words: bool, implementation: &Implementation) -> Result<Detector> {
        let path = self
            .detector
            .as_ref()
            .context("give the detector's file: --detector FILE")?;
        let name = || path.display().to_string();
        let mut checkpoint = Checkpoint::from_bytes(read(path)?).with_context(name)?;
        let config = config(path, &checkpoint)?;
        let side = match self.detector_size {
            Some(side) => side,
            None => config.side_within(CPU_SIDE),
        };
        config.check_side(side).context("--detector-size")?;
        let vocabulary = self
            .vocabulary
            .clone()
            .unwrap_or_else(|| path.with_file_name("merges.txt"));
        let merges = match needs_words {
            true => {
                ensure!(
                    checkpoint.has_text(),
                    "{} has no text tower, so it takes no words: give --labels made by `sam2 embed-labels`",
                    name()
                );
                Some(fs::read(&vocabulary).with_context(|| {
                    format!(
                        "cannot read the vocabulary {} (--vocabulary says where it is)",
                        vocabulary.display()
                    )
                })?)
            }
            false => None,
        };
        Detector::from_checkpoint(&mut checkpoint, &config, side, merges.as_deref(), implementation)
            .with_context(|| match needs_words {
                true => format!("{} with {}", name(), vocabulary.display()),
                false => name(),
            })
    }
}

/// Reads a file.
fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The configuration of a detector's file: its own, or the config.json beside it, or that of its tensors' sizes.
fn config(path: &Path, checkpoint: &Checkpoint) -> Result<Owlv2Config> {
    let name = || path.display().to_string();
    let beside = path.with_file_name("config.json");
    let config = match fs::read_to_string(&beside) {
        Ok(text) if !checkpoint.has_config() => {
            Owlv2Config::from_json(&text).with_context(|| beside.display().to_string())?
        }
        _ => checkpoint.config().with_context(name)?,
    };
    checkpoint.check(&config).with_context(name)?;
    Ok(config)
}

/// Opens a file if it is a detector's; `None` for any other. Who takes both kinds tries SAM 2's reader first, whose files are
/// the larger ones and are then read once.
///
/// # Errors
/// It cannot be read, or does not match its configuration.
pub fn open_if_detector(path: &Path) -> Result<Option<(Checkpoint, Owlv2Config)>> {
    if !path.is_file() {
        return Ok(None);
    }
    let Ok(checkpoint) = Checkpoint::from_bytes(read(path)?) else {
        return Ok(None);
    };
    let config = config(path, &checkpoint)?;
    Ok(Some((checkpoint, config)))
}

/// Reads a file of `sam2 embed-labels`.
///
/// # Errors
/// It cannot be read, or is another file.
pub fn read_labels(path: &Path) -> Result<LabelEmbeddings> {
    let name = || path.display().to_string();
    LabelEmbeddings::from_bytes(read(path)?).with_context(name)
}
