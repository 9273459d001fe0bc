//! Filling of small holes in a mask's logits (`sam2.utils.misc.fill_holes_in_mask_scores`).

/// What a hole's logits become: just on the object.
const FILLED: f32 = 0.1;

/// Fills every background region (logits of 0 or less, joined at edges or corners) of at most `max_area` pixels,
/// in place. `logits` are rows of `width`.
pub fn fill_holes(logits: &mut [f32], width: usize, max_area: usize) {
    let mut seen = vec![false; logits.len()];
    let (mut region, mut open) = (Vec::new(), Vec::new());
    for start in 0..logits.len() {
        if seen[start] || logits[start] > 0.0 {
            continue;
        }
        region.clear();
        seen[start] = true;
        open.push(start);
        while let Some(at) = open.pop() {
            region.push(at);
            for next in neighbours(at, width, logits.len()) {
                if !seen[next] && logits[next] <= 0.0 {
                    seen[next] = true;
                    open.push(next);
                }
            }
        }
        if region.len() <= max_area {
            region.iter().for_each(|&at| logits[at] = FILLED);
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
}
