//! Which of the decoder's four masks to give: the three candidates, or one
//! (`MaskDecoder.forward` and `_dynamic_multimask_via_stability`).

use burn::tensor::{Bool, Int, Tensor};
#[cfg(feature = "webgpu")]
use sam2_kernels::tensors;

use super::{MaskDecoderOutput, NUM_MASK_TOKENS};
#[cfg(feature = "webgpu")]
use crate::layers::is_gpu;

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

#[cfg(feature = "webgpu")]
impl DynamicMultimask {
    /// As the kernels take them.
    pub(crate) fn limits(self) -> (f32, f32) {
        (self.stability_delta, self.stability_thresh)
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
        let candidates = NUM_MASK_TOKENS - 1;
        if multimask {
            return SelectedMasks {
                masks: self.masks.clone().narrow(1, 1, candidates),
                ious: self.ious.clone().narrow(1, 1, candidates),
            };
        }
        #[cfg(feature = "webgpu")]
        if let Some(dynamic) = dynamic.filter(|_| is_gpu(&self.masks.device())) {
            let [batch, count, h, w] = self.masks.dims();
            let masks = self.masks.clone().reshape([batch, count, h * w]);
            let choices = tensors::choose(&masks, self.ious.clone(), Some(dynamic.limits()));
            return SelectedMasks {
                masks: tensors::pick(masks, Some(choices.clone()), None).reshape([batch, 1, h, w]),
                ious: choices.narrow(1, 1, 1),
            };
        }
        let single = SelectedMasks {
            masks: self.masks.clone().narrow(1, 0, 1),
            ious: self.ious.clone().narrow(1, 0, 1),
        };
        match dynamic {
            Some(dynamic) => self.replace_unstable(single, dynamic),
            None => single,
        }
    }

    /// Chosen on the device, so that no logits cross before the choice is made.
    fn replace_unstable(&self, single: SelectedMasks, dynamic: DynamicMultimask) -> SelectedMasks {
        let [batch, _, h, w] = single.masks.dims();
        let candidates = self.ious.clone().narrow(1, 1, NUM_MASK_TOKENS - 1);
        let best: Tensor<2, Int> = candidates.argmax(1) + 1;

        let index = best.clone().reshape([batch, 1, 1, 1]).expand([batch, 1, h, w]);
        let best_mask = self.masks.clone().gather(1, index);
        let best_iou = self.ious.clone().gather(1, best);

        let stable = is_stable(single.masks.clone().reshape([batch, h * w]), dynamic);
        let stable_mask = stable.clone().reshape([batch, 1, 1, 1]).expand([batch, 1, h, w]);
        SelectedMasks {
            masks: best_mask.mask_where(stable_mask, single.masks),
            ious: best_iou.mask_where(stable, single.ious),
        }
    }
}

/// `[b, pixels]` to `[b, 1]`. A mask without a pixel above `-delta` counts as stable.
fn is_stable(logits: Tensor<2>, dynamic: DynamicMultimask) -> Tensor<2, Bool> {
    let area = |threshold: f32| logits.clone().greater_elem(threshold).float().sum_dim(1);
    let inside = area(dynamic.stability_delta);
    let union = area(-dynamic.stability_delta);
    // As a product, so that an empty union needs no case of its own: 0 >= 0.
    inside.greater_equal(union * dynamic.stability_thresh)
}
