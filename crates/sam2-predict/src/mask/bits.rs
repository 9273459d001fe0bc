//! A mask, in the forms in which people need it.

use std::ops::Range;

use crate::{PredictError, Rle};

/// Which pixels are on an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    width: usize,
    height: usize,
    bits: Vec<u8>,
    score: f32,
}

impl Mask {
    /// A mask that was not predicted, with `bits` as [`Self::bits`] returns them. Its score is 1.
    ///
    /// # Errors
    /// The number of bytes does not match the size.
    pub fn new(mut bits: Vec<u8>, width: usize, height: usize) -> Result<Self, PredictError> {
        let expected = width.saturating_mul(height).div_ceil(8);
        if bits.len() != expected {
            return Err(PredictError::MaskBytes {
                width,
                height,
                expected,
                found: bits.len(),
            });
        }
        // Bits after the last pixel would count as pixels.
        if let (Some(last), used @ 1..) = (bits.last_mut(), width * height % 8) {
            *last &= (1 << used) - 1;
        }
        Ok(Self::from_bits(bits, 1.0, width, height))
    }

    /// `bits` as [`Self::bits`] gives them.
    pub(crate) fn from_bits(bits: Vec<u8>, score: f32, width: usize, height: usize) -> Self {
        debug_assert_eq!(bits.len(), (width * height).div_ceil(8));
        Self {
            width,
            height,
            bits,
            score,
        }
    }

    /// From [`Rle::to_compressed`] text of our own making.
    pub(crate) fn from_compressed_rle(runs: &str, score: f32, width: usize, height: usize) -> Self {
        let rle = Rle::from_compressed(runs, width, height).expect("made by `to_compressed`");
        Self::from_bits(rle.to_bits(), score, width, height)
    }

    /// Other bits, as many.
    pub(crate) fn set_bits(&mut self, bits: Vec<u8>) {
        debug_assert_eq!(bits.len(), self.bits.len());
        self.bits = bits;
    }

    /// The picture's, in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The picture's, in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The IoU with the true mask that the network expects, in [0, 1].
    pub fn score(&self) -> f32 {
        self.score
    }

    /// A bit a pixel, row-major, the first pixel in the lowest bit of the first byte; no padding between rows.
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// Whether the pixel is on the object; `x < width`, `y < height`.
    pub fn get(&self, x: usize, y: usize) -> bool {
        bit(&self.bits, y * self.width + x)
    }

    /// Pixels on the object.
    pub fn area(&self) -> usize {
        self.bits.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// The smallest box `[left, top, right, bottom]` around the object, the last pixels included;
    /// none for an empty mask.
    pub fn bounding_box(&self) -> Option<[usize; 4]> {
        let mut found: Option<[usize; 4]> = None;
        for (y, run) in row_runs(&self.bits, self.width) {
            let [left, top, right, _] = found.unwrap_or([run.start, y, 0, y]);
            found = Some([left.min(run.start), top, right.max(run.end - 1), y]);
        }
        found
    }

    /// A byte a pixel, 0 or 1, row-major.
    pub fn to_bytes(&self) -> Vec<u8> {
        (0..self.width * self.height)
            .map(|i| u8::from(bit(&self.bits, i)))
            .collect()
    }

    /// COCO's run-length encoding.
    pub fn to_rle(&self) -> Rle {
        Rle::from_row_runs(self.width, self.height, row_runs(&self.bits, self.width))
    }

    /// A grey PNG, 0 or 255.
    #[cfg(feature = "png")]
    pub fn to_png(&self) -> Vec<u8> {
        let pixels: Vec<u8> = self.to_bytes().iter().map(|byte| byte * 255).collect();
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("a vector takes every byte");
        writer
            .write_image_data(&pixels)
            .expect("the pixels are as many as the header says");
        writer.finish().expect("a vector takes every byte");
        file
    }
}

/// The runs of set bits in each row of `width`, from the top and from the left.
pub(super) fn row_runs(bits: &[u8], width: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut at = 0;
    // A run may go on into the next row.
    let mut rest = 0..0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            let start = next_bit(bits, at, true)?;
            rest = start..next_bit(bits, start, false).unwrap_or(bits.len() * 8);
            at = rest.end;
        }
        let row = rest.start / width;
        let run = rest.start..rest.end.min((row + 1) * width);
        rest.start = run.end;
        Some((row, run.start - row * width..run.end - row * width))
    })
}

/// The first bit that is `set`, or not, from `at` on.
fn next_bit(bits: &[u8], at: usize, set: bool) -> Option<usize> {
    let none = if set { 0 } else { 0xff };
    let first = *bits.get(at >> 3)? ^ none;
    let rest_of_first = first >> (at & 7) << (at & 7);
    if rest_of_first != 0 {
        return Some((at & !7) + rest_of_first.trailing_zeros() as usize);
    }
    let from = (at >> 3) + 1;
    // Most of a mask is alike for long: whole words first.
    let (words, _) = bits[from..].as_chunks::<16>();
    let from = from + words.iter().take_while(|word| **word == [none; 16]).count() * 16;
    let byte = from + bits[from..].iter().position(|&byte| byte != none)?;
    Some(byte * 8 + (bits[byte] ^ none).trailing_zeros() as usize)
}

/// Sets a run of bits.
pub(crate) fn set_run(bits: &mut [u8], run: Range<usize>) {
    if run.is_empty() {
        return;
    }
    let (first, last) = (run.start >> 3, (run.end - 1) >> 3);
    let from_start = 0xff << (run.start & 7);
    let to_end = 0xff >> (7 - ((run.end - 1) & 7));
    if first == last {
        bits[first] |= from_start & to_end;
        return;
    }
    bits[first] |= from_start;
    bits[first + 1..last].fill(0xff);
    bits[last] |= to_end;
}

fn bit(bits: &[u8], index: usize) -> bool {
    bits[index >> 3] >> (index & 7) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(width: usize, height: usize, on: &[(usize, usize)]) -> Mask {
        let mut bits = vec![0; (width * height).div_ceil(8)];
        for (x, y) in on {
            let i = y * width + x;
            bits[i >> 3] |= 1 << (i & 7);
        }
        Mask {
            width,
            height,
            bits,
            score: 0.5,
        }
    }

    #[test]
    fn area_and_box() {
        let mask = mask(11, 7, &[(3, 2), (10, 2), (0, 5)]);
        assert_eq!(mask.area(), 3);
        assert_eq!(mask.bounding_box(), Some([0, 2, 10, 5]));
        assert_eq!(mask.to_bytes().iter().map(|&b| b as usize).sum::<usize>(), 3);
        assert_eq!(super::tests::mask(11, 7, &[]).bounding_box(), None);
        assert_eq!(
            super::tests::mask(1, 1, &[(0, 0)]).bounding_box(),
            Some([0, 0, 0, 0])
        );
        assert_eq!(
            super::tests::mask(5, 5, &[(4, 4)]).bounding_box(),
            Some([4, 4, 4, 4])
        );
    }

    #[test]
    fn runs_end_with_their_rows() {
        let runs = |width, bits: &[u8]| row_runs(bits, width).collect::<Vec<_>>();
        assert_eq!(runs(5, &[0b1111_1000, 0b11]), [(0, 3..5), (1, 0..5)]);
        assert_eq!(runs(8, &[0, 0, 0]), []);
        let mut long = vec![0; 200];
        set_run(&mut long, 3..1597);
        assert_eq!(runs(1600, &long), [(0, 3..1597)]);
        set_run(&mut long, 0..0);
        set_run(&mut long, 1598..1599);
        assert_eq!(runs(800, &long), [(0, 3..800), (1, 0..797), (1, 798..799)]);
    }
}
