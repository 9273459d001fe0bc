//! Masks to test with, and the picture that all formats are tested with.

use sam2_labels::{Id, Label, LabeledPicture, Size};
use sam2_predict::Rle;
use serde_json::Value;

pub fn size(width: usize, height: usize) -> Size {
    Size::new(width, height).unwrap()
}

pub fn mask_where(width: usize, height: usize, inside: impl Fn(usize, usize) -> bool) -> Rle {
    let mut counts = vec![0];
    for x in 0..width {
        for y in 0..height {
            if (counts.len() % 2 == 0) != inside(x, y) {
                counts.push(0);
            }
            *counts.last_mut().unwrap() += 1;
        }
    }
    Rle::new(width, height, counts).unwrap()
}

/// A mask drawn as text: `#` is set.
pub fn drawn(rows: &[&str]) -> Rle {
    mask_where(rows[0].len(), rows.len(), |x, y| rows[y].as_bytes()[x] == b'#')
}

pub fn to_text(mask: &Rle) -> Vec<String> {
    let bits = mask.to_bits();
    let pixel = |i: usize| {
        if bits[i >> 3] >> (i & 7) & 1 == 1 {
            '#'
        } else {
            '.'
        }
    };
    let row = |y| (0..mask.width()).map(|x| pixel(y * mask.width() + x)).collect();
    (0..mask.height()).map(row).collect()
}

/// Numbers from 0 to 1, the same for a seed.
pub fn random(seed: u32) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state) / 4_294_967_296.0
    }
}

pub fn noise(width: usize, height: usize, share: f64, seed: u32) -> Rle {
    let mut next = random(seed);
    let pixels: Vec<bool> = (0..width * height).map(|_| next() < share).collect();
    mask_where(width, height, |x, y| pixels[y * width + x])
}

/// Rows and columns of every remainder by eight, and rows shorter than that.
pub const SIZES: [(usize, usize); 9] = [
    (1, 1),
    (1, 9),
    (9, 1),
    (3, 7),
    (7, 5),
    (8, 8),
    (13, 11),
    (16, 3),
    (37, 29),
];

pub fn distance(x: usize, y: usize, [to_x, to_y]: [f64; 2]) -> f64 {
    f64::hypot(x as f64 - to_x, y as f64 - to_y)
}

pub fn ellipse() -> Rle {
    mask_where(40, 30, |x, y| {
        ((x as f64 - 12.0) / 9.0).powi(2) + ((y as f64 - 14.0) / 11.0).powi(2) < 1.0
    })
}

pub fn ring() -> Rle {
    mask_where(40, 30, |x, y| (distance(x, y, [28.0, 15.0]) - 8.0).abs() < 3.0)
}

pub fn parts() -> Rle {
    mask_where(40, 30, |x, y| y > 24 && !(5..=30).contains(&x))
}

/// One object of a part, one with a hole, one of two parts.
pub fn picture() -> LabeledPicture {
    let label = |mask, category: &str, id: i64| Label {
        id: Some(Id::from(id)),
        ..Label::new(mask, category)
    };
    LabeledPicture {
        size: size(40, 30),
        file_name: Some("shelf.jpg".into()),
        id: Some(Id::from(7)),
        labels: vec![
            label(ellipse(), "cup", 11),
            Label {
                score: Some(0.5),
                ..label(ring(), "ring", 5)
            },
            Label {
                crowd: true,
                ..label(parts(), "cup", 3)
            },
        ],
    }
}

/// Of labels without anything else, for pictures of their size.
pub fn picture_of(labels: Vec<Label>) -> LabeledPicture {
    let mask = &labels[0].mask;
    LabeledPicture {
        size: size(mask.width(), mask.height()),
        labels,
        file_name: None,
        id: None,
    }
}

pub fn masks(labels: &[Label]) -> Vec<&Rle> {
    labels.iter().map(|label| &label.mask).collect()
}

pub fn areas(labels: &[Label]) -> Vec<usize> {
    labels
        .iter()
        .map(|label| sam2_labels::area(&label.mask))
        .collect()
}

/// As it comes from a file.
pub fn saved(file: &impl serde::Serialize) -> Value {
    sam2_labels::parse_json(&serde_json::to_vec(file).unwrap(), "saved").unwrap()
}

/// The results of pycocotools with which the npm package is tested too.
pub fn pycocotools() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../www/sam2-web/test/data/pycocotools.json"
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
