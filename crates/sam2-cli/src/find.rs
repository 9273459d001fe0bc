//! `sam2 find` finds the masks of what words name, or of everything like an example, by OWLv2 and SAM 2.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use owlv2::{DetectOptions, LabelEmbeddings};
use sam2_find::Finder;
use sam2_labels::{Label, LabeledPicture, Size, write_coco};
use sam2_predict::{BoxPrompt, ImagePredictor};

use crate::detector::{DetectorArgs, KeptArgs, read_labels};
use crate::load;
use crate::output::{note, say};
use crate::picture::{Picture, Range, parse_range};
use crate::predict::parse_box;

/// The name of what is like an example.
const LIKE: &str = "like the example";

/// Arguments of `sam2 find`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: load::ModelArgs,
    #[command(flatten)]
    detector: DetectorArgs,
    /// The picture, or a folder of pictures
    #[arg(long, value_name = "FILE|DIR")]
    image: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
    /// The picture that --like is in, if it is another one
    #[arg(long, value_name = "FILE", requires = "like")]
    like_image: Option<PathBuf>,
    #[command(flatten)]
    kept: KeptArgs,
    /// The values of black and white in pictures of more than 8 bits; found from each picture by default
    #[arg(long, value_name = "LOW,HIGH", value_parser = parse_range, allow_hyphen_values = true)]
    range: Option<Range>,
    /// The file to write: a COCO data set, with the detector's scores and masks as exact run lengths
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

/// What is looked for: one of these.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Wanted {
    /// What to look for, with commas between, such as "person, a red car"; may be given several times
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    text: Vec<String>,
    /// Look for the labels of a file of `sam2 embed-labels`
    #[arg(long, value_name = "FILE.safetensors")]
    labels: Option<PathBuf>,
    /// Look for everything like the object in this box of the picture
    #[arg(long, value_name = "X0,Y0,X1,Y1", value_parser = parse_box, allow_hyphen_values = true)]
    like: Option<BoxPrompt>,
}

/// Runs `sam2 find`.
///
/// # Errors
/// Bad input. The message says which file or argument, what was expected and what was found.
pub fn run(args: &Args) -> Result<()> {
    let options = args.kept.options()?;
    let folder = args.image.is_dir();
    ensure!(
        !folder || args.wanted.like.is_none() || args.like_image.is_some(),
        "--like is a box of one picture, and {} is a folder: say which picture by --like-image FILE",
        args.image.display()
    );
    let has_words = !args.wanted.text.is_empty();
    let detector = args.detector.load(has_words, &args.model.implementation())?;
    let finder = Finder::new(detector, ImagePredictor::new(load::image_model(&args.model)?));
    let labels = args.labels(&finder)?;
    let files = match folder {
        true => load::files_below(&args.image)?,
        false => vec![args.image.clone()],
    };
    let mut pictures = Vec::new();
    for file in &files {
        match args.labeled(&finder, &labels, options, file) {
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
    let found: usize = pictures.iter().map(|picture| picture.labels.len()).sum();
    let file = write_coco(&pictures, &[], None)?;
    fs::write(&args.out, serde_json::to_vec(&file)?)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    say!(
        "{}  pictures {}  found {found}",
        args.out.display(),
        pictures.len()
    )
}

impl Args {
    /// The embeddings of what is looked for.
    fn labels(&self, finder: &Finder) -> Result<LabelEmbeddings> {
        if let Some(path) = &self.wanted.labels {
            return read_labels(path);
        }
        let Some(BoxPrompt { x0, y0, x1, y1 }) = self.wanted.like else {
            return pollster::block_on(finder.detector().embed(&self.wanted.text)).context("--text");
        };
        let file = self.like_image.as_ref().unwrap_or(&self.image);
        let picture = Picture::read(file, self.range)?;
        let picture = picture.as_ref()?;
        pollster::block_on(async {
            let image = finder.set_image(picture).await?;
            let example = finder
                .detector()
                .embed_example(image.detected(), [x0, y0, x1, y1], LIKE);
            anyhow::Ok(example.await?)
        })
        .with_context(|| format!("--like in {}", file.display()))
    }

    /// The picture of a file with what was found in it.
    fn labeled(
        &self,
        finder: &Finder,
        labels: &LabelEmbeddings,
        options: DetectOptions,
        file: &Path,
    ) -> Result<LabeledPicture> {
        let picture = Picture::read(file, self.range)?;
        let [width, height] = picture.size();
        let picture = picture.as_ref()?;
        let found = pollster::block_on(async {
            let image = finder.set_image(picture).await?;
            finder.find(&image, labels, options).await
        })
        .with_context(|| file.display().to_string())?;
        let found = found.into_iter().map(|found| {
            let name = &labels.labels()[found.detection.label];
            let mut label = Label::new(found.mask.to_mask().to_rle(), name);
            label.score = Some(f64::from(found.detection.score));
            label
        });
        let mut labeled = LabeledPicture::new(Size::new(width, height)?, found.collect());
        let below = match self.image.is_dir() {
            true => file.strip_prefix(&self.image).unwrap_or(file),
            false => Path::new(file.file_name().unwrap_or_default()),
        };
        labeled.file_name = Some(load::with_slashes(below));
        Ok(labeled)
    }
}
