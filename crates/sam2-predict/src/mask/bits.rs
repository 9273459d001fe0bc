//! A mask, in the forms in which people need it.

use super::{Cleanup, upscale::upscale_to_bits};
use crate::{PictureRef, PredictError, Rle};

/// One mask of a prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    width: usize,
    height: usize,
    bits: Vec<u8>,
    score: f32,
    logits: Vec<f32>,
    logits_side: usize,
}

impl Mask {
    /// From the decoder's logits `[side, side]`, for a picture of `width` x `height`.
    pub(crate) fn from_logits(
        logits: Vec<f32>,
        side: usize,
        score: f32,
        width: usize,
        height: usize,
    ) -> Self {
        Self::from_logits_cleaned(logits, side, score, [width, height], Cleanup::default())
    }

    /// As [`Self::from_logits`], small regions changed. The logits stay as they are: a later prompt's mask is the
    /// network's own.
    pub(crate) fn from_logits_cleaned(
        mut logits: Vec<f32>,
        side: usize,
        score: f32,
        [width, height]: [usize; 2],
        cleanup: Cleanup,
    ) -> Self {
        // The official predictor thresholds the logits as they are and clamps those that it returns.
        let bits = if cleanup == Cleanup::default() {
            upscale_to_bits(&logits, [side, side], [height, width])
        } else {
            upscale_to_bits(&cleanup.apply(&logits, side), [side, side], [height, width])
        };
        for logit in &mut logits {
            *logit = logit.clamp(-32.0, 32.0);
        }
        Self {
            width,
            height,
            bits,
            score,
            logits,
            logits_side: side,
        }
    }

    /// From [`Rle::to_compressed`] text of our own making; there are no logits.
    pub(crate) fn from_compressed_rle(runs: &str, score: f32, width: usize, height: usize) -> Self {
        let rle = Rle::from_compressed(runs, width, height).expect("made by `to_compressed`");
        Self {
            width,
            height,
            bits: rle.to_bits(),
            score,
            logits: Vec::new(),
            logits_side: 0,
        }
    }

    /// Other bits, as many.
    pub(crate) fn set_bits(&mut self, bits: Vec<u8>) {
        debug_assert_eq!(bits.len(), self.bits.len());
        self.bits = bits;
    }

    /// The picture's, in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The picture's, in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The IoU with the true mask that the network expects, in [0, 1].
    pub fn score(&self) -> f32 {
        self.score
    }

    /// Logits at low resolution, clamped to ±32, row-major [`Self::logits_side`] squared: a later prompt's mask.
    /// Empty where a video session has only the mask left ([`crate::VideoSession::masks_at`]).
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Side of [`Self::logits`]: a quarter of the network's picture size; 0 where there are none.
    pub fn logits_side(&self) -> usize {
        self.logits_side
    }

    /// A bit a pixel, row-major, the first pixel in the lowest bit of the first byte; no padding between rows.
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// Whether the pixel is on the object; `x < width`, `y < height`.
    pub fn get(&self, x: usize, y: usize) -> bool {
        bit(&self.bits, y * self.width + x)
    }

    /// Pixels on the object.
    pub fn area(&self) -> usize {
        self.bits.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// The smallest box `[left, top, right, bottom]` around the object, the last pixels included;
    /// none for an empty mask.
    pub fn bounding_box(&self) -> Option<[usize; 4]> {
        let first = self.bits.iter().position(|&byte| byte != 0)? * 8;
        let last = self.bits.iter().rposition(|&byte| byte != 0)? * 8 + 7;
        let (first_row, last_row) = (first / self.width, (last / self.width).min(self.height - 1));
        let (mut left, mut top, mut right, mut bottom) = (self.width, self.height, 0, 0);
        for y in first_row..=last_row {
            let Some(x0) = (0..self.width).find(|&x| self.get(x, y)) else {
                continue;
            };
            let x1 = (x0..self.width).rev().find(|&x| self.get(x, y)).unwrap_or(x0);
            (left, right) = (left.min(x0), right.max(x1));
            (top, bottom) = (top.min(y), bottom.max(y));
        }
        Some([left, top, right, bottom])
    }

    /// A byte a pixel, 0 or 1, row-major.
    pub fn to_bytes(&self) -> Vec<u8> {
        (0..self.width * self.height)
            .map(|i| u8::from(bit(&self.bits, i)))
            .collect()
    }

    /// COCO's run-length encoding.
    pub fn to_rle(&self) -> Rle {
        bits_to_rle(&self.bits, self.width, self.height)
    }

    /// A grey PNG, 0 or 255.
    #[cfg(feature = "png")]
    pub fn to_png(&self) -> Vec<u8> {
        let pixels: Vec<u8> = self.to_bytes().iter().map(|byte| byte * 255).collect();
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("a vector takes every byte");
        writer
            .write_image_data(&pixels)
            .expect("the pixels are as many as the header says");
        writer.finish().expect("a vector takes every byte");
        file
    }
}

/// [`Mask::bits`] as COCO's run-length encoding.
///
/// # Errors
/// There are not `ceil(width * height / 8)` bytes, or no pixels, or more than [`crate::MAX_PIXELS`].
pub fn rle_of_bits(bits: &[u8], width: usize, height: usize) -> Result<Rle, PredictError> {
    PictureRef::check_size(width, height)?;
    let expected = (width * height).div_ceil(8);
    if bits.len() != expected {
        return Err(PredictError::PictureBytes {
            width,
            height,
            expected,
            found: bits.len(),
        });
    }
    Ok(bits_to_rle(bits, width, height))
}

fn bits_to_rle(bits: &[u8], width: usize, height: usize) -> Rle {
    Rle::from_pixels(width, height, |x, y| bit(bits, y * width + x))
}

fn bit(bits: &[u8], index: usize) -> bool {
    bits[index >> 3] >> (index & 7) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(width: usize, height: usize, on: &[(usize, usize)]) -> Mask {
        let mut bits = vec![0; (width * height).div_ceil(8)];
        for (x, y) in on {
            let i = y * width + x;
            bits[i >> 3] |= 1 << (i & 7);
        }
        Mask {
            width,
            height,
            bits,
            score: 0.5,
            logits: vec![],
            logits_side: 0,
        }
    }

    #[test]
    fn area_and_box() {
        let mask = mask(11, 7, &[(3, 2), (10, 2), (0, 5)]);
        assert_eq!(mask.area(), 3);
        assert_eq!(mask.bounding_box(), Some([0, 2, 10, 5]));
        assert_eq!(mask.to_bytes().iter().map(|&b| b as usize).sum::<usize>(), 3);
        assert_eq!(super::tests::mask(11, 7, &[]).bounding_box(), None);
        assert_eq!(
            super::tests::mask(1, 1, &[(0, 0)]).bounding_box(),
            Some([0, 0, 0, 0])
        );
        assert_eq!(
            super::tests::mask(5, 5, &[(4, 4)]).bounding_box(),
            Some([4, 4, 4, 4])
        );
    }

    #[test]
    fn bits_of_another_size_are_no_mask() {
        assert_eq!(rle_of_bits(&[0b10], 2, 1).unwrap().counts(), [1, 1]);
        for (width, height) in [(65_536, 65_536), (0, 0), (3, 3), (usize::MAX, 2)] {
            assert!(rle_of_bits(&[], width, height).is_err());
        }
    }

    #[test]
    fn returned_logits_are_clamped_and_bits_are_not_changed_by_it() {
        let mask = Mask::from_logits(vec![-100.0, 40.0, 1.0, -1.0], 2, 0.9, 2, 2);
        assert_eq!(mask.logits(), [-32.0, 32.0, 1.0, -1.0]);
        assert_eq!(mask.to_bytes(), [0, 1, 1, 0]);
        assert_eq!(mask.to_rle().counts(), [1, 2, 1]);
    }
}
