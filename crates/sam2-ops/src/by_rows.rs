//! Parts of a network that compute each row, or each window, of a picture independently. A CPU takes a few rows or
//! windows at a time through the whole part, so that they stay in its cache. A GPU takes all at once.

use burn::tensor::Tensor;

use crate::Implementation;

/// Applies `work` to a picture `[b, h, w, c]`. `work` must compute windows of `window` x `window` pixels independently
/// of each other; 0 is a single window. It may be called with several rows of windows at a time, or with several
/// windows as a batch of pictures.
pub fn by_windows(
    implementation: &Implementation,
    x: Tensor<4>,
    window: usize,
    work: impl Fn(Tensor<4>) -> Tensor<4> + Sync,
) -> Tensor<4> {
    match window {
        0 => work(x),
        window => implementation.by_windows(x, window, &work),
    }
}

/// Applies `work` to a picture `[b, h, w, c]`. `work` must compute pixels independently of each other. It may be called
/// with several rows at a time, from the top; the results are concatenated.
pub fn by_rows(
    implementation: &Implementation,
    x: Tensor<4>,
    work: impl Fn(Tensor<4>) -> Tensor<4> + Sync,
) -> Tensor<4> {
    implementation.by_rows(x, &work)
}
