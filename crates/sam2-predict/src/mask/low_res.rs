//! A mask as the network gives it: small, until somebody asks for it in the picture's size.

use std::ops::Range;

use super::upscale::{MASK_THRESHOLD, upscale_to_bits};
use super::{Cleanup, Mask};

/// What the official predictor clamps the logits to that it returns (`SAM2ImagePredictor._predict`).
const RETURNED_LOGITS: f32 = 32.0;

/// A mask's logits at low resolution, and how good the network thinks it is.
#[derive(Clone, Debug, PartialEq)]
pub struct LowResMask {
    /// `side * side`, row-major, as the network gives them.
    logits: Vec<f32>,
    side: usize,
    score: f32,
    picture: [usize; 2],
    cleanup: Cleanup,
}

impl LowResMask {
    /// `logits` of `[side, side]`, of a picture of that width and height.
    pub(crate) fn new(logits: Vec<f32>, side: usize, score: f32, picture: [usize; 2]) -> Self {
        debug_assert_eq!(logits.len(), side * side);
        Self {
            logits,
            side,
            score,
            picture,
            cleanup: Cleanup::default(),
        }
    }

    /// Small regions of the masks made of it are changed; the logits stay the network's own.
    pub(crate) fn with_cleanup(mut self, cleanup: Cleanup) -> Self {
        self.cleanup = cleanup;
        self
    }

    /// The IoU with the true mask that the network expects, in [0, 1].
    pub fn score(&self) -> f32 {
        self.score
    }

    /// The logits clamped to ±32, row-major [`Self::side`] squared: a later prompt's mask.
    pub fn logits(&self) -> Vec<f32> {
        let clamped = |logit: &f32| logit.clamp(-RETURNED_LOGITS, RETURNED_LOGITS);
        self.logits.iter().map(clamped).collect()
    }

    /// The logits as the network gives them, small regions changed as asked: what masks are made of.
    pub fn mask_logits(&self) -> Vec<f32> {
        self.cleanup.apply(&self.logits, self.side)
    }

    /// Side of the logits: a quarter of the network's picture size.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The picture's, in pixels.
    pub fn width(&self) -> usize {
        self.picture[0]
    }

    /// The picture's, in pixels.
    pub fn height(&self) -> usize {
        self.picture[1]
    }

    /// How little the mask depends on the threshold: the IoU of the masks at `offset` above and below 0, at low
    /// resolution (`sam2.utils.amg.calculate_stability_score`). Not a number where both are empty.
    pub fn stability_score(&self, offset: f32) -> f32 {
        let logits = self.mask_logits();
        let over = |threshold: f32| logits.iter().filter(|&&logit| logit > threshold).count() as f32;
        over(MASK_THRESHOLD + offset) / over(MASK_THRESHOLD - offset)
    }

    /// The mask in the picture's size.
    pub fn to_mask(&self) -> Mask {
        let [width, height] = self.picture;
        self.part(0..width, 0..height, MASK_THRESHOLD)
    }

    /// The mask of some columns and rows of the picture, with another threshold than 0.
    ///
    /// # Panics
    /// If the part lies outside the picture.
    pub fn part(&self, columns: Range<usize>, rows: Range<usize>, threshold: f32) -> Mask {
        let [width, height] = self.picture;
        let (part_width, part_height) = (columns.len(), rows.len());
        let logits = self.mask_logits();
        let bits = upscale_to_bits(
            &logits,
            [self.side; 2],
            [height, width],
            [rows, columns],
            threshold,
        );
        Mask::from_bits(bits, self.score, part_width, part_height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returned_logits_are_clamped_and_masks_are_not_changed_by_it() {
        let mask = LowResMask::new(vec![-100.0, 40.0, 1.0, -1.0], 2, 0.9, [2, 2]);
        assert_eq!(mask.logits(), [-32.0, 32.0, 1.0, -1.0]);
        assert_eq!(mask.to_mask().to_bytes(), [0, 1, 1, 0]);
        assert_eq!(mask.to_mask().to_rle().counts(), [1, 2, 1]);
        assert_eq!(mask.part(1..2, 0..2, 0.5).to_bytes(), [1, 0]);
        assert_eq!(mask.part(0..2, 1..2, -2.0).to_bytes(), [1, 1]);
    }

    #[test]
    fn stability_is_an_iou_of_two_thresholds() {
        let mask = LowResMask::new(vec![-100.0, 40.0, 0.5, -0.5], 2, 0.9, [2, 2]);
        assert_eq!(mask.stability_score(1.0), 1.0 / 3.0);
        assert_eq!(mask.stability_score(0.1), 1.0);
        assert!(
            LowResMask::new(vec![-9.0], 1, 0.9, [1, 1])
                .stability_score(1.0)
                .is_nan()
        );
    }
}
