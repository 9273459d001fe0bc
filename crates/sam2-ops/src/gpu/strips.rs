//! Work that is done in parts, because its tensors would be larger than the device's buffers.

use burn::tensor::Tensor;

use crate::by_rows::strips;

/// The number of rows of `width` f32 values that a tensor of `largest` bytes can have.
pub fn rows_in(largest: u64, width: usize) -> usize {
    let row = (width * size_of::<f32>()) as u64;
    usize::try_from(largest / row.max(1)).unwrap_or(usize::MAX)
}

/// The number of rows, of `rows`, to compute at a time if at most `most` fit: a multiple of `step`, at least one step, and
/// such that the parts are of about the same size.
pub fn rows_at_once(rows: usize, most: usize, step: usize) -> usize {
    let most = (most / step * step).max(step);
    let times = rows.div_ceil(most).max(1);
    rows.div_ceil(times).next_multiple_of(step)
}

/// [`crate::by_windows`] with as many rows of windows at a time as keep each tensor within `largest` bytes, but at least
/// one.
pub fn by_windows(
    largest: u64,
    x: Tensor<4>,
    window: usize,
    widest: usize,
    work: &(dyn Fn(Tensor<4>) -> Tensor<4> + Sync),
) -> Tensor<4> {
    let [b, h, w, _] = x.dims();
    let rows = rows_at_once(h, rows_in(largest, b * w * widest), window);
    match rows >= h {
        true => work(x),
        false => Tensor::cat(strips(x, rows).map(work).collect(), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit_and_parts_are_alike() {
        // `large` at 1024 pixels, the first block of its second stage: queries, keys and values.
        let most = rows_in(128 << 20, 256 * 864);
        assert_eq!(most, 151);
        assert_eq!(rows_at_once(256, most, 8), 128);
        // One part if all rows fit, otherwise whole rows of windows.
        assert_eq!(rows_at_once(256, 256, 8), 256);
        assert_eq!(rows_at_once(250, 255, 8), 128);
        assert_eq!(rows_at_once(256, 255, 8), 128);
        assert_eq!(rows_at_once(256, 100, 14), 98);
        assert_eq!(rows_at_once(256, 3, 8), 8);
        assert_eq!(rows_at_once(0, 3, 1), 0);
        assert_eq!(rows_in(u64::MAX, 0), usize::MAX);
    }
}
