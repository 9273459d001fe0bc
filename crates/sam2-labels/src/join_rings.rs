//! Polygons with holes as one ring.

use crate::{Polygon, Ring};

/// Polygons with holes as one ring, for formats that have no more: from each ring to the next nearest a line goes there
/// and back, which encloses nothing, so that filled it is the same. None for no polygons.
pub fn join_rings(polygons: &[Polygon]) -> Option<Ring> {
    let mut rings = polygons.iter().flatten();
    let mut joined = rings.next()?.clone();
    for ring in rings {
        let [x0, y0] = ring[0];
        let distance = |&[x, y]: &[f64; 2]| (x - x0).powi(2) + (y - y0).powi(2);
        let nearest = (0..joined.len())
            .min_by(|&a, &b| distance(&joined[a]).total_cmp(&distance(&joined[b])))
            .unwrap_or(0);
        let way = ring.iter().chain([&ring[0], &joined[nearest]]).copied();
        let way: Ring = way.collect();
        joined.splice(nearest + 1..nearest + 1, way);
    }
    Some(joined)
}
