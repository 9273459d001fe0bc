//! `sam2 import` reads labels of other tools as one COCO data set, and can go on from them with a model.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use sam2_labels::{Affine, Label, LabeledPicture, area, bounding_box, write_coco};
use sam2_predict::{BoxPrompt, ImagePredictor, Prompt};

use crate::labels::{Format, Pictures, Source, parse_transform};
use crate::load;
use crate::output::{note, say};
use crate::picture::{Picture, Range, parse_range};

/// The number of pictures between two lines of progress.
const REPORT: usize = 20;

/// Arguments of `sam2 import`.
#[derive(clap::Args)]
pub struct Args {
    /// The labels: a file, or a folder with a file for each picture
    #[arg(long, value_name = "FILE|DIR")]
    labels: PathBuf,
    /// The labels' format; recognised by the files' contents by default
    #[arg(long, value_enum)]
    from: Option<Format>,
    /// The pictures of the labels, or the one picture: for sizes that the labels do not have (YOLO's and GeoJSON's never
    /// do), for the pictures' names, and for --weights
    #[arg(long, value_name = "DIR|FILE")]
    images: Option<PathBuf>,
    /// The names of the classes of YOLO or of an indexed PNG by their numbers: a data set's YAML, or a text file with a
    /// name in each line. By default a data.yaml or classes.txt beside YOLO's labels, or up to two folders above
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// From pixels to the coordinates of GeoJSON: x' = A x + B y + C, y' = D x + E y + F, as rasterio has it; by default
    /// they are pixels
    #[arg(long, value_name = "A,B,C,D,E,F", value_parser = parse_transform, allow_hyphen_values = true)]
    transform: Option<Affine>,
    /// Take 255 in an indexed PNG as a label like any other, and not as PASCAL VOC's border
    #[arg(long)]
    no_border: bool,
    /// Go on from the labels: give each mask, and its box, to this model as a prompt on its picture, and write the masks
    /// that it predicts, with their scores. An official .pt or safetensors file, or the folder or index of a checkpoint
    /// in several files
    #[arg(long, value_name = "FILE", requires = "images")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    options: load::ModelOptions,
    /// The values of black and white in pictures of more than 8 bits; found from each picture by default
    #[arg(long, value_name = "LOW,HIGH", value_parser = parse_range, allow_hyphen_values = true)]
    range: Option<Range>,
    /// The file to write: a COCO data set, with masks as exact run lengths
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

/// Runs `sam2 import`.
///
/// # Errors
/// Bad input. The message says which file or argument, what was expected and what was found.
pub fn run(args: &Args) -> Result<()> {
    let pictures = Pictures::given(args.images.as_deref())?;
    let mut data_set = Source {
        path: &args.labels,
        format: args.from,
        pictures: &pictures,
        classes: args.classes.as_deref(),
        transform: args.transform,
        no_border: args.no_border,
    }
    .read()?;
    if let Some(weights) = &args.weights {
        let predictor = ImagePredictor::new(load::image_model_of(weights, &args.options)?);
        let count = data_set.pictures.len();
        for (i, picture) in data_set.pictures.iter_mut().enumerate() {
            args.predict(&predictor, &pictures, picture)?;
            if (i + 1) % REPORT == 0 {
                note!("{}/{count} pictures", i + 1);
            }
        }
    }
    let labels: usize = data_set.pictures.iter().map(|picture| picture.labels.len()).sum();
    let file = write_coco(&data_set.pictures, &data_set.categories, None)?;
    fs::write(&args.out, serde_json::to_vec(&file)?)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    say!(
        "{}  pictures {}  labels {labels}",
        args.out.display(),
        data_set.pictures.len()
    )
}

impl Args {
    /// Replaces the masks of a picture's labels by those that the model predicts for them.
    fn predict(
        &self,
        predictor: &ImagePredictor,
        pictures: &Pictures,
        labeled: &mut LabeledPicture,
    ) -> Result<()> {
        let name = labeled
            .file_name
            .as_deref()
            .unwrap_or("of the labels, which has no name,");
        let found = labeled
            .file_name
            .as_deref()
            .map_or(pictures.single(), |name| pictures.find(name));
        let found = found.with_context(|| format!("the picture {name} is not in --images"))?;
        let whole = [0, 0, labeled.size.width(), labeled.size.height()];
        let mut prompted: Vec<(&mut Label, Prompt)> = Vec::new();
        for label in &mut labeled.labels {
            // There is nothing to find of an empty mask. The box is for rough masks: with nano and 40 masks of the sample
            // pictures, each in squares of 1/48 of the side, it found the masks again with an IoU of 0.86 rather than 0.82.
            if let Some([x0, y0, x1, y1]) = bounding_box(&label.mask) {
                let edges = [x0, y0, x1 + 1, y1 + 1].map(|edge| edge as f32);
                let prompt = Prompt {
                    box_: Some(BoxPrompt {
                        x0: edges[0],
                        y0: edges[1],
                        x1: edges[2],
                        y1: edges[3],
                    }),
                    mask: Some(
                        label
                            .mask
                            .to_mask()
                            .to_logits(whole, predictor.config().mask_side()),
                    ),
                    ..Prompt::default()
                };
                prompted.push((label, prompt));
            }
        }
        if prompted.is_empty() {
            return Ok(());
        }
        let picture = Picture::read(&found.path, self.range)?;
        let ([width, height], size) = (picture.size(), labeled.size);
        ensure!(
            [width, height] == [size.width(), size.height()],
            "{} is {width}x{height} pixels, and its labels are of a picture of {}x{}",
            found.path.display(),
            size.width(),
            size.height()
        );
        let (labels, prompts): (Vec<_>, Vec<_>) = prompted.into_iter().unzip();
        let picture = picture.as_ref()?;
        let predictions = pollster::block_on(async {
            let image = predictor.set_image(picture).await?;
            predictor.predict_batch(&image, &prompts).await
        })
        .with_context(|| found.path.display().to_string())?;
        let mut lost = 0;
        for (label, prediction) in labels.into_iter().zip(predictions) {
            let Some(found) = prediction.masks.first() else {
                continue;
            };
            let mask = found.to_mask().to_rle();
            // Where the model finds nothing, the label stays as it was.
            match area(&mask) {
                0 => lost += 1,
                _ => (label.mask, label.score) = (mask, Some(f64::from(found.score()))),
            }
        }
        if lost > 0 {
            note!(
                "sam2: warning: {}: nothing was found for {lost} labels, which stay as they were",
                found.path.display()
            );
        }
        Ok(())
    }
}
