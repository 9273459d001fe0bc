//! Outlines as pycocotools fills them.

use sam2_predict::Rle;

use crate::mask::{check_places, of_runs};
use crate::{LabelsError, Ring, Size, fill_even_odd};

/// Outlines are rounded to fifths of a pixel.
const SCALE: f64 = 5.0;

/// Beyond it, in pixels, going along an outline step by step would take too long.
const FARTHEST: f64 = 131_072.0;

/// An outline's pixels as pycocotools has them, to the pixel: `rleFrPoly` of cocoapi's maskApi.c (Piotr Dollar and Tsung-Yi
/// Lin, Simplified BSD License). The outline is gone along in fifths of a pixel, and where it comes to the middle of a
/// column, the column changes.
///
/// # Errors
/// A point is much too far out. `label` is whose outline it is, for the message.
pub fn coco_polygon(ring: &Ring, size: Size, label: &str) -> Result<Rle, LabelsError> {
    if ring.iter().flatten().any(|value| value.abs() > FARTHEST) {
        check_places(ring, label)?;
        return Ok(fill_even_odd(&[vec![ring.clone()]], size));
    }
    let (width, height) = (size.width() as f64, size.height() as f64);
    let mut changes: Vec<usize> = Vec::new();
    let mut last: Option<[f64; 2]> = None;
    let mut visit = |u: f64, v: f64| {
        if let Some([last_u, last_v]) = last
            && last_u != u
        {
            let x = (u.min(last_u) + 0.5) / SCALE - 0.5;
            if x.fract() == 0.0 && x >= 0.0 && x < width {
                let y = (v.min(last_v) + 0.5) / SCALE - 0.5;
                changes.push((x * height + y.clamp(0.0, height).ceil()) as usize);
            }
        }
        last = Some([u, v]);
    };
    let points: Vec<[f64; 2]> = ring
        .iter()
        .map(|point| point.map(|value| (SCALE * value + 0.5).trunc()))
        .collect();
    for (&from, &to) in points.iter().zip(points.iter().cycle().skip(1)) {
        let (dx, dy) = ((to[0] - from[0]).abs(), (to[1] - from[1]).abs());
        // Drawn from the same end in both directions.
        let flip = (dx >= dy && from[0] > to[0]) || (dx < dy && from[1] > to[1]);
        let ([x0, y0], [x1, y1]) = if flip { (to, from) } else { (from, to) };
        let steps = dx.max(dy) as u64;
        for step in 0..=steps {
            let at = if flip { steps - step } else { step } as f64;
            match dx >= dy {
                true if dx == 0.0 => visit(x0 + at, (y0 + 0.5).trunc()),
                true => visit(x0 + at, (y0 + (y1 - y0) / dx * at + 0.5).trunc()),
                false => visit((x0 + (x1 - x0) / dy * at + 0.5).trunc(), y0 + at),
            }
        }
    }
    changes.push(size.width() * size.height());
    changes.sort_unstable();
    let runs = changes.chunks_exact(2).map(|ends| ends[0]..ends[1]);
    Ok(of_runs(size, runs.collect()))
}
