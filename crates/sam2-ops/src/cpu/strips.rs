//! Strips of a picture, each taken through several layers while it is in the cache.

use burn::tensor::Tensor;

use crate::by_rows::strips;
use crate::portable::{partition, unpartition};

/// The approximate number of tokens of a strip.
const TOKENS: usize = 1024;

/// [`crate::by_windows`].
pub fn by_windows(x: Tensor<4>, window: usize, work: &(dyn Fn(Tensor<4>) -> Tensor<4> + Sync)) -> Tensor<4> {
    let [_, h, w, _] = x.dims();
    let windows = (TOKENS / (window * w).max(1)).max(1);
    if !h.is_multiple_of(window) || !w.is_multiple_of(window) {
        return by_strips(x, windows * window, work);
    }
    // Each window becomes a separate picture, so that attention need not copy windows out of queries, keys and values.
    by_strips(x, windows * window, &|strip: Tensor<4>| {
        let [b, h, w, _] = strip.dims();
        let answers = work(partition(strip, [window, window]));
        unpartition(answers, [b, h / window, w / window])
    })
}

/// [`crate::by_rows`]. A picture that is only a little larger than a strip, such as a strip of [`by_windows`], is not
/// divided.
pub fn by_rows(x: Tensor<4>, work: &(dyn Fn(Tensor<4>) -> Tensor<4> + Sync)) -> Tensor<4> {
    let [_, h, w, _] = x.dims();
    if h * w <= 2 * TOKENS {
        return work(x);
    }
    by_strips(x, TOKENS.div_ceil(w), work)
}

/// Applies `work` to `rows` rows at a time, and to several such strips in parallel if there are threads.
fn by_strips(x: Tensor<4>, rows: usize, work: &(dyn Fn(Tensor<4>) -> Tensor<4> + Sync)) -> Tensor<4> {
    let [_, h, _, _] = x.dims();
    if rows >= h {
        return work(x);
    }
    let strips = strips(x, rows);
    #[cfg(feature = "rayon")]
    let answers = {
        use rayon::prelude::*;
        strips.collect::<Vec<_>>().into_par_iter().map(work).collect()
    };
    #[cfg(not(feature = "rayon"))]
    let answers = strips.map(work).collect();
    Tensor::cat(answers, 1)
}
