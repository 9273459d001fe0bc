//! The mean IoU over pictures with instance masks.
//!
//! The first click is at the instance's innermost point. Each later click is at the innermost point of the larger wrong
//! region, and the logits of the last prediction are the mask prompt. Of three masks, the one with the highest predicted
//! score is measured, or with `--refine` what it becomes on the part of the picture around it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use image::GrayImage;
use sam2_predict::{BoxPrompt, ImageEmbedding, ImagePredictor, LowResMask, Mask, PointPrompt, Prompt};
use serde::Serialize;

use super::labels::{IGNORED, innermost, instances, intersection_and_union, read_labels, region};
use super::{Args, SMALLEST, files, mean, write};
use crate::load;
use crate::output::{note, say};
use crate::picture::Picture;

/// The number of a picture's instances that are predicted in one batch.
const BATCH: usize = 16;

/// The prompt for each instance.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub enum PromptKind {
    /// One click
    Click,
    /// Three clicks
    Clicks3,
    /// Five clicks
    Clicks5,
    /// The bounding box
    Box,
}

impl PromptKind {
    fn name(self) -> &'static str {
        match self {
            Self::Click => "click",
            Self::Clicks3 => "clicks3",
            Self::Clicks5 => "clicks5",
            Self::Box => "box",
        }
    }

    /// The number of predictions for each instance.
    fn rounds(self) -> usize {
        match self {
            Self::Click | Self::Box => 1,
            Self::Clicks3 => 3,
            Self::Clicks5 => 5,
        }
    }
}

#[derive(Serialize)]
struct Report {
    prompt: &'static str,
    iou: f64,
    sources: Vec<SourceReport>,
}

#[derive(Serialize)]
struct SourceReport {
    source: String,
    n: usize,
    iou: f64,
}

/// Measures the mean IoU of pictures.
///
/// # Errors
/// A file cannot be read or does not have the expected contents.
pub fn run(args: &Args) -> Result<()> {
    let pictures = files(args, "images", |path| {
        path.extension().is_some_and(|e| e == "jpg")
    })?;
    ensure!(
        !pictures.is_empty(),
        "{} has no pictures to measure on",
        args.data.display()
    );
    let kind = args.prompt;
    let predictor = ImagePredictor::new(load::image_model(&args.model)?);

    let mut ious: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (i, (source, path)) in pictures.iter().enumerate() {
        let found = evaluate(&predictor, path, args).with_context(|| path.display().to_string())?;
        ious.entry(source).or_default().extend(found);
        if (i + 1) % 20 == 0 {
            note!("{}/{} pictures", i + 1, pictures.len());
        }
    }
    let all: Vec<f64> = ious.values().flatten().copied().collect();
    ensure!(
        !all.is_empty(),
        "no instance covers from {} % to {} % of its picture",
        SMALLEST * 100.0,
        args.largest * 100.0
    );
    let sources = ious
        .into_iter()
        .filter(|(_, ious)| !ious.is_empty())
        .map(|(source, ious)| SourceReport {
            source: source.into(),
            n: ious.len(),
            iou: mean(&ious),
        })
        .collect();
    let report = Report {
        prompt: kind.name(),
        iou: mean(&all),
        sources,
    };
    for row in &report.sources {
        say!("{:24} {:5}  {:.4}", row.source, row.n, row.iou)?;
    }
    say!("{:24} {:5}  {:.4}", "all", all.len(), report.iou)?;
    write(args, &report)
}

/// The IoU of every instance of a picture.
fn evaluate(predictor: &ImagePredictor, path: &Path, args: &Args) -> Result<Vec<f64>> {
    let picture = Picture::read(path, None)?;
    let [width, height] = picture.size();
    let labels = read_labels(&path.with_extension("png"))?;
    ensure!(
        [labels.width() as usize, labels.height() as usize] == [width, height],
        "its mask is {}x{}, the picture {width}x{height}",
        labels.width(),
        labels.height()
    );
    let instances = instances(&labels, args.largest);
    if instances.is_empty() {
        return Ok(Vec::new());
    }
    let picture = picture.as_ref()?;
    pollster::block_on(async {
        let image = predictor.set_image(picture).await?;
        let mut ious = Vec::new();
        for batch in instances.chunks(BATCH) {
            let masks = predict(predictor, &image, &labels, batch, args.prompt).await?;
            for (mask, &label) in masks.iter().zip(batch) {
                let mut mask = mask.to_mask();
                if args.refine && mask.bounding_box().is_some() {
                    mask = predictor.refine(picture, &mask).await?.to_mask();
                }
                let (both, either) = intersection_and_union(&mask, &labels, label);
                ious.push(both as f64 / either.max(1) as f64);
            }
        }
        Ok(ious)
    })
}

/// The mask of every instance after the last prompt.
async fn predict(
    predictor: &ImagePredictor,
    image: &ImageEmbedding,
    labels: &GrayImage,
    instances: &[u8],
    kind: PromptKind,
) -> Result<Vec<LowResMask>> {
    let mut prompts: Vec<Prompt> = instances
        .iter()
        .map(|&label| first_prompt(labels, label, kind))
        .collect();
    for round in 1.. {
        let mut best = Vec::with_capacity(instances.len());
        for prediction in predictor.predict_batch(image, &prompts).await? {
            best.push(prediction.best().context("a prediction without masks")?.clone());
        }
        if round == kind.rounds() {
            return Ok(best);
        }
        for ((prompt, mask), &label) in prompts.iter_mut().zip(&best).zip(instances) {
            prompt.points.push(correction(&mask.to_mask(), labels, label));
            prompt.mask = Some(mask.logits());
        }
    }
    unreachable!("the last round returns")
}

fn first_prompt(labels: &GrayImage, label: u8, kind: PromptKind) -> Prompt {
    let mut prompt = Prompt {
        multimask: true,
        ..Prompt::default()
    };
    let inside = region(labels, |x, y| labels.get_pixel(x, y).0[0] == label);
    if kind == PromptKind::Box {
        let (mut x0, mut y0, mut x1, mut y1) = (u32::MAX, u32::MAX, 0, 0);
        for (x, y, _) in inside.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] > 0) {
            (x0, y0, x1, y1) = (x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1));
        }
        prompt.box_ = Some(BoxPrompt {
            x0: x0 as f32,
            y0: y0 as f32,
            x1: x1 as f32,
            y1: y1 as f32,
        });
    } else {
        prompt.points.push(click_at(innermost(&inside), 1));
    }
    prompt
}

/// A click in the larger wrong region of the mask: with label 1 where it misses pixels, with 0 where it has too many.
fn correction(mask: &Mask, labels: &GrayImage, label: u8) -> PointPrompt {
    let wrong = |wanted: bool| {
        region(labels, |x, y| {
            let truth = labels.get_pixel(x, y).0[0];
            truth != IGNORED && (truth == label) == wanted && mask.get(x as usize, y as usize) != wanted
        })
    };
    let area = |region: &GrayImage| region.pixels().filter(|pixel| pixel.0[0] > 0).count();
    let (missing, extra) = (wrong(true), wrong(false));
    match (area(&missing), area(&extra)) {
        // The mask is right, so the click confirms it.
        (0, 0) => click_at(
            innermost(&region(labels, |x, y| labels.get_pixel(x, y).0[0] == label)),
            1,
        ),
        (m, e) if m >= e => click_at(innermost(&missing), 1),
        _ => click_at(innermost(&extra), 0),
    }
}

fn click_at((x, y): (u32, u32), label: i32) -> PointPrompt {
    PointPrompt {
        x: x as f32,
        y: y as f32,
        label,
    }
}
