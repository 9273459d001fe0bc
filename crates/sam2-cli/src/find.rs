//! `sam2 find` finds the masks of what words name, or of everything like an example, by OWLv2 and SAM 2.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use owlv2::{Checkpoint, Detector, Owlv2Config, TextEncoder, Tokenizer};
use sam2_find::{FindOptions, Finder, Found, find_masks};
use sam2_labels::{Label, LabeledPicture, Size, write_coco};
use sam2_ops::Implementation;
use sam2_predict::{BoxPrompt, ImagePredictor};

use crate::load;
use crate::output::{note, say};
use crate::picture::{Picture, Range, parse_range};
use crate::predict::parse_box;

/// The side of the detector's pictures on a CPU, in pixels, for a detector of larger ones. It takes a sixth of the time of
/// 960.
const SIDE: usize = 480;
/// The name of what is like an example.
const LIKE: &str = "like the example";

/// Arguments of `sam2 find`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: load::ModelArgs,
    /// The detector: OWLv2's model.safetensors or pytorch_model.bin from transformers. A config.json beside it is read
    #[arg(long, value_name = "FILE")]
    detector: PathBuf,
    /// The detector's vocabulary; the merges.txt beside the detector by default
    #[arg(long, value_name = "merges.txt")]
    vocabulary: Option<PathBuf>,
    /// Side in pixels of the detector's pictures, such as 640 or 960: a larger one is slower and finds smaller things; up
    /// to 480 by default
    #[arg(long, value_name = "PIXELS")]
    detector_size: Option<usize>,
    /// The picture, or a folder of pictures
    #[arg(long, value_name = "FILE|DIR")]
    image: PathBuf,
    /// What to look for, with commas between, such as "person, a red car"
    #[arg(
        long,
        value_name = "WORDS",
        value_delimiter = ',',
        required_unless_present = "like",
        conflicts_with = "like"
    )]
    text: Vec<String>,
    /// Look for everything like the object in this box of the picture
    #[arg(long, value_name = "X0,Y0,X1,Y1", value_parser = parse_box, allow_hyphen_values = true)]
    like: Option<BoxPrompt>,
    /// The lowest score that is kept
    #[arg(long, value_name = "0..1", default_value_t = FindOptions::default().threshold)]
    threshold: f32,
    /// Of boxes of one label that overlap by more than this IoU, keep only the best
    #[arg(long, value_name = "0..1", default_value_t = FindOptions::default().nms_threshold)]
    nms_threshold: f64,
    /// The most objects of a label
    #[arg(long, value_name = "N", default_value_t = FindOptions::default().per_label)]
    per_label: usize,
    /// The most objects of a picture
    #[arg(long, value_name = "N", default_value_t = FindOptions::default().max)]
    max: usize,
    /// The values of black and white in pictures of more than 8 bits; found from each picture by default
    #[arg(long, value_name = "LOW,HIGH", value_parser = parse_range, allow_hyphen_values = true)]
    range: Option<Range>,
    /// The file to write: a COCO data set, with the detector's scores and masks as exact run lengths
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

/// Runs `sam2 find`.
///
/// # Errors
/// Bad input. The message says which file or argument, what was expected and what was found.
pub fn run(args: &Args) -> Result<()> {
    let finder = args.finder(&args.model.implementation())?;
    let predictor = ImagePredictor::new(load::image_model(&args.model)?);
    let folder = args.image.is_dir();
    let files = match folder {
        true => load::files_below(&args.image)?,
        false => vec![args.image.clone()],
    };
    let mut pictures = Vec::new();
    for file in &files {
        match args.labeled(&finder, &predictor, file) {
            Ok(picture) => pictures.push(picture),
            // A folder may have other files in it.
            Err(error) if folder => note!("sam2: warning: {error:#}"),
            Err(error) => return Err(error),
        }
    }
    ensure!(
        !pictures.is_empty(),
        "{} has no picture in it",
        args.image.display()
    );
    let labels: usize = pictures.iter().map(|picture| picture.labels.len()).sum();
    let file = write_coco(&pictures, &[], None)?;
    fs::write(&args.out, serde_json::to_vec(&file)?)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    say!(
        "{}  pictures {}  found {labels}",
        args.out.display(),
        pictures.len()
    )
}

impl Args {
    /// Loads the detector and its vocabulary.
    fn finder(&self, implementation: &Implementation) -> Result<Finder> {
        let name = || self.detector.display().to_string();
        let bytes = fs::read(&self.detector).with_context(|| format!("cannot read {}", name()))?;
        let mut checkpoint = Checkpoint::from_bytes(bytes).with_context(name)?;
        let beside = |file: &str| self.detector.with_file_name(file);
        let config = match fs::read_to_string(beside("config.json")) {
            Ok(text) => {
                Owlv2Config::from_json(&text).with_context(|| beside("config.json").display().to_string())?
            }
            Err(_) => checkpoint.config().with_context(name)?,
        };
        checkpoint.check(&config).with_context(name)?;
        let path = self.vocabulary.clone().unwrap_or_else(|| beside("merges.txt"));
        let merges = fs::read(&path).with_context(|| {
            format!(
                "cannot read the vocabulary {} (--vocabulary says where it is)",
                path.display()
            )
        })?;
        let tokenizer = Tokenizer::from_merges(&merges).with_context(|| path.display().to_string())?;
        let trained = config.vision_config.image_size;
        let side = self.detector_size.unwrap_or_else(|| {
            let patch = config.vision_config.patch_size;
            SIDE.min(trained) / patch * patch
        });
        let detector =
            Detector::load(&config, side, &mut checkpoint, implementation).context("--detector-size")?;
        let text = TextEncoder::load(&config, &mut checkpoint, implementation)?;
        Finder::new(detector, text, tokenizer).with_context(|| path.display().to_string())
    }

    /// The picture of a file with what was found in it.
    fn labeled(&self, finder: &Finder, predictor: &ImagePredictor, file: &Path) -> Result<LabeledPicture> {
        let options = FindOptions {
            threshold: self.threshold,
            nms_threshold: self.nms_threshold,
            per_label: self.per_label,
            max: self.max,
        };
        let picture = Picture::read(file, self.range)?;
        let [width, height] = picture.size();
        let picture = picture.as_ref()?;
        let words: Vec<&str> = self.text.iter().map(|word| word.trim()).collect();
        let (found, predictions) = pollster::block_on(async {
            let image = finder.set_image(picture).await?;
            let found: Vec<Found> = match self.like {
                Some(example) => finder.find_like(&image, example, options).await?,
                None => finder.find(&image, &words, options).await?,
            };
            if found.is_empty() {
                return Ok((found, Vec::new()));
            }
            let image = predictor.set_image(picture).await?;
            let predictions = find_masks(predictor, &image, &found).await?;
            anyhow::Ok((found, predictions))
        })
        .with_context(|| file.display().to_string())?;
        let labels = found.iter().zip(&predictions).filter_map(|(found, prediction)| {
            let name = words.get(found.label).copied().unwrap_or(LIKE);
            let mut label = Label::new(prediction.best()?.to_mask().to_rle(), name);
            label.score = Some(f64::from(found.score));
            Some(label)
        });
        let mut labeled = LabeledPicture::new(Size::new(width, height)?, labels.collect());
        let below = match self.image.is_dir() {
            true => file.strip_prefix(&self.image).unwrap_or(file),
            false => Path::new(file.file_name().unwrap_or_default()),
        };
        labeled.file_name = Some(load::with_slashes(below));
        Ok(labeled)
    }
}
