//! `sam2 predict` predicts masks for a prompt on a picture.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sam2_predict::{
    BoxPrompt, ImagePredictor, LowResMask, Mask, PointPrompt, PredictError, Prediction, Prompt,
};

use crate::load;
use crate::output::say;
use crate::picture::{Picture, Range, parse_range};

/// Arguments of `sam2 predict`.
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
    /// A click in the picture's pixels; label 1 = on the object, 0 = not on it
    #[arg(long = "point", value_name = "X,Y,LABEL", value_parser = parse_point, allow_hyphen_values = true)]
    points: Vec<PointPrompt>,
    /// A box in the picture's pixels
    #[arg(long = "box", value_name = "X0,Y0,X1,Y1", value_parser = parse_box, allow_hyphen_values = true)]
    box_: Option<BoxPrompt>,
    /// A file with a tensor `mask` [h,w] f32: the low-resolution logits of an earlier prediction
    #[arg(long, value_name = "FILE.safetensors")]
    mask_input: Option<PathBuf>,
    /// Predict a single mask instead of three candidates
    #[arg(long)]
    single: bool,
    /// Also predict the best mask again on the part of the picture around it, at full resolution: refined.png
    #[arg(long)]
    refine: bool,
    /// The folder for result.safetensors and mask_0.png, mask_1.png, …
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs `sam2 predict`.
///
/// # Errors
/// Bad input. The message says which file or argument, what was expected and what was found.
pub fn run(args: &Args) -> Result<()> {
    let picture = Picture::read(&args.image, args.range)?;
    let mask = args.mask_input.as_deref().map(read_mask).transpose()?;
    let prompt = Prompt {
        points: args.points.clone(),
        box_: args.box_,
        mask,
        multimask: !args.single,
    };

    let predictor = ImagePredictor::new(load::image_model(&args.model)?);
    let picture_ref = picture.as_ref()?;
    let (prediction, refined) = pollster::block_on(async {
        let image = predictor.set_image(picture_ref).await?;
        let prediction = predictor.predict(&image, &prompt).await?;
        let refined = match prediction.best() {
            Some(best) if args.refine => Some(predictor.refine(picture_ref, &best.to_mask()).await?),
            _ => None,
        };
        Ok::<_, PredictError>((prediction, refined))
    })?;
    write(&args.out, &prediction)?;
    match refined {
        Some(refined) => write_mask(&args.out, "refined.png", &refined.to_mask()),
        None => Ok(()),
    }
}

fn read_mask(path: &Path) -> Result<Vec<f32>> {
    let name = || path.display().to_string();
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", name()))?;
    let file =
        SafeTensors::deserialize(&bytes).with_context(|| format!("{} is not a safetensors file", name()))?;
    let tensor = file
        .tensor("mask")
        .with_context(|| format!("{} has no tensor `mask`", name()))?;
    let square = matches!(tensor.shape(), [h, w] if h == w);
    ensure!(
        square && tensor.dtype() == Dtype::F32,
        "{}: `mask` must be f32 logits [h,w] with h = w, found {:?} {:?}",
        name(),
        tensor.dtype(),
        tensor.shape()
    );
    Ok(tensor
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect())
}

fn write(folder: &Path, prediction: &Prediction) -> Result<()> {
    let Some(first) = prediction.masks.first() else {
        bail!("the prediction has no masks")
    };
    let (count, side, width, height) = (
        prediction.masks.len(),
        first.side(),
        first.width(),
        first.height(),
    );
    let logits: Vec<u8> = prediction
        .masks
        .iter()
        .flat_map(|mask| mask.logits())
        .flat_map(f32::to_le_bytes)
        .collect();
    let masks: Vec<Mask> = prediction.masks.iter().map(LowResMask::to_mask).collect();
    let pixels: Vec<u8> = masks.iter().flat_map(Mask::to_bytes).collect();
    let scores: Vec<u8> = prediction
        .masks
        .iter()
        .flat_map(|m| m.score().to_le_bytes())
        .collect();
    let object_score = prediction.object_score.to_le_bytes();

    let view = |dtype, shape, data| TensorView::new(dtype, shape, data);
    let tensors = [
        (
            "low_res_logits",
            view(Dtype::F32, vec![count, side, side], &logits)?,
        ),
        ("masks", view(Dtype::U8, vec![count, height, width], &pixels)?),
        ("scores", view(Dtype::F32, vec![count], &scores)?),
        ("object_score", view(Dtype::F32, vec![1], &object_score)?),
    ];
    let file = safetensors::serialize(tensors, None)?;

    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    put(folder, "result.safetensors", &file)?;
    for (i, mask) in masks.iter().enumerate() {
        write_mask(folder, &format!("mask_{i}.png"), mask)?;
    }
    Ok(())
}

fn write_mask(folder: &Path, name: &str, mask: &Mask) -> Result<()> {
    put(folder, name, &mask.to_png())?;
    say!("{name}  score {:.4}  area {} px", mask.score(), mask.area())?;
    Ok(())
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn parse_point(text: &str) -> Result<PointPrompt, String> {
    let expected = || format!("expected X,Y,LABEL such as 500,375,1, got `{text}`");
    let [x, y, label] = text.split(',').collect::<Vec<_>>()[..] else {
        return Err(expected());
    };
    Ok(PointPrompt {
        x: x.trim().parse().map_err(|_| expected())?,
        y: y.trim().parse().map_err(|_| expected())?,
        label: label.trim().parse().map_err(|_| expected())?,
    })
}

/// Reads `X0,Y0,X1,Y1`.
pub fn parse_box(text: &str) -> Result<BoxPrompt, String> {
    let expected = || format!("expected X0,Y0,X1,Y1 such as 75,275,1725,850, got `{text}`");
    let numbers: Vec<f32> = text
        .split(',')
        .map(|n| n.trim().parse())
        .collect::<Result<_, _>>()
        .map_err(|_| expected())?;
    let [x0, y0, x1, y1] = numbers[..] else {
        return Err(expected());
    };
    Ok(BoxPrompt { x0, y0, x1, y1 })
}
