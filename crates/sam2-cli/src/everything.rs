//! `sam2 everything` finds all masks of a picture and writes them as the official records.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ArgAction;
use sam2_predict::{FoundMasks, ImagePredictor, MaskGenerator, MaskGeneratorOptions, MaskRecord};
use serde_json::{Value, json};

use crate::load;
use crate::output::say;
use crate::picture::{Picture, Range, parse_range};

/// Arguments of `sam2 everything`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: load::ModelArgs,
    /// The picture: JPEG, PNG, WebP, BMP, GIF or TIFF
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// The values of black and white in a picture of more than 8 bits; found from the picture by default
    #[arg(long, value_name = "LOW,HIGH", value_parser = parse_range, allow_hyphen_values = true)]
    range: Option<Range>,
    #[command(flatten)]
    options: Options,
    /// The records: a JSON list with `segmentation` as COCO RLE, `area`, `bbox`, `predicted_iou`, `point_coords`,
    /// `stability_score` and `crop_box`
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

/// The official options.
#[derive(clap::Args)]
struct Options {
    /// The number of points along each side of the grid of prompts, from 1 to 1,024
    #[arg(long, value_name = "N", default_value_t = MaskGeneratorOptions::default().points_per_side)]
    points_per_side: usize,
    /// The number of points that are predicted at once
    #[arg(long, value_name = "N", default_value_t = MaskGeneratorOptions::default().points_per_batch)]
    points_per_batch: usize,
    /// Drop masks whose predicted IoU is not above this; 0 keeps all
    #[arg(long, value_name = "0..1", default_value_t = MaskGeneratorOptions::default().pred_iou_thresh, allow_hyphen_values = true)]
    pred_iou_thresh: f64,
    /// Drop masks whose stability score is below this; 0 keeps all
    #[arg(long, value_name = "0..1", default_value_t = MaskGeneratorOptions::default().stability_score_thresh, allow_hyphen_values = true)]
    stability_score_thresh: f64,
    /// How far the two thresholds of the stability score are above and below --mask-threshold
    #[arg(long, value_name = "LOGIT", default_value_t = MaskGeneratorOptions::default().stability_score_offset, allow_hyphen_values = true)]
    stability_score_offset: f64,
    /// The logit above which a pixel is on the object
    #[arg(long, value_name = "LOGIT", default_value_t = MaskGeneratorOptions::default().mask_threshold, allow_hyphen_values = true)]
    mask_threshold: f64,
    /// Keep only the best of masks in one crop whose boxes have an IoU above this
    #[arg(long, value_name = "0..1", default_value_t = MaskGeneratorOptions::default().box_nms_thresh, allow_hyphen_values = true)]
    box_nms_thresh: f64,
    /// The number of layers of crops in which masks are also looked for: 4 crops in the first, 16 in the second; up to 8
    #[arg(long, value_name = "N", default_value_t = MaskGeneratorOptions::default().crop_n_layers)]
    crop_n_layers: u32,
    /// The same as --box-nms-thresh between crops, of which the mask from the smallest crop is kept
    #[arg(long, value_name = "0..1", default_value_t = MaskGeneratorOptions::default().crop_nms_thresh, allow_hyphen_values = true)]
    crop_nms_thresh: f64,
    /// The overlap of crops, as a fraction of the picture's short side
    #[arg(long, value_name = "0..1", default_value_t = MaskGeneratorOptions::default().crop_overlap_ratio, allow_hyphen_values = true)]
    crop_overlap_ratio: f64,
    /// The factor by which --points-per-side is divided in each layer of crops
    #[arg(long, value_name = "N", default_value_t = MaskGeneratorOptions::default().crop_n_points_downscale_factor)]
    crop_n_points_downscale_factor: usize,
    /// The largest area of holes to fill and islands to remove, in low-resolution pixels
    #[arg(long, value_name = "N", default_value_t = MaskGeneratorOptions::default().min_mask_region_area)]
    min_mask_region_area: usize,
    /// Predict each mask once more, with itself as the prompt's mask
    #[arg(long)]
    use_m2m: bool,
    /// Whether to predict three masks at each point, or one
    #[arg(long, value_name = "true|false", action = ArgAction::Set, default_value_t = MaskGeneratorOptions::default().multimask_output)]
    multimask_output: bool,
}

impl Options {
    fn to_generator(&self) -> MaskGeneratorOptions {
        MaskGeneratorOptions {
            points_per_side: self.points_per_side,
            points_per_batch: self.points_per_batch,
            pred_iou_thresh: self.pred_iou_thresh,
            stability_score_thresh: self.stability_score_thresh,
            stability_score_offset: self.stability_score_offset,
            mask_threshold: self.mask_threshold,
            box_nms_thresh: self.box_nms_thresh,
            crop_n_layers: self.crop_n_layers,
            crop_nms_thresh: self.crop_nms_thresh,
            crop_overlap_ratio: self.crop_overlap_ratio,
            crop_n_points_downscale_factor: self.crop_n_points_downscale_factor,
            min_mask_region_area: self.min_mask_region_area,
            use_m2m: self.use_m2m,
            multimask_output: self.multimask_output,
        }
    }
}

/// Runs `sam2 everything`.
///
/// # Errors
/// Bad input. The message says which file or argument, what was expected and what was found.
pub fn run(args: &Args) -> Result<()> {
    let picture = Picture::read(&args.image, args.range)?;
    let predictor = ImagePredictor::new(load::image_model(&args.model)?);
    let generator = MaskGenerator::new(&predictor, args.options.to_generator())?;
    let picture = picture.as_ref()?;
    let records = pollster::block_on(async {
        let image = predictor.set_image(picture).await?;
        let go_on = async |_: FoundMasks<'_>| ControlFlow::Continue(());
        generator.generate(&image, Some(picture), go_on).await
    })?;
    let list: Vec<Value> = records.iter().map(to_json).collect();
    fs::write(&args.out, serde_json::to_vec(&list)?)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    say!("{}  {} masks", args.out.display(), records.len())?;
    Ok(())
}

/// A record as JSON, with the official names and types of numbers. A stability score that is NaN is `null`.
fn to_json(record: &MaskRecord) -> Value {
    let rle = &record.segmentation;
    let floats = |edges: [usize; 4]| edges.map(|edge| edge as f64);
    json!({
        "segmentation": { "size": [rle.height(), rle.width()], "counts": rle.to_compressed() },
        "area": record.area,
        "bbox": floats(record.bbox),
        "predicted_iou": f64::from(record.predicted_iou),
        "point_coords": [record.point_coords.map(f64::from)],
        "stability_score": f64::from(record.stability_score),
        "crop_box": floats(record.crop_box),
    })
}
