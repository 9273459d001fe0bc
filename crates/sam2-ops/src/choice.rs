//! Which of the decoder's masks is given, chosen on the device, so that no logits cross before the choice is made.

use burn::tensor::Tensor;

use crate::Implementation;

/// When the single-mask token's mask may answer (`dynamic_multimask_via_stability`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stability {
    /// Stability compares the areas above `+delta` and above `-delta`, in logits.
    pub delta: f32,
    /// A mask is stable from this ratio on; one without a pixel above `-delta` is, too.
    pub threshold: f32,
}

/// What was chosen for each prompt.
#[derive(Clone, Debug)]
pub struct Choice {
    /// `[b, 2]`: the mask's number as a whole f32, and its predicted IoU.
    pub(crate) numbers_and_ious: Tensor<2>,
}

impl Choice {
    /// Predicted IoU of the chosen masks: `[b, 1]`.
    pub fn ious(&self) -> Tensor<2> {
        self.numbers_and_ious.clone().narrow(1, 1, 1)
    }
}

/// What stands in for values where the object is not there.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// `[b, 1]`: the object is there where it is positive.
    pub object_score_logits: Tensor<2>,
    /// `[q]`, value i modulo q for value i.
    pub instead: Tensor<1>,
}

/// Which of `masks` `[b, n, pixels]` answers each prompt, by their predicted `ious` `[b, n]`: the first one if it is
/// stable, where `stability` asks for that, else the best of the others (`MaskDecoder._dynamic_multimask_via_stability`).
pub fn choose(
    implementation: &Implementation,
    masks: Tensor<3>,
    ious: Tensor<2>,
    stability: Option<Stability>,
) -> Choice {
    implementation.choose(masks, ious, stability)
}

/// Of `values` `[b, n, p]` the chosen ones, or the first ones without a choice, `hidden` standing in where the object is
/// not there: `[b, p]`.
pub fn pick(
    implementation: &Implementation,
    values: Tensor<3>,
    choice: Option<&Choice>,
    hidden: Option<Hidden>,
) -> Tensor<2> {
    implementation.pick(values, choice, hidden)
}
