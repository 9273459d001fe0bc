//! Small holes and islands of a mask's logits: filled, and taken away.

/// What a hole's logits become in a video: just on the object (`sam2.utils.misc.fill_holes_in_mask_scores`).
const FILLED: f32 = 0.1;

/// How far on, or off, the object the logits of a picture's small regions become (`SAM2Transforms.postprocess_masks`).
const CLEANED: f32 = 10.0;

/// Which small regions of a picture's mask are changed, in pixels of its low resolution. By default none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleanup {
    /// Holes of at most so many pixels are filled.
    pub max_hole_area: usize,
    /// Islands of at most so many pixels are taken away.
    pub max_sprinkle_area: usize,
}

impl Cleanup {
    /// `logits` with small regions changed, as the official predictor changes them; `width` is of their rows.
    pub(crate) fn apply(self, logits: &[f32], width: usize) -> Vec<f32> {
        let mut cleaned = logits.to_vec();
        let mut set = |region: &[usize], to: f32| region.iter().for_each(|&at| cleaned[at] = to);
        // Both are regions of the mask as it was: an island in a hole that is filled goes all the same.
        if self.max_hole_area > 0 {
            for_small_regions(logits, width, false, self.max_hole_area, |region| {
                set(region, CLEANED)
            });
        }
        if self.max_sprinkle_area > 0 {
            for_small_regions(logits, width, true, self.max_sprinkle_area, |region| {
                set(region, -CLEANED)
            });
        }
        cleaned
    }
}

/// Fills every background region (logits of 0 or less, joined at edges or corners) of at most `max_area` pixels,
/// in place. `logits` are rows of `width`.
pub fn fill_holes(logits: &mut [f32], width: usize, max_area: usize) {
    let mut holes = Vec::new();
    for_small_regions(logits, width, false, max_area, |region| {
        holes.extend_from_slice(region)
    });
    holes.into_iter().for_each(|at| logits[at] = FILLED);
}

/// Gives each region of at most `max_area` pixels that are all on the object, or all off it, joined at edges or corners.
fn for_small_regions(
    logits: &[f32],
    width: usize,
    on: bool,
    max_area: usize,
    mut found: impl FnMut(&[usize]),
) {
    let inside = |at: usize| (logits[at] > 0.0) == on;
    let mut seen = vec![false; logits.len()];
    let (mut region, mut open) = (Vec::new(), Vec::new());
    for start in 0..logits.len() {
        if seen[start] || !inside(start) {
            continue;
        }
        region.clear();
        seen[start] = true;
        open.push(start);
        while let Some(at) = open.pop() {
            region.push(at);
            for next in neighbours(at, width, logits.len()) {
                if !seen[next] && inside(next) {
                    seen[next] = true;
                    open.push(next);
                }
            }
        }
        if region.len() <= max_area {
            found(&region);
        }
    }
}

/// Up to eight, inside the picture.
fn neighbours(at: usize, width: usize, count: usize) -> impl Iterator<Item = usize> {
    let (x, y, height) = (at % width, at / width, count / width);
    let rows = y.saturating_sub(1)..(y + 2).min(height);
    rows.flat_map(move |y| (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| y * width + x))
        .filter(move |&next| next != at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_joined_at_a_corner_are_one() {
        #[rustfmt::skip]
        let mask = [
            1.0,  1.0,  1.0, 1.0,
            1.0, -1.0,  1.0, 1.0,
            1.0,  1.0, -1.0, 1.0,
            0.0,  1.0,  1.0, 1.0,
        ];
        let mut filled = mask;
        fill_holes(&mut filled, 4, 1);
        assert_eq!((filled[5], filled[10], filled[12]), (-1.0, -1.0, FILLED));
        fill_holes(&mut filled, 4, 2);
        assert!(filled.iter().all(|logit| *logit > 0.0));
    }

    #[test]
    fn small_holes_are_filled_and_small_islands_go_both_of_the_mask_as_it_was() {
        #[rustfmt::skip]
        let mask = [
            3.0,  3.0,  3.0,  3.0,  3.0, -2.0,
            3.0, -1.0, -1.0, -1.0,  3.0, -2.0,
            3.0, -1.0,  0.5, -1.0,  3.0, -2.0,
            3.0, -1.0, -1.0, -1.0,  3.0, -2.0,
            3.0,  3.0,  3.0,  3.0,  3.0, -2.0,
        ];
        let with = |max_hole_area, max_sprinkle_area| {
            let cleanup = Cleanup {
                max_hole_area,
                max_sprinkle_area,
            };
            cleanup.apply(&mask, 6)
        };
        assert_eq!(with(0, 0), mask);
        assert_eq!(with(7, 0), {
            let mut expected = mask;
            // The background's edge of 5 pixels is a hole too.
            (0..5).for_each(|row| expected[row * 6 + 5] = 10.0);
            expected
        });
        let both = with(8, 1);
        assert_eq!((both[7], both[14], both[2 * 6]), (10.0, -10.0, 3.0));
        assert_eq!(with(0, 1)[14], -10.0);
        assert_eq!(with(0, 1)[7], -1.0);
    }
}
