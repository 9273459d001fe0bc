//! Parts of a network in which rows or windows do not see each other. A CPU takes some of them through the whole part
//! while they are in its cache; a GPU takes all at once.

use burn::tensor::Tensor;

use crate::Implementation;

/// `work` on a picture `[b, h, w, c]` whose windows of `window` x `window` pixels do not see each other; 0 is a single
/// window. It may be called for some rows of windows at a time, or for some windows, each a picture of its own.
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

/// `work` on a picture `[b, h, w, c]` whose pixels do not see each other. It may be called for several rows at a time,
/// from the top; their results lie below each other.
pub fn by_rows(
    implementation: &Implementation,
    x: Tensor<4>,
    work: impl Fn(Tensor<4>) -> Tensor<4> + Sync,
) -> Tensor<4> {
    implementation.by_rows(x, &work)
}
