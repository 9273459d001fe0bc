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
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut kept: Vec<usize> = Vec::new();
    for at in order {
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
    }
}
