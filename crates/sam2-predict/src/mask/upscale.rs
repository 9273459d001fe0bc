//! Low-resolution logits to the picture's size, and over the threshold to bits
//! (`SAM2Transforms.postprocess_masks`: bilinear, corners not aligned).

use std::ops::Range;

use sam2_resample::{bilinear_above, bilinear_rows};

use super::bits::set_run;

/// A mask pixel is on the object where its logit is above this (`SAM2ImagePredictor.mask_threshold`).
pub(crate) const MASK_THRESHOLD: f32 = 0.0;

/// The pixels of `part` (rows, columns) of the enlarged logits that are above the threshold, a bit each: row-major, the
/// first pixel in the lowest bit.
pub(crate) fn upscale_to_bits(
    logits: &[f32],
    from: [usize; 2],
    to: [usize; 2],
    part: [Range<usize>; 2],
    threshold: f32,
) -> Vec<u8> {
    let [top, left] = part.each_ref().map(|range| range.start);
    let [height, width] = part.each_ref().map(ExactSizeIterator::len);
    let mut bits = vec![0u8; (height * width).div_ceil(8)];
    bilinear_above(logits, from, to, part, threshold, |y, run| {
        let row = (y - top) * width;
        set_run(&mut bits, row + run.start - left..row + run.end - left);
    });
    bits
}

/// Several objects' masks, of which only the one with the highest logit keeps a pixel; the first of equals
/// (`SAM2Base._apply_non_overlapping_constraints`).
pub(crate) fn non_overlapping_bits(objects: &[&[f32]], from: [usize; 2], to: [usize; 2]) -> Vec<Vec<u8>> {
    let pixels = to[0] * to[1];
    let mut best = vec![(f32::NEG_INFINITY, 0); pixels];
    for (object, logits) in objects.iter().enumerate() {
        bilinear_rows(logits, from, to, |y, row| {
            for (best, &logit) in best[y * to[1]..].iter_mut().zip(row) {
                if logit > best.0 {
                    *best = (logit, object);
                }
            }
        });
    }
    let mut bits = vec![vec![0u8; pixels.div_ceil(8)]; objects.len()];
    for (pixel, (logit, object)) in best.into_iter().enumerate() {
        bits[object][pixel >> 3] |= u8::from(logit > MASK_THRESHOLD) << (pixel & 7);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(logits: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<u8> {
        upscale_to_bits(logits, from, to, to.map(|side| 0..side), MASK_THRESHOLD)
    }

    #[test]
    fn same_size_is_the_threshold() {
        assert_eq!(whole(&[1.0, -1.0, 0.0, 2.0], [2, 2], [2, 2]), [0b1001]);
    }

    #[test]
    fn the_highest_logit_keeps_the_pixel() {
        let bits = non_overlapping_bits(&[&[2.0, 1.0, -1.0], &[1.0, 3.0, -2.0]], [1, 3], [1, 3]);
        assert_eq!(bits, [[0b001], [0b010]]);
    }

    #[test]
    fn halves_of_a_step_grow_to_halves() {
        assert_eq!(whole(&[-1.0, 1.0], [1, 2], [3, 8]), [0b1111_0000; 3]);
    }

    #[test]
    fn a_part_and_another_threshold() {
        let bits = upscale_to_bits(&[-1.0, 1.0], [1, 2], [3, 8], [1..3, 3..8], 0.0);
        assert_eq!(bits, [0b1101_1110, 0b11]);
        let bits = upscale_to_bits(&[-1.0, 1.0], [1, 2], [1, 8], [0..1, 0..8], 0.5);
        assert_eq!(bits, [0b1110_0000]);
    }
}
