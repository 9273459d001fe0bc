//! What is made of a picture's embedding beside the official prompts: the embedding saved and restored, and a mask
//! predicted again on the part of the picture around it. Both are compared with the plain prediction.

use parity::{block_on, networks, synthetic};
use sam2_predict::{
    BoxPrompt, ImagePredictor, Mask, PictureRef, PixelFormat, PointPrompt, PredictError, Prompt,
};

fn click(x: f32, y: f32) -> Prompt {
    Prompt {
        points: vec![PointPrompt { x, y, label: 1 }],
        multimask: true,
        ..Prompt::default()
    }
}

#[test]
fn a_restored_embedding_answers_as_before() {
    for (fixture, model) in networks() {
        let predictor = ImagePredictor::new(model);
        let size @ [width, height] = fixture.picture_size();
        let image = block_on(predictor.set_image(fixture.picture())).expect("an embedding");
        let values = block_on(image.values()).expect("the features");
        let restored = predictor
            .restore_image(values.clone(), size)
            .expect("the embedding");
        let first = click(width as f32 / 3.0, height as f32 / 2.0);
        let answer = |image, prompt| block_on(predictor.predict(image, prompt)).expect("masks");
        let expected = answer(&image, &first);
        assert_eq!(answer(&restored, &first), expected);
        // Also with a mask, which does not read what is computed once for all prompts without.
        let second = Prompt {
            mask: expected.best().map(|mask| mask.logits()),
            ..first.clone()
        };
        assert_eq!(answer(&restored, &second), answer(&image, &second));
        assert_eq!(predictor.encodes(), 1);

        for at in 0..3 {
            let mut cut = values.clone();
            cut[at].pop();
            let (expected, found) = (values[at].len(), cut[at].len());
            assert_eq!(
                predictor.restore_image(cut, size).err(),
                Some(PredictError::EmbeddingSize { expected, found })
            );
        }
        let error = predictor.restore_image(values, [0, 5]).err();
        assert_eq!(error, Some(PredictError::EmptyPicture { width: 0, height: 5 }));
    }
}

#[test]
fn a_mask_is_refined_on_the_part_around_it() {
    let size @ [width, height] = [900, 700];
    let pixels = synthetic::picture(width, height);
    let picture = PictureRef::new(&pixels, PixelFormat::Rgb, width, height).expect("a picture");
    // The disc on the left (`synthetic::picture`), and a hole in it.
    let mask = mask_where(size, |x, y| {
        let disc = (x as f64 - 270.0).powi(2) + (y as f64 - 315.0).powi(2) < 126.0 * 126.0;
        disc && !(260..280).contains(&x)
    });
    assert_eq!(mask.bounding_box(), Some([145, 190, 395, 440]));
    for (_, model) in networks() {
        let predictor = ImagePredictor::new(model);
        let refined = block_on(predictor.refine(picture, &mask)).expect("a mask");
        // Twice the box, moved into the picture.
        assert_eq!(refined.part, [19, 64, 521, 566]);

        // The same by hand.
        let [left, top, right, bottom] = refined.part;
        let rows = pixels.chunks_exact(3 * width).skip(top).take(bottom - top);
        let part: Vec<u8> = rows.flat_map(|row| row[3 * left..3 * right].to_vec()).collect();
        let part = PictureRef::new(&part, PixelFormat::Rgb, right - left, bottom - top).expect("a part");
        let image = block_on(predictor.set_image(part)).expect("an embedding");
        let side = predictor.config().mask_side();
        let prompt = Prompt {
            box_: Some(BoxPrompt {
                x0: 126.0,
                y0: 126.0,
                x1: 377.0,
                y1: 377.0,
            }),
            mask: Some(shares(&mask, refined.part, side)),
            ..Prompt::default()
        };
        let by_hand = block_on(predictor.predict(&image, &prompt)).expect("a mask");
        assert_eq!(by_hand.masks.len(), 1);
        assert!((refined.mask.score() - by_hand.masks[0].score()).abs() < 1e-3);
        let differences = refined.mask.logits().into_iter().zip(by_hand.masks[0].logits());
        let largest = differences.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest < 0.05, "the logits differ by {largest}");

        let (whole, of_part) = (refined.to_mask(), refined.mask.to_mask());
        assert_eq!([whole.width(), whole.height()], size);
        assert_eq!(whole.area(), of_part.area());
        for (x, y) in [(0, 0), (200, 200), (100, 300)] {
            assert_eq!(whole.get(left + x, top + y), of_part.get(x, y));
        }
    }
}

#[test]
fn what_cannot_be_refined_is_refused() {
    let pixels = synthetic::picture(40, 30);
    let picture = PictureRef::new(&pixels, PixelFormat::Rgb, 40, 30).expect("a picture");
    let (_, model) = networks().next().expect("a network");
    let predictor = ImagePredictor::new(model);
    let refuse = |mask: &Mask| block_on(predictor.refine(picture, mask)).unwrap_err();
    assert_eq!(
        refuse(&mask_where([40, 30], |_, _| false)),
        PredictError::EmptyMask
    );
    assert_eq!(
        refuse(&mask_where([30, 40], |_, _| true)),
        PredictError::MaskOfAnotherPicture {
            mask: [30, 40],
            picture: [40, 30]
        }
    );
    assert!(matches!(
        Mask::new(vec![0; 3], 5, 5),
        Err(PredictError::MaskBytes {
            expected: 4,
            found: 3,
            ..
        })
    ));
    // What the last byte has beyond the last pixel is no pixel.
    assert_eq!(Mask::new(vec![0xff; 4], 5, 5).expect("a mask").area(), 25);
    // A mask of everything is predicted again on the whole picture.
    let whole = block_on(predictor.refine(picture, &mask_where([40, 30], |_, _| true))).expect("a mask");
    assert_eq!(whole.part, [0, 0, 40, 30]);
}

fn mask_where([width, height]: [usize; 2], inside: impl Fn(usize, usize) -> bool) -> Mask {
    let mut bits = vec![0u8; (width * height).div_ceil(8)];
    for i in 0..width * height {
        bits[i >> 3] |= u8::from(inside(i % width, i / width)) << (i & 7);
    }
    Mask::new(bits, width, height).expect("as many bits as pixels")
}

/// How much of each cell of a part, stretched to `side` x `side`, is set, as logits from -10 to 10.
fn shares(mask: &Mask, [left, top, right, bottom]: [usize; 4], side: usize) -> Vec<f32> {
    // How much of a pixel lies in a cell, along one axis, in cells.
    let overlap = |pixel: usize, pixels: usize, cell: usize| {
        let scale = side as f64 / pixels as f64;
        let (from, end) = (pixel as f64 * scale, (pixel + 1) as f64 * scale);
        (end.min(cell as f64 + 1.0) - from.max(cell as f64)).max(0.0)
    };
    let (width, height) = (right - left, bottom - top);
    let mut values = Vec::with_capacity(side * side);
    for row in 0..side {
        let rows: Vec<(usize, f64)> = (0..height)
            .map(|y| (y, overlap(y, height, row)))
            .filter(|(_, part)| *part > 0.0)
            .collect();
        for column in 0..side {
            let columns = (0..width).map(|x| (x, overlap(x, width, column)));
            let share: f64 = columns
                .filter(|(_, across)| *across > 0.0)
                .flat_map(|(x, across)| rows.iter().map(move |(y, down)| (x, *y, across * down)))
                .filter(|(x, y, _)| mask.get(left + x, top + y))
                .map(|(_, _, part)| part)
                .sum();
            values.push(((2.0 * share - 1.0) * 10.0) as f32);
        }
    }
    values
}
