//! Masks as prompts.

use sam2_predict::Rle;

use super::runs;

/// What is fully on the object, or off it, as a logit (`SAM2Base._use_mask_as_output`: 20 times the mask, less 10).
const SURE: f32 = 10.0;

/// The mask as logits of a square of `side` x `side` that the picture is stretched to: by how much of each of its pixels
/// is set. This is the form of a mask in a prompt.
pub fn to_logits(mask: &Rle, side: usize) -> Vec<f32> {
    let (width, height) = (mask.width(), mask.height());
    let (across, down) = (side as f64 / width as f64, side as f64 / height as f64);
    let mut logits = vec![-SURE; side * side];
    for run in runs(mask) {
        for x in run.start / height..=(run.end - 1) / height {
            let (first, end) = (run.start.max(x * height), run.end.min((x + 1) * height));
            let (left, right) = (x as f64 * across, (x + 1) as f64 * across);
            let (top, bottom) = (
                (first - x * height) as f64 * down,
                (end - x * height) as f64 * down,
            );
            for row in squares(top, bottom, side) {
                let rise = overlap(row, top, bottom);
                for column in squares(left, right, side) {
                    let share = rise * overlap(column, left, right);
                    logits[row * side + column] += 2.0 * SURE * share as f32;
                }
            }
        }
    }
    logits
}

/// The rows or columns of the square that a stretch reaches into.
fn squares(from: f64, to: f64, side: usize) -> std::ops::Range<usize> {
    from.floor() as usize..(to.ceil() as usize).min(side)
}

/// How much of a row or column lies in a stretch.
fn overlap(square: usize, from: f64, to: f64) -> f64 {
    f64::min(square as f64 + 1.0, to) - f64::max(square as f64, from)
}
