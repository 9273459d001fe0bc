//! A mask's pixels, as far as there are any.

use std::ops::Range;

use sam2_predict::Rle;

use super::runs::{bounding_box, of_runs, runs};
use crate::Size;

/// The pixels of a part of a picture, a byte each, row by row: 1 is on the object. All that is outside of the part is not.
pub struct Part {
    pub columns: Range<usize>,
    pub rows: Range<usize>,
    pub pixels: Vec<u8>,
}

impl Part {
    /// Nothing is set.
    pub fn empty(columns: Range<usize>, rows: Range<usize>) -> Self {
        let pixels = vec![0; columns.len() * rows.len()];
        Self {
            columns,
            rows,
            pixels,
        }
    }

    /// The part where the mask is.
    pub fn of(mask: &Rle) -> Self {
        let [left, top, right, bottom] = bounding_box(mask).unwrap_or([1, 1, 0, 0]);
        let mut part = Self::empty(left..right + 1, top..bottom + 1);
        let height = mask.height();
        for run in runs(mask) {
            let (mut x, mut y) = (run.start / height, run.start % height);
            for _ in run {
                let at = (y - top) * part.columns.len() + x - left;
                part.pixels[at] = 1;
                y += 1;
                if y == height {
                    (x, y) = (x + 1, 0);
                }
            }
        }
        part
    }

    /// One of the picture's rows; empty outside of the part.
    pub fn row(&self, y: usize) -> &[u8] {
        match self.rows.contains(&y) {
            true => &self.pixels[self.row_range(y)],
            false => &[],
        }
    }

    /// Sets columns of a row, as far as they are in the part.
    pub fn set(&mut self, y: usize, columns: Range<usize>) {
        if !self.rows.contains(&y) {
            return;
        }
        let first = self.columns.start;
        let (start, end) = (columns.start.max(first), columns.end.min(self.columns.end));
        if start < end {
            let row = self.row_range(y);
            self.pixels[row][start - first..end - first].fill(1);
        }
    }

    /// As the mask of a picture of this size, which the part is in.
    pub fn to_mask(&self, size: Size) -> Rle {
        let mut set: Vec<Range<usize>> = Vec::new();
        for x in 0..self.columns.len() {
            let first = (self.columns.start + x) * size.height() + self.rows.start;
            let column = self.pixels.iter().skip(x).step_by(self.columns.len());
            for (y, _) in column.enumerate().filter(|(_, pixel)| **pixel == 1) {
                let at = first + y;
                match set.last_mut() {
                    Some(run) if run.end == at => run.end += 1,
                    _ => set.push(at..at + 1),
                }
            }
        }
        of_runs(size, set)
    }

    fn row_range(&self, y: usize) -> Range<usize> {
        let width = self.columns.len();
        let start = (y - self.rows.start) * width;
        start..start + width
    }
}
