//! Antialiased resizing, in which every source pixel contributes to the output. Source rows are read one after another
//! from the top, so that the memory needed depends on the output's size and on the width of one row.

use std::ops::{AddAssign, Range};

use crate::{Filter, Kernel};

/// The most weights of columns that are kept at once. This is enough for a row of 100,000 pixels.
const MAX_WEIGHTS: usize = 1 << 18;

/// A picture whose width grows by more than this factor, and whose height shrinks, is resized vertically first.
const NARROW: usize = 8;

/// A row of a source from the top, or a column from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The row of this index.
    Row(usize),
    /// The column of this index.
    Column(usize),
}

/// A function that reads a line of the source. It fills the slice with the line's values of the first channel, then
/// those of the second, and so on.
pub type Read<'a, T> = &'a dyn Fn(Line, &mut [T]);

/// The reader of a source of one channel, from a function of a pixel's row and column.
pub fn of_pixels<T>(pixel: impl Fn(usize, usize) -> T) -> impl Fn(Line, &mut [T]) {
    move |line, values| {
        for (i, value) in values.iter_mut().enumerate() {
            *value = match line {
                Line::Row(y) => pixel(y, i),
                Line::Column(x) => pixel(i, x),
            };
        }
    }
}

// The functions are not generic, so that they are compiled here, for speed, whatever their callers are compiled for.

/// Resizes from `from` to `to`, both `[height, width]`, with an antialiased bilinear filter in f32
/// (`F.interpolate(mode="bilinear", antialias=True)`).
///
/// `read` reads a line of the source's `channels`. The result is `[channels, height, width]`.
pub fn antialiased(channels: usize, from: [usize; 2], to: [usize; 2], read: Read<f32>) -> Vec<f32> {
    if to[1] > NARROW * from[1] && to[0] < from[0] {
        let columns: Read<f32> = &|line, values| match line {
            Line::Row(index) => read(Line::Column(index), values),
            Line::Column(index) => read(Line::Row(index), values),
        };
        let turned = resize_by::<Float>(
            Kernel::Triangle,
            channels,
            [from[1], from[0]],
            [to[1], to[0]],
            columns,
        );
        let planes = turned.chunks_exact(to[0] * to[1]);
        return planes.flat_map(|plane| transpose(plane, to[0])).collect();
    }
    resize_by::<Float>(Kernel::Triangle, channels, from, to, read)
}

/// Resizes from `from` to `to`, both `[height, width]`, with Pillow's bicubic filter for bytes. The result is bit for
/// bit Pillow's: weights are fixed-point numbers, and values are rounded to bytes after each axis, horizontally first.
/// (Pillow 13 and later resize a picture whose height shrinks and whose width grows vertically first.)
///
/// `read` reads a row of the source's `channels`. The result is `[channels, height, width]`.
pub fn pillow_bicubic(channels: usize, from: [usize; 2], to: [usize; 2], read: Read<u8>) -> Vec<u8> {
    resize_by::<FixedPoint>(Kernel::Cubic, channels, from, to, read)
}

/// The weights that resize one axis.
pub(crate) trait Axis {
    /// The number of source pixels.
    fn input(&self) -> usize;
    /// The number of output pixels.
    fn output(&self) -> usize;
    /// The source pixels that output pixel `i` reads. Both ends increase or stay the same as `i` grows.
    fn window(&self, i: usize) -> Range<usize>;
    /// The weight of source pixel `j` in the window of output pixel `i`.
    fn weight(&self, i: usize, j: usize) -> f64;
}

impl Axis for Filter {
    fn input(&self) -> usize {
        self.input()
    }

    fn output(&self) -> usize {
        self.output()
    }

    fn window(&self, i: usize) -> Range<usize> {
        self.window(i)
    }

    fn weight(&self, i: usize, j: usize) -> f64 {
        self.weight(i, j)
    }
}

/// The arithmetic of weighted sums.
pub(crate) trait Arithmetic {
    type Pixel: Copy + Default;
    type Weight: Copy;
    type Sum: Copy + Default + AddAssign;

    fn weight(weight: f64) -> Self::Weight;
    fn product(pixel: Self::Pixel, weight: Self::Weight) -> Self::Sum;
    fn finish(sum: Self::Sum) -> Self::Pixel;
}

pub(crate) struct Float;

impl Arithmetic for Float {
    type Pixel = f32;
    type Weight = f32;
    type Sum = f32;

    fn weight(weight: f64) -> f32 {
        weight as f32
    }

    fn product(pixel: f32, weight: f32) -> f32 {
        pixel * weight
    }

    fn finish(sum: f32) -> f32 {
        sum
    }
}

struct FixedPoint;

/// The fractional bits of Pillow's weights.
const PRECISION_BITS: u32 = 22;

impl Arithmetic for FixedPoint {
    type Pixel = u8;
    type Weight = i32;
    type Sum = i32;

    fn weight(weight: f64) -> i32 {
        (weight * f64::from(1u32 << PRECISION_BITS)).round() as i32
    }

    fn product(pixel: u8, weight: i32) -> i32 {
        i32::from(pixel) * weight
    }

    fn finish(sum: i32) -> u8 {
        ((sum + (1 << (PRECISION_BITS - 1))) >> PRECISION_BITS).clamp(0, 255) as u8
    }
}

/// Resizes by an antialiasing filter.
fn resize_by<A: Arithmetic>(
    kernel: Kernel,
    channels: usize,
    from: [usize; 2],
    to: [usize; 2],
    read: Read<A::Pixel>,
) -> Vec<A::Pixel> {
    let [rows, columns] = [0, 1].map(|axis| Filter::new(kernel, from[axis], to[axis]));
    resize::<A>(&rows, &columns, channels, read)
}

/// Resizes each source row horizontally, then adds it to the output rows that read it.
pub(crate) fn resize<A: Arithmetic>(
    rows: &impl Axis,
    columns: &impl Axis,
    channels: usize,
    read: Read<A::Pixel>,
) -> Vec<A::Pixel> {
    let (from, to) = ([rows.input(), columns.input()], [rows.output(), columns.output()]);
    let mut row = vec![A::Pixel::default(); channels * from[1]];
    let mut sums = vec![A::Sum::default(); channels * to[0] * to[1]];
    for block in blocks(columns) {
        let taps = Taps::<A>::new(columns, block.clone());
        let width = block.len();
        let mut resized = vec![A::Pixel::default(); channels * width];
        // The output rows above this one are complete.
        let mut first = 0;
        for y in 0..from[0] {
            read(Line::Row(y), &mut row);
            for (row, resized) in row.chunks_exact(from[1]).zip(resized.chunks_exact_mut(width)) {
                for (x, resized) in resized.iter_mut().enumerate() {
                    let (start, weights) = taps.of(x);
                    let mut sum = A::Sum::default();
                    for (&pixel, &weight) in row[start..].iter().zip(weights) {
                        sum += A::product(pixel, weight);
                    }
                    *resized = A::finish(sum);
                }
            }
            while first < to[0] && rows.window(first).end <= y {
                first += 1;
            }
            for i in (first..to[0]).take_while(|&i| rows.window(i).start <= y) {
                let weight = A::weight(rows.weight(i, y));
                for (c, resized) in resized.chunks_exact(width).enumerate() {
                    let sums = &mut sums[(c * to[0] + i) * to[1] + block.start..][..width];
                    for (sum, &pixel) in sums.iter_mut().zip(resized) {
                        *sum += A::product(pixel, weight);
                    }
                }
            }
        }
    }
    sums.into_iter().map(A::finish).collect()
}

/// Ranges of output columns whose weights are kept at once.
fn blocks(columns: &impl Axis) -> impl Iterator<Item = Range<usize>> {
    let widest = (0..columns.output()).map(|i| columns.window(i).len()).max();
    let block = (MAX_WEIGHTS / widest.unwrap_or(1)).max(1);
    let output = columns.output();
    (0..output)
        .step_by(block)
        .map(move |start| start..(start + block).min(output))
}

/// A filter's weights, computed once for all rows.
struct Taps<A: Arithmetic> {
    /// For each output pixel, the first source pixel and the index of its weight.
    starts: Vec<(usize, usize)>,
    weights: Vec<A::Weight>,
}

impl<A: Arithmetic> Taps<A> {
    fn new(filter: &impl Axis, block: Range<usize>) -> Self {
        let mut taps = Self {
            starts: Vec::with_capacity(block.len() + 1),
            weights: Vec::new(),
        };
        for i in block {
            let window = filter.window(i);
            taps.starts.push((window.start, taps.weights.len()));
            taps.weights
                .extend(window.map(|j| A::weight(filter.weight(i, j))));
        }
        taps.starts.push((0, taps.weights.len()));
        taps
    }

    /// The first source pixel of output pixel `i`, and the weights of the pixels from there on.
    fn of(&self, i: usize) -> (usize, &[A::Weight]) {
        let (start, begin) = self.starts[i];
        (start, &self.weights[begin..self.starts[i + 1].1])
    }
}

/// Transposes rows of `width` values.
fn transpose(plane: &[f32], width: usize) -> impl Iterator<Item = f32> {
    let height = plane.len() / width;
    (0..width).flat_map(move |x| (0..height).map(move |y| plane[y * width + x]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_one_colour_keeps_it() {
        for (from, to) in [
            ([3, 5], [2, 2]),
            ([3, 5], [3, 9]),
            ([1, 1], [4, 4]),
            ([40, 1], [9, 9]),
        ] {
            let colour = |_, values: &mut [u8]| {
                let length = values.len() / 3;
                for (plane, value) in values.chunks_exact_mut(length).zip([137, 0, 255]) {
                    plane.fill(value);
                }
            };
            let bytes = pillow_bicubic(3, from, to, &colour);
            let plane = to[0] * to[1];
            assert_eq!(bytes[..plane], vec![137; plane]);
            assert_eq!(bytes[2 * plane..], vec![255; plane]);
            let values = antialiased(1, from, to, &of_pixels(|_, _| 137.0));
            assert!(values.iter().all(|value| (value - 137.0).abs() < 1e-4));
        }
    }

    #[test]
    fn known_values_of_pillow() {
        // Image.fromarray(a, mode="F").resize((3, 2), Image.BILINEAR) of a = (arange(12) ** 2).reshape(3, 4)
        let values = antialiased(
            1,
            [3, 4],
            [2, 3],
            &of_pixels(|y, x| ((y * 4 + x) * (y * 4 + x)) as f32),
        );
        for (value, right) in values.iter().zip([7.2, 13.0, 21.6, 50.2, 68.0, 88.6]) {
            assert!((value - right).abs() < 1e-4, "{values:?}");
        }
        // Image.fromarray(b).resize(…, Image.BICUBIC) of b = (arange(35) * 37 % 251).reshape(5, 7)
        let byte = of_pixels(|y, x| ((y * 7 + x) * 37 % 251) as u8);
        assert_eq!(
            pillow_bicubic(1, [5, 7], [3, 4], &byte),
            [18, 80, 148, 210, 31, 93, 161, 228, 44, 106, 179, 155]
        );
        assert_eq!(
            pillow_bicubic(1, [5, 7], [2, 9], &byte),
            [
                6, 29, 60, 89, 118, 147, 175, 209, 239, 23, 47, 78, 107, 136, 165, 200, 197, 160
            ]
        );
    }

    #[test]
    fn neither_blocks_nor_the_order_of_axes_change_a_picture() {
        let pixel = |y: usize, x: usize| ((y * 31 + x * 17) % 251) as f32;
        // Wide enough for several blocks.
        let wide = antialiased(1, [2, 300_000], [3, 5], &of_pixels(pixel));
        // Narrow enough to be done columns first.
        let tall = antialiased(1, [300_000, 2], [5, 17], &of_pixels(|y, x| pixel(x, y)));
        let turned = resize_by::<Float>(Kernel::Triangle, 1, [2, 300_000], [17, 5], &of_pixels(pixel));
        for y in 0..5 {
            for x in 0..17 {
                assert!((tall[y * 17 + x] - turned[x * 5 + y]).abs() < 1e-3);
            }
        }
        let direct = |x: usize| {
            let filter = Filter::new(Kernel::Triangle, 300_000, 5);
            let sum: f64 = filter
                .window(x)
                .map(|j| f64::from(pixel(0, j)) * filter.weight(x, j))
                .sum();
            sum
        };
        for (x, value) in wide[..5].iter().enumerate() {
            assert!((f64::from(*value) - direct(x)).abs() < 0.05);
        }
    }
}
