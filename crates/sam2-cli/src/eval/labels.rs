//! Instance masks from files, and computations on them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use image::{GrayImage, Luma};
use imageproc::distance_transform::euclidean_squared_distance_transform;
use sam2_predict::Mask;

use super::SMALLEST;

/// The label of pixels that are ignored.
pub const IGNORED: u8 = 255;

/// The labels of all instances that are large enough, and cover at most the fraction `largest` of the picture.
pub fn instances(labels: &GrayImage, largest: f64) -> Vec<u8> {
    let mut areas = [0usize; 256];
    labels
        .pixels()
        .for_each(|pixel| areas[usize::from(pixel.0[0])] += 1);
    let pixels = (labels.width() * labels.height()) as f64;
    (1..IGNORED)
        .filter(|&label| (SMALLEST * pixels..=largest * pixels).contains(&(areas[usize::from(label)] as f64)))
        .collect()
}

/// 255 where `inside` holds.
pub fn region(like: &GrayImage, inside: impl Fn(u32, u32) -> bool) -> GrayImage {
    GrayImage::from_fn(like.width(), like.height(), |x, y| {
        Luma([if inside(x, y) { 255 } else { 0 }])
    })
}

/// The pixel of a region that is farthest from its edge; the picture's border is an edge too.
pub fn innermost(region: &GrayImage) -> (u32, u32) {
    let (width, height) = region.dimensions();
    // The transform measures the distance to the nearest bright pixel, so the outside is bright, and the picture gets a
    // bright border.
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

/// The areas of the intersection and of the union of a mask and an instance, in pixels.
pub fn intersection_and_union(mask: &Mask, labels: &GrayImage, label: u8) -> (usize, usize) {
    let (mut both, mut either) = (0usize, 0usize);
    for (x, y, pixel) in labels
        .enumerate_pixels()
        .filter(|(_, _, pixel)| pixel.0[0] != IGNORED)
    {
        let (found, wanted) = (mask.get(x as usize, y as usize), pixel.0[0] == label);
        both += usize::from(found && wanted);
        either += usize::from(found || wanted);
    }
    (both, either)
}

/// The palette indices or the grey values of a file.
pub fn read_labels(path: &Path) -> Result<GrayImage> {
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
