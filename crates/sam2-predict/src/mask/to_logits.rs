//! Masks as prompts.

use std::ops::Range;

use super::Mask;
use super::bits::row_runs;

/// The logit of what is fully on the object, and minus that of what is not on it (`SAM2Base._use_mask_as_output`: 20 times
/// the mask, less 10).
const SURE: f32 = 10.0;

impl Mask {
    /// A part of the mask (left, top, right, bottom in pixels, the last two exclusive) as logits of a square of `side` x
    /// `side` that the part is stretched to: by how much of each of its cells is set. This is the form of a mask in a prompt.
    ///
    /// # Panics
    /// If the part or `side` is empty.
    pub fn to_logits(&self, [left, top, right, bottom]: [usize; 4], side: usize) -> Vec<f32> {
        assert!(left < right && top < bottom && side > 0, "an empty part");
        let across = side as f64 / (right - left) as f64;
        let down = side as f64 / (bottom - top) as f64;
        let mut logits = vec![-SURE; side * side];
        let rows = row_runs(self.bits(), self.width()).filter(|(y, _)| (top..bottom).contains(y));
        for (y, run) in rows {
            let (from, end) = (run.start.max(left), run.end.min(right));
            if from >= end {
                continue;
            }
            let columns = stretch(from - left..end - left, across);
            let rows = stretch(y - top..y - top + 1, down);
            for row in cells(&rows, side) {
                let rise = overlap(row, &rows);
                for column in cells(&columns, side) {
                    let share = rise * overlap(column, &columns);
                    logits[row * side + column] += 2.0 * SURE * share as f32;
                }
            }
        }
        logits
    }
}

fn stretch(pixels: Range<usize>, scale: f64) -> Range<f64> {
    pixels.start as f64 * scale..pixels.end as f64 * scale
}

/// The rows or columns of the square that a stretch reaches into.
fn cells(stretch: &Range<f64>, side: usize) -> Range<usize> {
    stretch.start.floor() as usize..(stretch.end.ceil() as usize).min(side)
}

/// How much of a row or column lies in a stretch.
fn overlap(cell: usize, stretch: &Range<f64>) -> f64 {
    f64::min(cell as f64 + 1.0, stretch.end) - f64::max(cell as f64, stretch.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask_where(width: usize, height: usize, inside: impl Fn(usize, usize) -> bool) -> Mask {
        let mut bits = vec![0u8; (width * height).div_ceil(8)];
        for i in 0..width * height {
            bits[i >> 3] |= u8::from(inside(i % width, i / width)) << (i & 7);
        }
        Mask::new(bits, width, height).expect("as many bits as pixels")
    }

    #[test]
    fn a_logit_is_by_how_much_of_its_cell_is_set() {
        let mask = mask_where(4, 2, |x, y| [0b1011, 0b0001][y] >> x & 1 == 1);
        assert_eq!(mask.to_logits([0, 0, 4, 2], 2), [10.0, 0.0, 0.0, -10.0]);
        for (width, height) in [(1, 1), (1, 9), (9, 1), (7, 5), (13, 11), (37, 29)] {
            let mask = mask_where(width, height, |x, y| (x * 7 + y * 5) % 9 < 4);
            let share = mask.area() as f64 / (width * height) as f64;
            for side in [1, 5, 16, 40] {
                let logits = mask.to_logits([0, 0, width, height], side);
                let mean = logits.iter().map(|logit| f64::from(*logit)).sum::<f64>() / (side * side) as f64;
                assert!(
                    (mean - (20.0 * share - 10.0)).abs() < 1e-4,
                    "{width}x{height} to {side}: {mean}"
                );
                assert!(logits.iter().all(|logit| (-10.0001..=10.0001).contains(logit)));
            }
        }
    }

    #[test]
    fn a_part_is_as_a_mask_of_its_own() {
        let inside = |x: usize, y: usize| (x * 5 + y * 3) % 4 > 1;
        let [left, top, right, bottom] = [3, 2, 12, 6];
        let part = mask_where(right - left, bottom - top, |x, y| inside(x + left, y + top));
        assert_eq!(
            mask_where(13, 7, inside).to_logits([left, top, right, bottom], 8),
            part.to_logits([0, 0, 9, 4], 8)
        );
    }
}
