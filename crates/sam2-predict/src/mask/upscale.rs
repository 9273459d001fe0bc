//! Low-resolution logits to the picture's size, and over the threshold to bits
//! (`SAM2Transforms.postprocess_masks`: bilinear, corners not aligned).

use sam2_resample::bilinear_rows;

/// A mask pixel is on the object where its logit is above this (`SAM2ImagePredictor.mask_threshold`).
const MASK_THRESHOLD: f32 = 0.0;

/// `logits` of `from` (height, width) as bits of `to`: row-major, the first pixel in the lowest bit.
pub(crate) fn upscale_to_bits(logits: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<u8> {
    let mut bits = vec![0u8; (to[0] * to[1]).div_ceil(8)];
    for_each_pixel(logits, from, to, |pixel, logit| {
        bits[pixel >> 3] |= u8::from(logit > MASK_THRESHOLD) << (pixel & 7);
    });
    bits
}

/// The same for several objects, of which only the one with the highest logit keeps a pixel; the first of equals
/// (`SAM2Base._apply_non_overlapping_constraints`).
pub(crate) fn non_overlapping_bits(objects: &[&[f32]], from: [usize; 2], to: [usize; 2]) -> Vec<Vec<u8>> {
    let pixels = to[0] * to[1];
    let mut best = vec![(f32::NEG_INFINITY, 0); pixels];
    for (object, logits) in objects.iter().enumerate() {
        for_each_pixel(logits, from, to, |pixel, logit| {
            if logit > best[pixel].0 {
                best[pixel] = (logit, object);
            }
        });
    }
    let mut bits = vec![vec![0u8; pixels.div_ceil(8)]; objects.len()];
    for (pixel, (logit, object)) in best.into_iter().enumerate() {
        bits[object][pixel >> 3] |= u8::from(logit > MASK_THRESHOLD) << (pixel & 7);
    }
    bits
}

/// Every pixel of the enlarged logits, in order.
fn for_each_pixel(logits: &[f32], from: [usize; 2], to: [usize; 2], mut visit: impl FnMut(usize, f32)) {
    bilinear_rows(logits, from, to, |y, row| {
        for (x, &logit) in row.iter().enumerate() {
            visit(y * to[1] + x, logit);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_size_is_the_threshold() {
        let bits = upscale_to_bits(&[1.0, -1.0, 0.0, 2.0], [2, 2], [2, 2]);
        assert_eq!(bits, [0b1001]);
    }

    #[test]
    fn the_highest_logit_keeps_the_pixel() {
        let bits = non_overlapping_bits(&[&[2.0, 1.0, -1.0], &[1.0, 3.0, -2.0]], [1, 3], [1, 3]);
        assert_eq!(bits, [[0b001], [0b010]]);
    }

    #[test]
    fn halves_of_a_step_grow_to_halves() {
        let bits = upscale_to_bits(&[-1.0, 1.0], [1, 2], [3, 8]);
        assert_eq!(bits, [0b1111_0000; 3]);
    }
}
