//! The pixels of polygons.

use sam2_predict::Rle;

use super::{Part, Polygon, Ring};
use crate::{LabelsError, Size};

/// In pixels; farther out, an outline's place in the picture is lost in rounding.
const FARTHEST: f64 = 2_147_483_648.0;

/// Outlines may lie over one another by so many pixels: a crossing that small is one of rounded numbers.
const SLACK: f64 = 0.01;

/// The pixels whose middle is in any of the polygons: inside an odd number of a polygon's rings, so that of overlaps every
/// second one is left out. Parts out of the picture are left out.
pub fn fill_even_odd(polygons: &[Polygon], size: Size) -> Rle {
    fill(polygons, size, false).unwrap_or_else(|| Part::empty(0..0, 0..0).to_mask(size))
}

/// The same; none where a ring crosses itself, or another of its polygon: where, along the middle of a row, a ring goes
/// round a stretch twice or both ways, or a hole lies out of its outline.
pub fn fill_uncrossed(polygons: &[Polygon], size: Size) -> Option<Rle> {
    fill(polygons, size, true)
}

/// # Errors
/// A point is not finite, or farther out than a picture can be. `label` is whose outline it is, for the message.
pub fn check_places(ring: &Ring, label: &str) -> Result<(), LabelsError> {
    let near = |point: &[f64; 2]| point.iter().all(|value| value.abs() <= FARTHEST);
    match ring.iter().position(|point| !near(point)) {
        None => Ok(()),
        Some(index) => Err(LabelsError::Mask {
            label: label.into(),
            reason: format!(
                "point {index} (counted from 0) of its outline is not two numbers, or farther out than 2^31 pixels"
            ),
        }),
    }
}

/// None only with `refuse_crossings`.
fn fill(polygons: &[Polygon], size: Size, refuse_crossings: bool) -> Option<Rle> {
    let points = || polygons.iter().flatten().flatten();
    let bounds = |axis: usize, size: usize| {
        let values = || points().map(|point| point[axis]);
        let first = pixel(values().fold(f64::INFINITY, f64::min), size);
        let end = pixel(values().fold(f64::NEG_INFINITY, f64::max), size);
        // A row's passings may be rounded out of it.
        first.saturating_sub(1)..(end + 1).min(size).max(first)
    };
    let mut part = Part::empty(bounds(0, size.width()), bounds(1, size.height()));
    for rings in polygons {
        let (top, mut rows) = passings(rings, size.height());
        let mut check = refuse_crossings.then(|| CrossingCheck::new(rings.len()));
        for (i, row) in rows.iter_mut().enumerate() {
            row.sort_by(|a, b| a.x.total_cmp(&b.x));
            for (at, stretch) in row.windows(2).enumerate() {
                let (passing, next) = (&stretch[0], &stretch[1]);
                if check.as_mut().is_some_and(|check| !check.pass(passing, next.x)) {
                    return None;
                }
                if at % 2 == 0 {
                    let columns = pixel(passing.x, size.width())..pixel(next.x, size.width());
                    part.set(top + i, columns);
                }
            }
            if let Some(check) = &mut check {
                check.end_row();
            }
        }
    }
    Some(part.to_mask(size))
}

/// The first row or column whose middle is at `place` or after it.
fn pixel(place: f64, size: usize) -> usize {
    (place - 0.5).ceil().clamp(0.0, size as f64) as usize
}

/// Where an outline passes the middle of a row.
struct Passing {
    x: f64,
    ring: usize,
    /// 1: downwards; -1: upwards.
    direction: i32,
}

/// Of the rows from the first on that there are any of.
fn passings(rings: &[Ring], height: usize) -> (usize, Vec<Vec<Passing>>) {
    let row_at = |y| pixel(y, height);
    let (mut top, mut bottom) = (height, 0);
    for [_, y] in rings.iter().flatten() {
        top = top.min(row_at(*y));
        bottom = bottom.max(row_at(*y));
    }
    let mut rows: Vec<Vec<Passing>> = (top..bottom).map(|_| Vec::new()).collect();
    for (ring, points) in rings.iter().enumerate() {
        let ends = points.iter().skip(1).chain(points.first());
        for (&from, &to) in points.iter().zip(ends) {
            let direction = if from[1] < to[1] { 1 } else { -1 };
            // From the upper end in both directions, so that an edge and its way back are at the same place.
            let ([x0, y0], [x1, y1]) = if direction == 1 { (from, to) } else { (to, from) };
            let slope = (x1 - x0) / (y1 - y0);
            for y in row_at(y0)..row_at(y1) {
                rows[y - top].push(Passing {
                    x: x0 + (y as f64 + 0.5 - y0) * slope,
                    ring,
                    direction,
                });
            }
        }
    }
    (top, rows)
}

/// Whether each ring goes once round what is inside of it, and one way only: that it does not cross itself. And whether
/// the holes, which are all rings but the first, are in the first and apart from one another.
struct CrossingCheck {
    /// How often each ring goes round the place where the row is now; its sign is the ring's way round.
    around: Vec<i32>,
    way: Vec<i32>,
    holes: i32,
    /// Rings that were passed since the last stretch wide enough to count.
    passed: Vec<usize>,
}

impl CrossingCheck {
    fn new(rings: usize) -> Self {
        Self {
            around: vec![0; rings],
            way: vec![0; rings],
            holes: 0,
            passed: Vec::new(),
        }
    }

    /// The stretch of a row from a passing to `end`; false where something crosses.
    fn pass(&mut self, passing: &Passing, end: f64) -> bool {
        let ring = passing.ring;
        let before = self.around[ring];
        let after = before + passing.direction;
        self.around[ring] = after;
        if ring > 0 {
            self.holes += i32::from(after != 0) - i32::from(before != 0);
        }
        self.passed.push(ring);
        if end - passing.x <= SLACK {
            return true;
        }
        for ring in self.passed.drain(..) {
            let around = self.around[ring];
            if around == 0 {
                continue;
            }
            if self.way[ring] == 0 {
                self.way[ring] = around;
            }
            if around != self.way[ring] || around.abs() > 1 {
                return false;
            }
        }
        self.holes <= i32::from(self.around[0] != 0)
    }

    fn end_row(&mut self) {
        self.around.fill(0);
        self.passed.clear();
        self.holes = 0;
    }
}
