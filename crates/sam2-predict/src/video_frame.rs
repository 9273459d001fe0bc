//! A video's frame as the network's input. The official video predictor resizes frames by another filter than
//! pictures: Pillow's bicubic one, rounded to bytes after each axis (`sam2.utils.misc._load_img_as_tensor`).

use burn::tensor::{Device, Tensor, TensorData};

use crate::PictureRef;
use crate::picture::{MEAN, STD};

/// Of Pillow's fixed-point weights.
const PRECISION_BITS: u32 = 22;
/// Pillow's bicubic filter reaches so far, in source pixels where the picture grows.
const SUPPORT: f64 = 2.0;

/// The network's input `[1, 3, side, side]` of a frame: squashed to a square, then normalised.
pub fn frame_to_tensor(frame: PictureRef<'_>, side: usize, device: &Device) -> Tensor<4> {
    let (width, height) = (frame.width(), frame.height());
    let mut values = Vec::with_capacity(3 * side * side);
    for c in 0..3 {
        let plane: Vec<u8> = frame.channel(c).collect();
        let wide = resize_rows(&plane, width, side);
        // The second axis is the first of the transposed plane.
        let tall = resize_rows(&transpose(&wide, side, height), height, side);
        values.extend(
            transpose(&tall, side, side)
                .into_iter()
                .map(|value| (f32::from(value) / 255.0 - MEAN[c]) / STD[c]),
        );
    }
    Tensor::from_data(TensorData::new(values, [1, 3, side, side]), device)
}

/// Each row of `width` values to `output` values.
fn resize_rows(plane: &[u8], width: usize, output: usize) -> Vec<u8> {
    if width == output {
        return plane.to_vec();
    }
    let taps: Vec<_> = (0..output).map(|i| pillow_weights(i, width, output)).collect();
    plane
        .chunks_exact(width)
        .flat_map(|row| {
            taps.iter().map(|(start, weights)| {
                let pixels = row[*start..].iter().zip(weights);
                let sum: i32 = pixels.map(|(&pixel, weight)| i32::from(pixel) * weight).sum();
                ((sum + (1 << (PRECISION_BITS - 1))) >> PRECISION_BITS).clamp(0, 255) as u8
            })
        })
        .collect()
}

/// The first source pixel of an output pixel, and the fixed-point weights from there on.
fn pillow_weights(i: usize, input: usize, output: usize) -> (usize, Vec<i32>) {
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0);
    let center = (i as f64 + 0.5) * scale;
    let start = (center - SUPPORT * stretch + 0.5).max(0.0) as usize;
    let end = ((center + SUPPORT * stretch + 0.5) as usize).min(input);
    let weights: Vec<f64> = (start..end)
        .map(|k| bicubic((k as f64 - center + 0.5) / stretch))
        .collect();
    let total: f64 = weights.iter().sum();
    let fixed = |weight: f64| (weight / total * f64::from(1u32 << PRECISION_BITS)).round() as i32;
    (start, weights.into_iter().map(fixed).collect())
}

/// Keys' cubic with a = -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x.abs() {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// Rows of `width` values to columns.
fn transpose(plane: &[u8], width: usize, height: usize) -> Vec<u8> {
    (0..width * height)
        .map(|i| plane[i % height * width + i / height])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_of_one_value_keeps_it() {
        let plane = vec![137; 5 * 3];
        for output in [2, 5, 9] {
            assert_eq!(resize_rows(&plane, 5, output), vec![137; output * 3]);
        }
    }

    #[test]
    fn transposing_swaps_the_axes() {
        assert_eq!(transpose(&[1, 2, 3, 4, 5, 6], 3, 2), [1, 4, 2, 5, 3, 6]);
    }
}
