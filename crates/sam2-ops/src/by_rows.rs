//! Parts of a network that compute each row, or each window, of a picture independently. A CPU takes a few rows or
//! windows at a time through the whole part, so that they stay in its cache. A GPU takes all at once, or as many rows of
//! windows as its buffers hold.

use burn::tensor::Tensor;

use crate::Implementation;

/// Applies `work` to a picture `[b, h, w, c]`. `work` must compute windows of `window` x `window` pixels independently
/// of each other; 0 is a single window. It may be called with several rows of windows at a time, or with several
/// windows as a batch of pictures. `widest` is the largest number of values per pixel of `x` in a tensor that `work`
/// makes.
pub fn by_windows(
    implementation: &Implementation,
    x: Tensor<4>,
    window: usize,
    widest: usize,
    work: impl Fn(Tensor<4>) -> Tensor<4> + Sync,
) -> Tensor<4> {
    match window {
        0 => work(x),
        window => implementation.by_windows(x, window, widest, &work),
    }
}

/// Splits a picture `[b, h, w, c]` into strips of `rows` rows, from the top. The last strip may have fewer.
pub(crate) fn strips(x: Tensor<4>, rows: usize) -> impl Iterator<Item = Tensor<4>> {
    let [_, h, _, _] = x.dims();
    (0..h)
        .step_by(rows)
        .map(move |first| x.clone().narrow(1, first, rows.min(h - first)))
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
