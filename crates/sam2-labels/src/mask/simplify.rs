//! Outlines with fewer points.

use super::{Polygon, Ring};

/// Exact outlines without their stairs: where an edge is one pixel long, its corners give way to the middles of it and of
/// its neighbours. No corner is farther than half a pixel from what takes its place, and the same pixels' middles are inside.
pub fn without_stairs(polygons: &[Polygon]) -> Vec<Polygon> {
    let smooth = |rings: &Polygon| rings.iter().map(|ring| smooth_ring(ring)).collect();
    polygons.iter().map(smooth).collect()
}

fn smooth_ring(ring: &[[f64; 2]]) -> Ring {
    let count = ring.len();
    let at = |i: usize| ring[i % count];
    let is_step = |i: usize| {
        let ([x0, y0], [x1, y1]) = (at(i), at(i + 1));
        (x1 - x0).abs() + (y1 - y0).abs() == 1.0
    };
    let mut smooth = Ring::new();
    for i in 0..count {
        let ([x0, y0], [x1, y1]) = (at(i), at(i + 1));
        let (before, here, after) = (is_step(i + count - 1), is_step(i), is_step(i + 1));
        if !here && !before {
            smooth.push([x0, y0]);
        }
        if here || before || after {
            smooth.push([(x0 + x1) / 2.0, (y0 + y1) / 2.0]);
        }
    }
    smooth
}

/// The polygons with fewer points: what is left out lies within `tolerance` of what stays (Ramer, Douglas and Peucker). A
/// ring has an area, and keeps one: where two points would be left, half of the tolerance counts.
pub fn simplify(polygons: &[Polygon], tolerance: f64) -> Vec<Polygon> {
    let simple = |rings: &Polygon| rings.iter().map(|ring| simplify_ring(ring, tolerance)).collect();
    polygons.iter().map(simple).collect()
}

fn simplify_ring(ring: &Ring, mut tolerance: f64) -> Ring {
    // The ring is cut at two places that stay: the first point, which is a corner, and the one farthest from it.
    let (far, _) = farthest(ring, 0, 0, ring.len());
    loop {
        let mut kept = vec![false; ring.len()];
        kept[0] = true;
        kept[far] = true;
        let mut open = vec![(0, far), (far, ring.len())];
        while let Some((from, to)) = open.pop() {
            let (index, distance) = farthest(ring, from, to % ring.len(), to);
            if distance > tolerance {
                kept[index] = true;
                open.extend([(from, index), (index, to)]);
            }
        }
        let simple: Ring = ring
            .iter()
            .zip(kept)
            .filter_map(|(point, kept)| kept.then_some(*point))
            .collect();
        if simple.len() >= 3 {
            return simple;
        }
        tolerance /= 2.0;
    }
}

/// Of the points after `from` and before `end`, the farthest from the segment between the points `from` and `to`, and how
/// far it is.
fn farthest(ring: &[[f64; 2]], from: usize, to: usize, end: usize) -> (usize, f64) {
    let ([x0, y0], [x1, y1]) = (ring[from], ring[to]);
    let (dx, dy) = (x1 - x0, y1 - y0);
    let length = dx * dx + dy * dy;
    let (mut index, mut square) = (from, -1.0);
    for (i, &[x, y]) in ring.iter().enumerate().take(end).skip(from + 1) {
        let along = match length > 0.0 {
            true => (((x - x0) * dx + (y - y0) * dy) / length).clamp(0.0, 1.0),
            false => 0.0,
        };
        let (ex, ey) = (x - x0 - along * dx, y - y0 - along * dy);
        if ex * ex + ey * ey > square {
            (index, square) = (i, ex * ex + ey * ey);
        }
    }
    (index, f64::max(square, 0.0).sqrt())
}
