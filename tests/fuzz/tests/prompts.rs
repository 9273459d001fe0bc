//! Random prompts, and masks as text.

use std::sync::{Arc, LazyLock};

use fuzz::arbitrary::{Result, Unstructured};
use fuzz::{damage, found, fuzz};
use pollster::block_on;
use sam2::{Checkpoint, Implementation, VideoModel};
use sam2_ops::Products;
use sam2_predict::{
    BoxPrompt, ImageEmbedding, ImagePredictor, PictureRef, PixelFormat, PointPrompt, Prompt, Rle,
    VideoOptions, VideoSession,
};

const SIZE: [usize; 2] = [48, 32];

static NANO: LazyLock<(Sam2, ImageEmbedding)> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/nano.safetensors");
    let mut file = Checkpoint::from_bytes(std::fs::read(path).expect("nano")).expect("nano");
    // Small pictures are faster.
    let config = file
        .config()
        .expect("nano's")
        .with_image_size(128)
        .expect("a size");
    let model = VideoModel::load(&config, &mut file, &Implementation::cpu(Products::Burn)).expect("nano");
    let model = Arc::new(model);
    let predictor = ImagePredictor::new(model.image.clone());
    let image = block_on(predictor.set_image(picture())).expect("a picture");
    (Sam2 { model, predictor }, image)
});

struct Sam2 {
    model: Arc<VideoModel>,
    predictor: ImagePredictor,
}

fn picture() -> PictureRef<'static> {
    static RGB: [u8; 3 * SIZE[0] * SIZE[1]] = [90; 3 * SIZE[0] * SIZE[1]];
    PictureRef::new(&RGB, PixelFormat::Rgb, SIZE[0], SIZE[1]).expect("a picture")
}

fn number(u: &mut Unstructured) -> Result<f32> {
    let odd = [
        0.0,
        -0.0,
        0.5,
        47.999,
        48.0,
        48.5,
        49.0,
        -0.5,
        -1.0,
        1e9,
        1e38,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ];
    match u.arbitrary()? {
        true => u.choose(&odd).copied(),
        false => Ok(f32::from(u.int_in_range(0..=63u8)?)),
    }
}

fn prompt(u: &mut Unstructured) -> Result<Prompt> {
    let side = NANO.0.predictor.config().mask_side();
    let points = (0..u.int_in_range(0..=3)?)
        .map(|_| {
            Ok(PointPrompt {
                x: number(u)?,
                y: number(u)?,
                label: *u.choose(&[-1, 0, 1, 1, 2, 3, 4, -2, i32::MAX, i32::MIN])?,
            })
        })
        .collect::<Result<_>>()?;
    let box_ = match u.arbitrary()? {
        true => Some(BoxPrompt {
            x0: number(u)?,
            y0: number(u)?,
            x1: number(u)?,
            y1: number(u)?,
        }),
        false => None,
    };
    let mask = match u.ratio(1, 3)? {
        true => {
            let length = *u.choose(&[0, 1, side, side * side - 1, side * side, side * side + 1])?;
            Some(vec![number(u)?; length])
        }
        false => None,
    };
    Ok(Prompt {
        points,
        box_,
        mask,
        multimask: u.arbitrary()?,
    })
}

#[test]
fn prompts_on_a_picture() {
    fuzz(|u| {
        let prompt = prompt(u)?;
        match block_on(NANO.0.predictor.predict(&NANO.1, &prompt)) {
            Ok(prediction) => {
                assert_eq!(prediction.masks.len(), if prompt.multimask { 3 } else { 1 });
                for mask in &prediction.masks {
                    assert_eq!([mask.width(), mask.height()], SIZE);
                    assert!(mask.score().is_finite(), "{prompt:?}");
                    assert!(mask.logits().iter().all(|logit| logit.is_finite()), "{prompt:?}");
                }
            }
            Err(error) => assert!((1..2000).contains(&error.to_string().len()), "{error}"),
        }
        Ok(())
    });
}

#[test]
fn prompts_on_a_clip() {
    fuzz(|u| {
        let model = NANO.0.model.clone();
        let options = VideoOptions {
            max_cond_frames_in_attn: *u.choose(&[None, Some(2), Some(4)])?,
            ..VideoOptions::default()
        };
        let mut session = VideoSession::new(model, options, SIZE, Some(3)).expect("a session");
        session.set_frame(0, picture()).expect("a frame");
        for _ in 0..u.int_in_range(1..=4)? {
            let frame = u.int_in_range(0..=4)?;
            let object = *u.choose(&[0, 1, u32::MAX])?;
            let outcome = match u.int_in_range(0..=5)? {
                0 => session.set_frame(frame, picture()),
                1 => {
                    let length = *u.choose(&[0, 1, 48 * 32 - 1, 48 * 32])?;
                    let mask = vec![u.arbitrary()?; length];
                    block_on(session.add_mask(frame, object, &mask)).map(drop)
                }
                2 => {
                    session.remove_object(object);
                    Ok(())
                }
                3 => session.begin_tracking(),
                4 => block_on(session.track(frame, u.arbitrary()?)).map(drop),
                _ => {
                    let (prompt, clear) = (prompt(u)?, u.arbitrary()?);
                    block_on(session.add_points_or_box(frame, object, &prompt, clear)).map(drop)
                }
            };
            if let Err(error) = outcome {
                assert!((1..2000).contains(&error.to_string().len()), "{error}");
            }
        }
        Ok(())
    });
}

/// A mask that is read from a text is written to an equivalent text.
fn read(text: &str, width: usize, height: usize) {
    let Ok(rle) = Rle::from_compressed(text, width, height) else {
        return;
    };
    assert_eq!(
        Rle::from_compressed(&rle.to_compressed(), width, height).as_ref(),
        Ok(&rle)
    );
    // A mask without pixels can be read, but is never written.
    if (1..=1 << 16).contains(&width.saturating_mul(height)) {
        let bits = rle.to_bits();
        let on: u32 = rle.counts().iter().skip(1).step_by(2).sum();
        assert_eq!(bits.iter().map(|byte| byte.count_ones()).sum::<u32>(), on);
    }
}

#[test]
fn found_run_lengths() {
    for (path, bytes) in found("rle") {
        println!("{}", path.display());
        let text = String::from_utf8_lossy(&bytes);
        for size in [0, 1, 30, 65536, usize::MAX] {
            read(&text, size, size);
            read(&text, 6, size);
        }
    }
}

#[test]
fn run_lengths() {
    fuzz(|u| {
        let size = |u: &mut Unstructured| {
            u.choose(&[0usize, 1, 2, 5, 6, 100, 65536, 1 << 32, usize::MAX])
                .copied()
        };
        let (width, height) = (size(u)?, size(u)?);
        let mut text = match u.arbitrary()? {
            true => b"6230009".to_vec(),
            false => (0..u.int_in_range(0..=40)?)
                .map(|_| u.int_in_range(47..=113u8))
                .collect::<Result<_>>()?,
        };
        if u.arbitrary()? {
            damage(u, &mut text)?;
        }
        let text = String::from_utf8_lossy(&text);
        read(&text, width, height);
        read(&text, 6, 5);
        Ok(())
    });
}
