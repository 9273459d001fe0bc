//! The mean J over clips. An object is tracked from its mask on the first frame, and again from one click at that mask's
//! innermost point.
//!
//! J is the IoU on a later frame, or 1 if the object is neither visible nor found. An object's J is the mean over the
//! clip's frames except the first, and all results are means over objects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use image::GrayImage;
use sam2::VideoModel;
use sam2_predict::{PointPrompt, Prompt, VideoOptions, VideoSession};
use serde::Serialize;

use super::labels::{innermost, instances, intersection_and_union, read_labels, region};
use super::{Args, SMALLEST, files, mean, write};
use crate::load;
use crate::output::{note, say};
use crate::picture::Picture;

#[derive(Serialize)]
struct Report {
    j_mask: f64,
    j_click: f64,
    sources: Vec<SourceReport>,
}

#[derive(Serialize)]
struct SourceReport {
    source: String,
    n: usize,
    j_mask: f64,
    j_click: f64,
}

#[derive(Clone, Copy)]
enum First {
    Mask,
    Click,
}

/// Measures the mean J of clips.
///
/// # Errors
/// A file cannot be read or does not have the expected contents.
pub fn run(args: &Args) -> Result<()> {
    let clips = files(args, "video", Path::is_dir)?;
    ensure!(
        !clips.is_empty(),
        "{} has no clips to measure on",
        args.data.display()
    );
    let model = Arc::new(load::video_model(&args.model)?);

    // The J of each object, prompted by mask and by click.
    let mut found: BTreeMap<&str, [Vec<f64>; 2]> = BTreeMap::new();
    for (i, (source, folder)) in clips.iter().enumerate() {
        let clip = Clip::open(folder)?;
        for (kind, js) in [First::Mask, First::Click]
            .into_iter()
            .zip(found.entry(source).or_default())
        {
            js.extend(follow(&model, &clip, kind).with_context(|| folder.display().to_string())?);
        }
        note!("{}/{} clips", i + 1, clips.len());
    }
    found.retain(|_, [mask, _]| !mask.is_empty());
    ensure!(
        !found.is_empty(),
        "no object of a first frame is as large as {} % of it",
        SMALLEST * 100.0
    );
    let all = |kind: usize| -> Vec<f64> { found.values().flat_map(|js| js[kind].iter().copied()).collect() };
    let report = Report {
        j_mask: mean(&all(0)),
        j_click: mean(&all(1)),
        sources: found
            .iter()
            .map(|(source, [mask, click])| SourceReport {
                source: (*source).into(),
                n: mask.len(),
                j_mask: mean(mask),
                j_click: mean(click),
            })
            .collect(),
    };
    for row in &report.sources {
        say!(
            "{:24} {:5}  mask {:.4}  click {:.4}",
            row.source,
            row.n,
            row.j_mask,
            row.j_click
        )?;
    }
    let count = all(0).len();
    say!(
        "{:24} {count:5}  mask {:.4}  click {:.4}",
        "all",
        report.j_mask,
        report.j_click
    )?;
    write(args, &report)
}

/// The frames of a clip. Their masks are in the same folder.
struct Clip {
    frames: Vec<PathBuf>,
    /// The instance masks of the first frame.
    labels: GrayImage,
    /// The labels of the objects to track.
    objects: Vec<u8>,
}

impl Clip {
    fn open(folder: &Path) -> Result<Self> {
        let mut frames = load::entries(folder)?;
        frames.retain(|path| path.extension().is_some_and(|e| e == "jpg"));
        let first = frames
            .first()
            .with_context(|| format!("{} has no frames: .jpg", folder.display()))?;
        ensure!(
            frames.len() > 1,
            "{} has one frame: there is nothing to follow",
            folder.display()
        );
        let labels = read_labels(&first.with_extension("png"))?;
        Ok(Self {
            objects: instances(&labels, 1.0),
            frames,
            labels,
        })
    }
}

/// The J of every object of a clip.
fn follow(model: &Arc<VideoModel>, clip: &Clip, kind: First) -> Result<Vec<f64>> {
    if clip.objects.is_empty() {
        return Ok(Vec::new());
    }
    // The official predictor fills no holes on a CPU, only on GPUs.
    let options = VideoOptions {
        fill_hole_area: 0,
        ..VideoOptions::default()
    };
    let (width, height) = (clip.labels.width() as usize, clip.labels.height() as usize);
    let mut session = VideoSession::new(model.clone(), options, [width, height], Some(clip.frames.len()))?;
    let mut js = vec![Vec::new(); clip.objects.len()];
    for (frame, path) in clip.frames.iter().enumerate() {
        let picture = Picture::read(path, None)?;
        session
            .set_frame(frame, picture.as_ref()?)
            .with_context(|| path.display().to_string())?;
        if frame == 0 {
            clip.objects
                .iter()
                .try_for_each(|&object| prompt(&mut session, &clip.labels, object, kind))?;
            session.begin_tracking()?;
        }
        let masks = pollster::block_on(session.track(frame, false))?.masks;
        if frame == 0 {
            continue;
        }
        let labels = read_labels(&path.with_extension("png"))?;
        ensure!(
            labels.dimensions() == clip.labels.dimensions(),
            "the mask of {} is {}x{}, the first frame's {width}x{height}",
            path.display(),
            labels.width(),
            labels.height()
        );
        for ((js, &object), mask) in js.iter_mut().zip(&clip.objects).zip(&masks) {
            let (both, either) = intersection_and_union(&mask.mask, &labels, object);
            js.push(if either == 0 {
                1.0
            } else {
                both as f64 / either as f64
            });
        }
    }
    Ok(js.iter().map(|js| mean(js)).collect())
}

/// Prompts the object on the first frame.
fn prompt(session: &mut VideoSession, labels: &GrayImage, object: u8, kind: First) -> Result<()> {
    let inside = region(labels, |x, y| labels.get_pixel(x, y).0[0] == object);
    let id = u32::from(object);
    pollster::block_on(async {
        match kind {
            First::Mask => session.add_mask(0, id, inside.as_raw()).await,
            First::Click => {
                let (x, y) = innermost(&inside);
                let point = PointPrompt {
                    x: x as f32,
                    y: y as f32,
                    label: 1,
                };
                let prompt = Prompt {
                    points: vec![point],
                    ..Prompt::default()
                };
                session.add_points_or_box(0, id, &prompt, true).await
            }
        }
    })?;
    Ok(())
}
