//! `sam2 eval`: mean IoU over a folder of pictures with instance masks.
//!
//! Protocol: every instance of at least 0.5 % of its picture. The first click is at the instance's innermost point,
//! later ones at the innermost point of the larger wrong region, with the logits so far as mask prompt. Three masks
//! are asked for and the one of the highest predicted score is taken. Pixels labelled 255 count for nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use image::{GrayImage, Luma};
use imageproc::distance_transform::euclidean_squared_distance_transform;
use sam2_predict::{
    BoxPrompt, ImageEmbedding, ImagePredictor, Mask, PictureRef, PixelFormat, PointPrompt, Prompt,
};
use serde::Serialize;

use crate::load;

/// Smaller instances are left out, as a share of the picture.
const SMALLEST: f64 = 0.005;
/// The label of pixels that nobody judged.
const IGNORED: u8 = 255;
/// Instances of a picture that are answered together.
const BATCH: usize = 16;

/// What is given for each instance.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
#[value(rename_all = "lower")]
enum PromptKind {
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

    /// Rounds of prompting.
    fn rounds(self) -> usize {
        match self {
            Self::Click | Self::Box => 1,
            Self::Clicks3 => 3,
            Self::Clicks5 => 5,
        }
    }
}

/// Arguments of `sam2 eval`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: load::ModelArgs,
    /// A folder with images/<source>/<id>.jpg and <id>.png: palette indices, 0 background, 255 ignored
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A JSON object of ids by folder, {"images/<source>": ["<id>", …]}: only those are measured
    #[arg(long, value_name = "FILE.json")]
    split: Option<PathBuf>,
    /// What is given for each instance
    #[arg(long, value_enum, default_value = "click")]
    prompt: PromptKind,
    /// The report
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
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

/// # Errors
/// A file cannot be read, or is not what it should be.
pub fn run(args: &Args) -> Result<()> {
    let pictures = list_pictures(&args.data, args.split.as_deref())?;
    ensure!(
        !pictures.is_empty(),
        "{} has no pictures to measure on",
        args.data.display()
    );
    let predictor = ImagePredictor::new(load::image_model(&args.model)?);

    let mut ious: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (i, (source, path)) in pictures.iter().enumerate() {
        let found = evaluate(&predictor, path, args.prompt).with_context(|| path.display().to_string())?;
        ious.entry(source).or_default().extend(found);
        if (i + 1) % 20 == 0 {
            eprintln!("{}/{} pictures", i + 1, pictures.len());
        }
    }
    let all: Vec<f64> = ious.values().flatten().copied().collect();
    ensure!(
        !all.is_empty(),
        "no instance is as large as {} % of its picture",
        SMALLEST * 100.0
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
        prompt: args.prompt.name(),
        iou: mean(&all),
        sources,
    };
    for row in &report.sources {
        println!("{:24} {:5}  {:.4}", row.source, row.n, row.iou);
    }
    println!("{:24} {:5}  {:.4}", "all", all.len(), report.iou);
    let text = serde_json::to_string_pretty(&report)? + "\n";
    fs::write(&args.out, text).with_context(|| format!("cannot write {}", args.out.display()))
}

/// (source, picture) in order of their names.
fn list_pictures(data: &Path, split: Option<&Path>) -> Result<Vec<(String, PathBuf)>> {
    let only: Option<BTreeMap<String, Vec<String>>> = split
        .map(|path| -> Result<_> {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_str(&text).with_context(|| format!("{} is not ids by folder", path.display()))
        })
        .transpose()?;
    let mut pictures = Vec::new();
    for folder in load::entries(&data.join("images"))?
        .into_iter()
        .filter(|path| path.is_dir())
    {
        let source = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for path in load::entries(&folder)?
            .into_iter()
            .filter(|path| path.extension().is_some_and(|e| e == "jpg"))
        {
            let id = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let wanted = only.as_ref().is_none_or(|only| {
                only.get(&format!("images/{source}"))
                    .is_some_and(|ids| ids.contains(&id))
            });
            if wanted {
                pictures.push((source.clone(), path));
            }
        }
    }
    Ok(pictures)
}

/// The IoU of every instance of a picture.
fn evaluate(predictor: &ImagePredictor, path: &Path, kind: PromptKind) -> Result<Vec<f64>> {
    let rgb = load::picture(path)?.into_rgb8();
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    let labels = read_labels(&path.with_extension("png"))?;
    ensure!(
        labels.dimensions() == rgb.dimensions(),
        "its mask is {}x{}, the picture {width}x{height}",
        labels.width(),
        labels.height()
    );
    let mut areas = [0usize; 256];
    labels
        .pixels()
        .for_each(|pixel| areas[usize::from(pixel.0[0])] += 1);
    let instances: Vec<u8> = (1..IGNORED)
        .filter(|&label| areas[usize::from(label)] as f64 >= SMALLEST * (width * height) as f64)
        .collect();
    if instances.is_empty() {
        return Ok(Vec::new());
    }
    let picture = PictureRef::new(rgb.as_raw(), PixelFormat::Rgb, width, height)?;
    pollster::block_on(async {
        let image = predictor.set_image(picture).await?;
        let mut ious = Vec::new();
        for batch in instances.chunks(BATCH) {
            ious.extend(evaluate_batch(predictor, &image, &labels, batch, kind).await?);
        }
        Ok(ious)
    })
}

async fn evaluate_batch(
    predictor: &ImagePredictor,
    image: &ImageEmbedding,
    labels: &GrayImage,
    instances: &[u8],
    kind: PromptKind,
) -> Result<Vec<f64>> {
    let mut prompts: Vec<Prompt> = instances
        .iter()
        .map(|&label| first_prompt(labels, label, kind))
        .collect();
    for round in 1.. {
        let mut best = Vec::with_capacity(instances.len());
        for prediction in predictor.predict_batch(image, &prompts).await? {
            let mask = prediction
                .masks
                .into_iter()
                .max_by(|a, b| a.score().total_cmp(&b.score()));
            best.push(mask.context("a prediction without masks")?);
        }
        if round == kind.rounds() {
            return Ok(best
                .iter()
                .zip(instances)
                .map(|(mask, &label)| iou(mask, labels, label))
                .collect());
        }
        for ((prompt, mask), &label) in prompts.iter_mut().zip(&best).zip(instances) {
            prompt.points.push(correction(mask, labels, label));
            prompt.mask = Some(mask.logits().to_vec());
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

/// A click where the mask is most wrong: 1 where something is missing, 0 where there is too much.
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
        // Nothing is wrong: confirm it.
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

/// 255 where `inside` holds.
fn region(like: &GrayImage, inside: impl Fn(u32, u32) -> bool) -> GrayImage {
    GrayImage::from_fn(like.width(), like.height(), |x, y| {
        Luma([if inside(x, y) { 255 } else { 0 }])
    })
}

/// The pixel of a region that is farthest from its edge; the picture's border is an edge too.
fn innermost(region: &GrayImage) -> (u32, u32) {
    let (width, height) = region.dimensions();
    // The transform measures the way to the nearest bright pixel, so outside is bright, with a frame of it.
    let outside = GrayImage::from_fn(width + 2, height + 2, |x, y| {
        let framed = x == 0 || y == 0 || x > width || y > height;
        Luma([if framed || region.get_pixel(x - 1, y - 1).0[0] == 0 {
            255
        } else {
            0
        }])
    });
    let depth = euclidean_squared_distance_transform(&outside);
    let (mut best, mut deepest) = ((0, 0), 0.0);
    for (x, y, pixel) in depth.enumerate_pixels() {
        if pixel.0[0] > deepest {
            (best, deepest) = ((x - 1, y - 1), pixel.0[0]);
        }
    }
    best
}

fn iou(mask: &Mask, labels: &GrayImage, label: u8) -> f64 {
    let (mut both, mut either) = (0usize, 0usize);
    for (x, y, pixel) in labels
        .enumerate_pixels()
        .filter(|(_, _, pixel)| pixel.0[0] != IGNORED)
    {
        let (found, wanted) = (mask.get(x as usize, y as usize), pixel.0[0] == label);
        both += usize::from(found && wanted);
        either += usize::from(found || wanted);
    }
    both as f64 / either.max(1) as f64
}

/// Palette indices, or grey values, as they are in the file.
fn read_labels(path: &Path) -> Result<GrayImage> {
    let name = || path.display().to_string();
    let file = fs::File::open(path).with_context(|| format!("cannot read {}", name()))?;
    let mut decoder = png::Decoder::new(std::io::BufReader::new(file));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder
        .read_info()
        .with_context(|| format!("{} is not a PNG", name()))?;
    let info = reader.info();
    let plain = matches!(
        info.color_type,
        png::ColorType::Indexed | png::ColorType::Grayscale
    );
    ensure!(
        plain && info.bit_depth == png::BitDepth::Eight,
        "{} must have 8-bit palette indices, found {:?} of {:?} bits",
        name(),
        info.color_type,
        info.bit_depth
    );
    let (width, height) = (info.width, info.height);
    let size = reader
        .output_buffer_size()
        .with_context(|| format!("{} is too large", name()))?;
    let mut labels = vec![0; size];
    reader
        .next_frame(&mut labels)
        .with_context(|| format!("{} is damaged", name()))?;
    GrayImage::from_raw(width, height, labels).with_context(|| format!("{} is damaged", name()))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
