//! Which of the decoder's four masks to give: the three candidates, or one (`MaskDecoder.forward`).

use burn::tensor::Tensor;
use sam2_ops::{Stability, choose, pick};

use super::{MaskDecoderOutput, NUM_MASK_TOKENS};

/// When one mask is asked for and the single-mask token's is not stable, the best candidate replaces it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DynamicMultimask {
    /// Stability compares the areas above `+delta` and above `-delta`, in logits.
    pub stability_delta: f32,
    /// A mask is stable from this ratio on.
    pub stability_thresh: f32,
}

impl Default for DynamicMultimask {
    /// What the official `build_sam2` sets.
    fn default() -> Self {
        Self {
            stability_delta: 0.05,
            stability_thresh: 0.98,
        }
    }
}

impl From<DynamicMultimask> for Stability {
    fn from(dynamic: DynamicMultimask) -> Self {
        Self {
            delta: dynamic.stability_delta,
            threshold: dynamic.stability_thresh,
        }
    }
}

/// The masks that a prediction gives: `n` is 3 or 1.
#[derive(Debug)]
pub struct SelectedMasks {
    /// Logits `[b, n, s/4, s/4]`.
    pub masks: Tensor<4>,
    /// `[b, n]`.
    pub ious: Tensor<2>,
}

impl MaskDecoderOutput {
    /// The three candidates, or the one mask; `dynamic` as the official predictors have it on by default.
    pub fn select(&self, multimask: bool, dynamic: Option<DynamicMultimask>) -> SelectedMasks {
        let [batch, count, h, w] = self.masks.dims();
        match (multimask, dynamic) {
            (true, _) => SelectedMasks {
                masks: self.masks.clone().narrow(1, 1, NUM_MASK_TOKENS - 1),
                ious: self.ious.clone().narrow(1, 1, NUM_MASK_TOKENS - 1),
            },
            (false, None) => SelectedMasks {
                masks: self.masks.clone().narrow(1, 0, 1),
                ious: self.ious.clone().narrow(1, 0, 1),
            },
            (false, Some(dynamic)) => {
                let masks = self.masks.clone().reshape([batch, count, h * w]);
                let stability = Some(dynamic.into());
                let choice = choose(&self.implementation, masks.clone(), self.ious.clone(), stability);
                let chosen = pick(&self.implementation, masks, Some(&choice), None);
                SelectedMasks {
                    masks: chosen.reshape([batch, 1, h, w]),
                    ious: choice.ious(),
                }
            }
        }
    }
}
