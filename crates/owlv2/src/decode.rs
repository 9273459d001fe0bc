//! The network's boxes to those of the picture (`post_process_object_detection`).

/// A patch's box with the label that fits it best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PatchBox {
    /// The index of the patch.
    pub patch: usize,
    /// The index of the query.
    pub label: usize,
    /// From 0 to 1.
    pub score: f32,
    /// Left, top, right and bottom in pixels of the picture. They may be beyond its edges.
    pub edges: [f32; 4],
}

/// The number of the query with the highest logit, and that logit, of each row of `logits` `[n, queries]`: -∞ for a row without
/// a number.
pub fn best_labels(logits: &[f32], queries: usize) -> impl Iterator<Item = (usize, f32)> {
    logits.chunks_exact(queries.max(1)).map(|row| {
        let first = (0, f32::NEG_INFINITY);
        row.iter().enumerate().fold(
            first,
            |best, (label, &logit)| {
                if logit > best.1 { (label, logit) } else { best }
            },
        )
    })
}

/// The boxes of the patches whose score, the sigmoid of the highest logit, is above `threshold`. `best` is [`best_labels`],
/// `boxes` is `[n, 4]` of [`crate::Features::boxes`], and the picture has `[height, width]` pixels.
pub fn decode(
    best: impl IntoIterator<Item = (usize, f32)>,
    boxes: &[f32],
    [height, width]: [usize; 2],
    threshold: f32,
) -> Vec<PatchBox> {
    let square = height.max(width) as f32;
    let rows = best.into_iter().zip(boxes.as_chunks::<4>().0);
    rows.enumerate()
        .filter_map(|(patch, ((label, logit), &[x, y, w, h]))| {
            let score = 1.0 / (1.0 + (-logit).exp());
            let edges = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0].map(|edge| edge * square);
            (score > threshold).then_some(PatchBox {
                patch,
                label,
                score,
                edges,
            })
        })
        .collect()
}
