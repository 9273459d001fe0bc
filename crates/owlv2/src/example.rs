//! The embedding of an example, with which objects like it are found.

/// The patch that is most likely an object (`embed_image_query`), of logits `[n]`. 0 if there is none.
pub fn most_object_like(objectness: &[f32]) -> usize {
    let first = (0, f32::NEG_INFINITY);
    let best = objectness.iter().enumerate().fold(
        first,
        |best, (i, &logit)| {
            if logit > best.1 { (i, logit) } else { best }
        },
    );
    best.0
}

/// The patch whose embedding stands for the object in `wanted`: of the patches whose boxes overlap it nearly as well as
/// the best (at least 0.8 of its IoU), the one whose embedding is the least like the mean of all, which is mostly the
/// background's (OWL-ViT's `embed_image_query`, section 3.3 of "Simple Open-Vocabulary Object Detection"). If no box
/// overlaps it, the generalised IoU counts.
///
/// `boxes` is `[n, 4]`, as centre x and y, width and height; `embeds` is `[n, d]`; `wanted` is left, top, right, bottom in
/// the same unit as the boxes. `None` if there is no patch.
pub fn like_box(boxes: &[f32], embeds: &[f32], wanted: [f32; 4]) -> Option<usize> {
    let (boxes, _) = boxes.as_chunks::<4>();
    let d = embeds.len().checked_div(boxes.len()).filter(|&d| d > 0)?;
    let corners = boxes
        .iter()
        .map(|&[x, y, w, h]| [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]);
    let (mut ious, generalised): (Vec<f32>, Vec<f32>) = corners.map(|edges| overlap(edges, wanted)).unzip();
    if ious.iter().all(|&iou| iou == 0.0) {
        ious = generalised;
    }
    let best = ious.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut mean = vec![0.0; d];
    for embed in embeds.chunks_exact(d) {
        for (mean, x) in mean.iter_mut().zip(embed) {
            *mean += x / boxes.len() as f32;
        }
    }
    let likeness = |embed: &[f32]| -> f32 { embed.iter().zip(&mean).map(|(x, mean)| x * mean).sum() };
    let near = ious.iter().zip(embeds.chunks_exact(d)).enumerate();
    // The generalised IoU may be negative, and 0.8 of it nearer to 0 than the best.
    near.filter(|(_, (iou, _))| **iou >= (best * 0.8).min(best))
        .map(|(i, (_, embed))| (i, likeness(embed)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(i, _)| i)
}

/// The IoU of two boxes, and the generalised IoU, which is negative for boxes that are apart.
fn overlap(a: [f32; 4], b: [f32; 4]) -> (f32, f32) {
    let area = |[x0, y0, x1, y1]: [f32; 4]| (x1 - x0).max(0.0) * (y1 - y0).max(0.0);
    let inner = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let hull = area([a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]);
    let union = area(a) + area(b) - inner;
    let iou = if union > 0.0 { inner / union } else { 0.0 };
    let beyond = if hull > 0.0 { (hull - union) / hull } else { 0.0 };
    (iou, iou - beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_common_of_the_boxes_that_fit_is_the_example() {
        // Three boxes on the object, the last of which fits badly, and one elsewhere.
        let boxes = [
            [0.5, 0.5, 0.2, 0.2],
            [0.5, 0.5, 0.21, 0.2],
            [0.5, 0.5, 0.6, 0.6],
            [0.1, 0.1, 0.1, 0.1],
        ];
        let embeds = [[1.0, 0.5], [0.2, 1.0], [-1.0, 0.0], [1.0, 0.0]];
        let (boxes, embeds) = (boxes.as_flattened(), embeds.as_flattened());
        assert_eq!(like_box(boxes, embeds, [0.4, 0.4, 0.6, 0.6]), Some(1));
        // Nothing overlaps this, which lies just below the last box: generalised IoUs of -0.14, and -0.23 for the third.
        assert_eq!(like_box(boxes, embeds, [0.06, 0.16, 0.14, 0.24]), Some(3));
        assert_eq!(like_box(&[], &[], [0.0; 4]), None);
        assert_eq!(most_object_like(&[-3.0, -1.0, -2.0]), 1);
    }
}
