//! Of boxes that are nearly the same, only the best (`torchvision.ops.nms`).

/// Which of `boxes` (left, top, right, bottom) stay, by falling score, equal ones in their order. A box goes where its
/// IoU with one that stays is over `iou_threshold`. A box of no area has an IoU of 0, or of 0 / 0, and stays.
pub fn nms(boxes: &[[f32; 4]], scores: &[f32], iou_threshold: f64) -> Vec<usize> {
    let area = |b: &[f32; 4]| (b[2] - b[0]) * (b[3] - b[1]);
    let is_same = |a: &[f32; 4], b: &[f32; 4]| {
        let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
        let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
        let both = width * height;
        f64::from(both / (area(a) + area(b) - both)) > iou_threshold
    };
    // As numbers that rise as the scores fall, their places in the lower half.
    let mut order: Vec<u64> = scores
        .iter()
        .enumerate()
        .map(|(at, score)| {
            let bits = score.to_bits();
            let rising = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
            u64::from(!rising) << 32 | at as u64
        })
        .collect();
    order.sort_unstable();
    let mut kept: Vec<usize> = Vec::new();
    for at in order.into_iter().map(|key| key as u32 as usize) {
        if !kept.iter().any(|&better| is_same(&boxes[better], &boxes[at])) {
            kept.push(at);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_like_boxes_stays() {
        let boxes = [
            [0.0, 0.0, 10.0, 10.0],
            [0.0, 0.0, 10.0, 9.0],
            [50.0, 50.0, 60.0, 60.0],
            [3.0, 3.0, 3.0, 3.0],
            [3.0, 3.0, 3.0, 3.0],
        ];
        let scores = [0.5, 0.6, 0.5, 0.7, 0.7];
        assert_eq!(nms(&boxes, &scores, 0.7), [3, 4, 1, 2]);
        assert_eq!(nms(&boxes, &scores, 0.95), [3, 4, 1, 0, 2]);
        assert_eq!(nms(&[], &[], 0.7), [0usize; 0]);
        let apart = [0.0, 1.0, 2.0, 3.0].map(|x| [x, 0.0, x + 0.5, 1.0]);
        assert_eq!(nms(&apart, &[-1.0, 0.0, f32::INFINITY, -2.0], 0.7), [2, 1, 0, 3]);
    }
}
