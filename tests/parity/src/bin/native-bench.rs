//! The tiny network on the CPU, on weights from a recipe, for `pkg-scripts/bench`. For each input line, it encodes one
//! picture and prints the time in milliseconds. `native-bench --stages` prints the time of each step instead.

use std::io::BufRead;
use std::time::Instant;

use burn::tensor::Tensor;
use parity::{Fixture, block_on, cpu, natively, synthetic};
use sam2::ImageModel;
use sam2_predict::{ImagePredictor, PictureRef, PixelFormat};

/// The number of runs, of which the fastest counts.
const TURNS: usize = 5;

fn main() {
    // As `sam2` does.
    sam2_heap::keep_freed_memory();
    let model = Fixture::committed("tiny_synthetic").image_model(&natively());
    let side = model.config.image_size;
    let pixels = synthetic::picture(side, side);
    let picture = PictureRef::new(&pixels, PixelFormat::Rgb, side, side).expect("a picture");
    if std::env::args().any(|argument| argument == "--stages") {
        return stages(&model, picture);
    }
    let predictor = ImagePredictor::new(model);
    for _ in std::io::stdin().lock().lines() {
        let started = Instant::now();
        block_on(predictor.set_image(picture)).expect("an embedding");
        println!("{:.1}", started.elapsed().as_secs_f64() * 1000.0);
    }
}

/// Measures the encoder step by step.
fn stages(model: &ImageModel, picture: PictureRef) {
    let side = model.config.image_size;
    let (Some(trunk), Some(config)) = (
        model.image_encoder.trunk.as_hiera(),
        model.config.trunk.as_hiera(),
    ) else {
        println!("only Hiera is measured step by step");
        return;
    };
    let input = quickest("picture to input", || picture.to_tensor(side, &cpu()));
    let mut x = quickest("patch embedding", || trunk.patch_embed.forward(input.clone()));
    let ends = config.stage_ends();
    let mut outputs: Vec<Tensor<4>> = Vec::new();
    for (i, block) in trunk.blocks.iter().enumerate() {
        let [_, h, w, c] = x.dims();
        x = quickest(&format!("block {i} ({h} x {w} x {c} in)"), || {
            block.forward(x.clone())
        });
        if ends.contains(&i) {
            outputs.push(x.clone());
        }
    }
    let levels = quickest("neck", || model.image_encoder.neck.forward(outputs.clone()));
    let features = quickest("features for the decoder", || {
        model.mask_decoder.image_features(levels[..3].to_vec())
    });
    quickest("projections for prompts", || {
        model.without_memory(features.clone())
    });
}

fn quickest<T>(what: &str, work: impl Fn() -> T) -> T {
    let mut best = f64::INFINITY;
    let mut made = None;
    for _ in 0..TURNS {
        let started = Instant::now();
        made = Some(work());
        best = best.min(started.elapsed().as_secs_f64());
    }
    println!("{what:32} {:8.1} ms", best * 1000.0);
    made.expect("at least one turn")
}
