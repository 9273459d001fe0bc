//! The choice among the decoder's masks. It is made on the device, so that only the chosen masks are read back.

use burn::tensor::Tensor;

use crate::Implementation;

/// The test that decides whether the single-mask token's mask is used (`dynamic_multimask_via_stability`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stability {
    /// Stability compares the areas above `+delta` and above `-delta`, in logits.
    pub delta: f32,
    /// A mask is stable if the ratio of these areas is at least this, or if no pixel is above `-delta`.
    pub threshold: f32,
}

/// The mask that was chosen for each prompt.
#[derive(Clone, Debug)]
pub struct Choice {
    /// `[b, 2]`: the mask's index as an f32, and its predicted IoU.
    pub(crate) numbers_and_ious: Tensor<2>,
}

impl Choice {
    /// The predicted IoUs of the chosen masks: `[b, 1]`.
    pub fn ious(&self) -> Tensor<2> {
        self.numbers_and_ious.clone().narrow(1, 1, 1)
    }
}

/// The values that replace others if the object is not visible.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// `[b, 1]`: the object is visible if this is positive.
    pub object_score_logits: Tensor<2>,
    /// `[q]`: value i is replaced by this value i modulo q.
    pub instead: Tensor<1>,
}

/// Chooses one of `masks` `[b, n, pixels]` for each prompt. With `stability`, this is the first mask if it is stable
/// (`MaskDecoder._dynamic_multimask_via_stability`); otherwise, it is the one of the other masks with the highest
/// predicted IoU in `ious` `[b, n]`.
pub fn choose(
    implementation: &Implementation,
    masks: Tensor<3>,
    ious: Tensor<2>,
    stability: Option<Stability>,
) -> Choice {
    implementation.choose(masks, ious, stability)
}

/// Takes the chosen one of `values` `[b, n, p]` for each prompt, or the first one without a `choice`: `[b, p]`. With
/// `hidden`, the values of prompts whose object is not visible are replaced.
pub fn pick(
    implementation: &Implementation,
    values: Tensor<3>,
    choice: Option<&Choice>,
    hidden: Option<Hidden>,
) -> Tensor<2> {
    implementation.pick(values, choice, hidden)
}
