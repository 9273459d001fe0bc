//! COCO's run-length encoding of masks (cocoapi, `maskApi.c`): runs down the columns, background first.

use std::ops::Range;

use crate::{MAX_PIXELS, Mask};

/// A mask as run lengths, which add up to its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    width: usize,
    height: usize,
    counts: Vec<u32>,
}

/// The text or the runs are not a run-length encoding of that size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a COCO run-length encoding of {width}x{height} pixels: {reason}")]
pub struct RleError {
    width: usize,
    height: usize,
    reason: &'static str,
}

impl Rle {
    /// From lengths of background, object, background, … in column-major order.
    ///
    /// # Errors
    /// The runs do not add up to the size, or that is more than [`MAX_PIXELS`].
    pub fn new(width: usize, height: usize, counts: Vec<u32>) -> Result<Self, RleError> {
        let error = |reason| RleError {
            width,
            height,
            reason,
        };
        let pixels = width.checked_mul(height).filter(|&pixels| pixels <= MAX_PIXELS);
        let pixels = pixels.ok_or(error("more pixels than are taken"))?;
        let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        if total != pixels as u64 {
            return Err(error("the runs do not add up to the size"));
        }
        Ok(Self {
            width,
            height,
            counts,
        })
    }

    /// In pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// In pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Lengths of background, object, background, … in column-major order; their sum is width * height.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// From a mask's runs along its rows, from the top and from the left; those of a row do not touch.
    pub(crate) fn from_row_runs(
        width: usize,
        height: usize,
        runs: impl IntoIterator<Item = (usize, Range<usize>)>,
    ) -> Self {
        // Only where a pixel differs from the one above it does a run down a column begin or end.
        let mut changes: Vec<u64> = Vec::new();
        let (mut above, mut edges, mut row): (Vec<usize>, Vec<usize>, usize) = (vec![], vec![], 0);
        let mut end_of_row = |y: usize, above: &mut Vec<usize>, edges: &mut Vec<usize>| {
            let differing = symmetric_difference(above, edges);
            for columns in differing.chunks_exact(2) {
                changes.extend((columns[0]..columns[1]).map(|x| (x * height + y) as u64));
            }
            std::mem::swap(above, edges);
            edges.clear();
        };
        for (y, run) in runs {
            while row < y {
                end_of_row(row, &mut above, &mut edges);
                row += 1;
            }
            edges.extend([run.start, run.end]);
        }
        while row < height {
            end_of_row(row, &mut above, &mut edges);
            row += 1;
        }
        // The last row goes over to the next column's first, which was compared with nothing.
        for columns in above.chunks_exact(2) {
            changes.extend((columns[0] + 1..columns[1] + 1).map(|x| (x * height) as u64));
        }
        changes.sort_unstable();

        let pixels = (width * height) as u64;
        let (mut counts, mut run_start) = (Vec::new(), 0);
        let mut changes = changes.into_iter().peekable();
        while let Some(at) = changes.next() {
            // Two changes at one pixel are none, and none comes after the last.
            if changes.next_if_eq(&at).is_none() && at < pixels {
                counts.push((at - run_start) as u32);
                run_start = at;
            }
        }
        counts.push((pixels - run_start) as u32);
        Self {
            width,
            height,
            counts,
        }
    }

    /// The mask of these runs. Its score is 1.
    pub fn to_mask(&self) -> Mask {
        Mask::from_bits(self.to_bits(), 1.0, self.width, self.height)
    }

    /// A bit a pixel, row-major, the first pixel in the lowest bit of the first byte; no padding between rows.
    pub fn to_bits(&self) -> Vec<u8> {
        let mut bits = vec![0; (self.width * self.height).div_ceil(8)];
        let mut at = 0;
        for (i, &count) in self.counts.iter().enumerate() {
            let run = at..at + count as usize;
            at = run.end;
            if i % 2 == 1 {
                for pixel in run {
                    let index = pixel % self.height * self.width + pixel / self.height;
                    bits[index >> 3] |= 1 << (index & 7);
                }
            }
        }
        bits
    }

    /// COCO's compressed `counts` text: six bits a character, most runs as differences to the run before the last.
    pub fn to_compressed(&self) -> String {
        let mut text = String::new();
        for (i, &count) in self.counts.iter().enumerate() {
            let mut value = i64::from(count);
            if i > 2 {
                value -= i64::from(self.counts[i - 2]);
            }
            loop {
                let mut digit = (value & 0x1f) as u8;
                value >>= 5;
                let sign_bit = digit & 0x10 != 0;
                let more = if sign_bit { value != -1 } else { value != 0 };
                if more {
                    digit |= 0x20;
                }
                text.push((digit + 48) as char);
                if !more {
                    break;
                }
            }
        }
        text
    }

    /// Reads COCO's compressed `counts` text.
    ///
    /// # Errors
    /// The text has other characters, ends within a number, or as [`Self::new`].
    pub fn from_compressed(text: &str, width: usize, height: usize) -> Result<Self, RleError> {
        let error = |reason| RleError {
            width,
            height,
            reason,
        };
        let (mut counts, mut bytes) = (Vec::<u32>::new(), text.bytes());
        while let Some(first) = bytes.next() {
            let (mut value, mut shift, mut byte) = (0i64, 0u32, first);
            loop {
                let digit = byte
                    .checked_sub(48)
                    .filter(|d| *d < 64)
                    .ok_or(error("unknown character"))?;
                if shift > 30 {
                    return Err(error("a number is too long"));
                }
                value |= i64::from(digit & 0x1f) << shift;
                shift += 5;
                if digit & 0x20 == 0 {
                    if digit & 0x10 != 0 {
                        value |= -1 << shift;
                    }
                    break;
                }
                byte = bytes.next().ok_or(error("the text ends within a number"))?;
            }
            if counts.len() > 2 {
                value += i64::from(counts[counts.len() - 2]);
            }
            counts.push(u32::try_from(value).map_err(|_| error("a run is negative or too long"))?);
        }
        Self::new(width, height, counts)
    }
}

/// What is in one of two rising lists and not in the other, rising.
fn symmetric_difference(a: &[usize], b: &[usize]) -> Vec<usize> {
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    let mut difference = Vec::new();
    loop {
        match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x == y => _ = (a.next(), b.next()),
            (Some(x), Some(y)) => difference.extend(if x < y { a.next() } else { b.next() }),
            _ => break,
        }
    }
    difference.extend(a.chain(b));
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a mask's pixels, asked for by column and row.
    fn of_pixels(width: usize, height: usize, pixel: impl Fn(usize, usize) -> bool) -> Rle {
        let pixel = &pixel;
        let runs = (0..height).flat_map(|y| {
            let start = move |&x: &usize| pixel(x, y) && (x == 0 || !pixel(x - 1, y));
            let end = move |x: usize| (x..width).find(|&x| !pixel(x, y)).unwrap_or(width);
            (0..width).filter(start).map(move |x| (y, x..end(x)))
        });
        Rle::from_row_runs(width, height, runs)
    }

    #[test]
    fn known_text_of_the_official_tools() {
        // pycocotools.mask.encode of a 6x5 (width x height) mask with columns 1..4, rows 1..3 set.
        let rle = of_pixels(6, 5, |x, y| (1..4).contains(&x) && (1..3).contains(&y));
        assert_eq!(rle.counts, [6, 2, 3, 2, 3, 2, 12]);
        assert_eq!(rle.to_compressed(), "6230009");
        assert_eq!(
            Rle::from_compressed("6230008", 6, 5).unwrap_err().reason,
            "the runs do not add up to the size"
        );
    }

    #[test]
    fn text_round_trips() {
        let mut state = 1u64;
        for (width, height) in [(1, 1), (7, 3), (64, 64), (300, 200)] {
            let pixels: Vec<bool> = (0..width * height)
                .map(|_| {
                    state = state
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    state >> 60 > 9
                })
                .collect();
            let rle = of_pixels(width, height, |x, y| pixels[y * width + x]);
            let text = rle.to_compressed();
            assert_eq!(Rle::from_compressed(&text, width, height).as_ref(), Ok(&rle));
            let mut counts = vec![0];
            for x in 0..width {
                for y in 0..height {
                    if (counts.len() % 2 == 0) != pixels[y * width + x] {
                        counts.push(0);
                    }
                    *counts.last_mut().expect("one") += 1;
                }
            }
            assert_eq!(rle.counts, counts);
            let bits = rle.to_bits();
            assert!((0..pixels.len()).all(|i| (bits[i >> 3] >> (i & 7) & 1 == 1) == pixels[i]));
        }
        assert!(Rle::from_compressed("\u{7f}", 1, 1).is_err());
        assert!(Rle::from_compressed("oooooooooooo", 1, 1).is_err());
    }

    #[test]
    fn runs_made_by_hand_are_checked() {
        let reason =
            |width, height, counts: &[u32]| Rle::new(width, height, counts.to_vec()).unwrap_err().reason;
        assert_eq!(Rle::new(2, 2, vec![0, 3, 1]).unwrap().to_bits(), [0b0111]);
        assert_eq!(Rle::new(0, 3, vec![]).unwrap().to_bits(), [0u8; 0]);
        assert_eq!(reason(2, 2, &[1, 4]), "the runs do not add up to the size");
        assert_eq!(reason(0, 0, &[1]), "the runs do not add up to the size");
        assert_eq!(
            reason(65_536, 65_536, &[u32::MAX, 1]),
            "more pixels than are taken"
        );
        assert_eq!(reason(usize::MAX, 2, &[]), "more pixels than are taken");
        assert!(Rle::from_compressed("", usize::MAX, usize::MAX).is_err());
    }
}
