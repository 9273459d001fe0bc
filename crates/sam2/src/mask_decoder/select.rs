//! Which of the decoder's four masks to return: the three candidates or a single one (`MaskDecoder.forward`).

use burn::tensor::Tensor;
use sam2_ops::{Stability, choose, pick};

use super::{MaskDecoderOutput, NUM_MASK_TOKENS};

/// When a single mask is asked for and the single-mask token's mask is not stable, the best candidate replaces it
/// (`MaskDecoder._dynamic_multimask_via_stability`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DynamicMultimask {
    /// Stability compares the areas above `+delta` and above `-delta`, in logits.
    pub stability_delta: f32,
    /// A mask is stable if the ratio of these areas is at least this.
    pub stability_thresh: f32,
}

impl Default for DynamicMultimask {
    /// The values that the official `build_sam2` sets.
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

/// The masks that a prediction returns: `n` is 3 or 1.
#[derive(Debug)]
pub struct SelectedMasks {
    /// Logits `[b, n, s/4, s/4]`.
    pub masks: Tensor<4>,
    /// Predicted IoUs `[b, n]`, in [0, 1].
    pub ious: Tensor<2>,
}

impl MaskDecoderOutput {
    /// The three candidates if `multimask`, else a single mask. `dynamic` is [`DynamicMultimask::default`] in the
    /// official predictors; with `None`, the single-mask token's mask is returned even if it is not stable.
    pub fn select(&self, multimask: bool, dynamic: Option<DynamicMultimask>) -> SelectedMasks {
        let [batch, count, h, w] = self.masks.dims();
        match (multimask, dynamic) {
            (true, _) => SelectedMasks {
                masks: self.masks.clone().narrow(1, 1, NUM_MASK_TOKENS - 1),
                ious: self.iou_pred.clone().narrow(1, 1, NUM_MASK_TOKENS - 1),
            },
            (false, None) => SelectedMasks {
                masks: self.masks.clone().narrow(1, 0, 1),
                ious: self.iou_pred.clone().narrow(1, 0, 1),
            },
            (false, Some(dynamic)) => {
                let masks = self.masks.clone().reshape([batch, count, h * w]);
                let stability = Some(dynamic.into());
                let choice = choose(
                    &self.implementation,
                    masks.clone(),
                    self.iou_pred.clone(),
                    stability,
                );
                let chosen = pick(&self.implementation, masks, Some(&choice), None);
                SelectedMasks {
                    masks: chosen.reshape([batch, 1, h, w]),
                    ious: choice.ious(),
                }
            }
        }
    }
}
