//! The exact outlines of a mask.

use sam2_predict::Rle;

use super::{Part, Polygon, Ring};

/// The outlines of a mask along its pixels' edges: corners only, exact, the mask on the left as one looks at the picture
/// (outlines go counterclockwise, holes clockwise). Pixels that touch at a corner only are not joined, and no ring comes to
/// the same place twice.
///
/// Every end of a run is a vertical edge, one pixel long. Between two rows the corners of these edges follow one another
/// from left to right, and between every second two of them runs a horizontal edge: so all corners are linked in pairs, and
/// the rings are the ways along the links.
pub fn outlines(mask: &Rle) -> Vec<Polygon> {
    let runs = RowRuns::of(mask);
    let mut tracing = Tracing::new(&runs);
    let mut polygons: Vec<Polygon> = Vec::new();
    for y in 0..runs.rows() {
        for end in runs.ends_of(y) {
            if tracing.polygon_of[end].is_some() {
                continue;
            }
            // A ring's first edge in reading order is the left end of a run if it is an outline; if it is a hole, the
            // right end of the run before the hole, whose left end has been seen.
            if end % 2 == 0 {
                let rings = tracing.trace(2 * end + LOWER, y + 1, polygons.len());
                polygons.push(rings);
            } else if let Some(polygon) = tracing.polygon_of[end - 1] {
                let rings = tracing.trace(2 * end + UPPER, y, polygon);
                polygons[polygon].extend(rings);
            }
        }
    }
    polygons
}

/// Of an end of a run: its upper or lower corner. A corner's number is 2 * end + side.
const UPPER: usize = 0;
const LOWER: usize = 1;

/// A mask's runs along its rows, as far as there are any.
struct RowRuns {
    /// The picture's row that is the first here.
    top: usize,
    /// Columns: run `i` goes from `ends[2 * i]` up to, but without, `ends[2 * i + 1]`.
    ends: Vec<usize>,
    /// Where each row's ends begin, and the end of the last one's.
    row_start: Vec<usize>,
}

impl RowRuns {
    fn of(mask: &Rle) -> Self {
        let part = Part::of(mask);
        let (left, top) = (part.columns.start, part.rows.start);
        let (mut ends, mut row_start) = (Vec::new(), vec![0]);
        for y in part.rows.clone() {
            let mut before = 0;
            for (x, &pixel) in part.row(y).iter().chain([&0]).enumerate() {
                if pixel != before {
                    ends.push(left + x);
                    before = pixel;
                }
            }
            row_start.push(ends.len());
        }
        Self { top, ends, row_start }
    }

    fn rows(&self) -> usize {
        self.row_start.len() - 1
    }

    fn ends_of(&self, row: usize) -> std::ops::Range<usize> {
        self.row_start[row]..self.row_start[row + 1]
    }
}

struct Tracing<'a> {
    runs: &'a RowRuns,
    /// Each corner's partner.
    links: Vec<usize>,
    /// Where two pixels touch at a corner only, the corner of the other one there.
    twins: Vec<Option<usize>>,
    /// Of each end, the polygon that it bounds.
    polygon_of: Vec<Option<usize>>,
    /// Of each corner that has a twin, its place in the way that came there last.
    place_of: Vec<usize>,
}

impl<'a> Tracing<'a> {
    fn new(runs: &'a RowRuns) -> Self {
        let corners = 2 * runs.ends.len();
        let mut tracing = Self {
            runs,
            links: vec![0; corners],
            twins: vec![None; corners],
            polygon_of: vec![None; runs.ends.len()],
            place_of: vec![0; corners],
        };
        tracing.link_corners();
        tracing
    }

    fn link_corners(&mut self) {
        let ends = &self.runs.ends;
        let mut open: Option<usize> = None;
        for line in 0..=self.runs.rows() {
            // The lower corners of the row above, and the upper ones of the row below, from left to right.
            let row = |row: Option<usize>| match row.filter(|row| *row < self.runs.rows()) {
                Some(row) => self.runs.ends_of(row),
                None => 0..0,
            };
            let (mut above, mut below) = (row(line.checked_sub(1)).peekable(), row(Some(line)).peekable());
            loop {
                let corner = match (above.peek().copied(), below.peek().copied()) {
                    (None, None) => break,
                    (Some(a), b) => {
                        let touch = b.filter(|&b| ends[a] == ends[b] && a % 2 != b % 2);
                        if let Some(b) = touch {
                            self.twins[2 * a + LOWER] = Some(2 * b + UPPER);
                            self.twins[2 * b + UPPER] = Some(2 * a + LOWER);
                        }
                        // Where a run ends and another begins, its end comes first: that keeps the two pixels apart.
                        let first = |b: usize| ends[a] < ends[b] || (ends[a] == ends[b] && a % 2 == 1);
                        match b.filter(|&b| !first(b)) {
                            Some(b) => {
                                below.next();
                                2 * b + UPPER
                            }
                            None => {
                                above.next();
                                2 * a + LOWER
                            }
                        }
                    }
                    (None, Some(b)) => {
                        below.next();
                        2 * b + UPPER
                    }
                };
                match open.take() {
                    None => open = Some(corner),
                    Some(partner) => {
                        self.links[partner] = corner;
                        self.links[corner] = partner;
                    }
                }
            }
        }
    }

    /// The ring that leaves by the corner, on the line between two rows; then what was a loop of it and is a ring of its
    /// own, since a ring that comes to a place twice is two rings there.
    fn trace(&mut self, start: usize, start_line: usize, polygon: usize) -> Vec<Ring> {
        let ends = &self.runs.ends;
        let (mut way, mut corners, mut loops): (Ring, Vec<usize>, Vec<Ring>) = (vec![], vec![], vec![]);
        let (mut corner, mut line) = (start, start_line);
        loop {
            self.polygon_of[corner / 2] = Some(polygon);
            let linked = self.links[corner];
            if ends[corner / 2] != ends[linked / 2] {
                for visited in [corner, linked] {
                    if let Some(twin) = self.twins[visited] {
                        let before = self.place_of[twin];
                        if corners.get(before) == Some(&twin) {
                            loops.push(way.split_off(before));
                            corners.truncate(before);
                        }
                        self.place_of[visited] = way.len();
                    }
                    way.push([ends[visited / 2] as f64, (self.runs.top + line) as f64]);
                    corners.push(visited);
                }
            }
            corner = linked ^ 1; // along the edge, to its other corner
            line = if corner % 2 == LOWER { line + 1 } else { line - 1 };
            if corner == start {
                break;
            }
        }
        loops.insert(0, way);
        loops
    }
}
