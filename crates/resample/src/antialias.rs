//! Antialiased resizing, in which every source pixel contributes to the output. Source rows are read one after another
//! from the top, so that the memory needed depends on the output's size and on the width of one row.

use std::ops::{AddAssign, Range};

use crate::{Filter, Kernel};

/// The most weights of columns that are kept at once. This is enough for a row of 100,000 pixels.
const MAX_WEIGHTS: usize = 1 << 18;

/// A picture whose width grows by more than this factor, and whose height shrinks, is resized vertically first.
const NARROW: usize = 8;

/// Resizes from `from` to `to`, both `[height, width]`, with an antialiased bilinear filter in f32
/// (`F.interpolate(mode="bilinear", antialias=True)`).
///
/// `pixel(y, x)` returns the `C` channels of a source pixel. The result is `[C, height, width]`.
pub fn antialiased<const C: usize, P: Copy + Into<f32>>(
    from: [usize; 2],
    to: [usize; 2],
    pixel: impl Fn(usize, usize) -> [P; C],
) -> Vec<f32> {
    let pixel = |y, x| pixel(y, x).map(Into::into);
    if to[1] > NARROW * from[1] && to[0] < from[0] {
        let columns_first =
            resize::<Float, C>(Kernel::Triangle, [from[1], from[0]], [to[1], to[0]], |x, y| {
                pixel(y, x)
            });
        let planes = columns_first.chunks_exact(to[0] * to[1]);
        return planes.flat_map(|plane| transpose(plane, to[0])).collect();
    }
    resize::<Float, C>(Kernel::Triangle, from, to, pixel)
}

/// Resizes from `from` to `to`, both `[height, width]`, with Pillow's bicubic filter for bytes. The result is bit for
/// bit Pillow's: weights are fixed-point numbers, and values are rounded to bytes after each axis, horizontally first.
/// (Pillow 13 and later resize a picture whose height shrinks and whose width grows vertically first.)
///
/// `pixel(y, x)` returns the `C` channels of a source pixel. The result is `[C, height, width]`.
pub fn pillow_bicubic<const C: usize>(
    from: [usize; 2],
    to: [usize; 2],
    pixel: impl Fn(usize, usize) -> [u8; C],
) -> Vec<u8> {
    resize::<FixedPoint, C>(Kernel::Cubic, from, to, pixel)
}

/// The arithmetic of weighted sums.
trait Arithmetic {
    type Pixel: Copy + Default;
    type Weight: Copy;
    type Sum: Copy + Default + AddAssign;

    fn weight(weight: f64) -> Self::Weight;
    fn product(pixel: Self::Pixel, weight: Self::Weight) -> Self::Sum;
    fn finish(sum: Self::Sum) -> Self::Pixel;
}

struct Float;

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

/// Resizes each source row horizontally, then adds it to the output rows that read it.
fn resize<A: Arithmetic, const C: usize>(
    kernel: Kernel,
    from: [usize; 2],
    to: [usize; 2],
    pixel: impl Fn(usize, usize) -> [A::Pixel; C],
) -> Vec<A::Pixel> {
    let rows = Filter::new(kernel, from[0], to[0]);
    let columns = Filter::new(kernel, from[1], to[1]);
    let mut sums = vec![A::Sum::default(); C * to[0] * to[1]];
    for block in blocks(&columns) {
        let taps = Taps::<A>::new(&columns, block.clone());
        let width = block.len();
        let mut resized = vec![A::Pixel::default(); C * width];
        // The output rows above this one are complete.
        let mut first = 0;
        for y in 0..from[0] {
            for x in 0..width {
                let (start, weights) = taps.of(x);
                let mut sum = [A::Sum::default(); C];
                for (j, &weight) in weights.iter().enumerate() {
                    let pixel = pixel(y, start + j);
                    for c in 0..C {
                        sum[c] += A::product(pixel[c], weight);
                    }
                }
                for c in 0..C {
                    resized[c * width + x] = A::finish(sum[c]);
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
fn blocks(columns: &Filter) -> impl Iterator<Item = Range<usize>> {
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
    fn new(filter: &Filter, block: Range<usize>) -> Self {
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
            let bytes = pillow_bicubic(from, to, |_, _| [137, 0, 255]);
            let plane = to[0] * to[1];
            assert_eq!(bytes[..plane], vec![137; plane]);
            assert_eq!(bytes[2 * plane..], vec![255; plane]);
            let values = antialiased(from, to, |_, _| [137u8]);
            assert!(values.iter().all(|value| (value - 137.0).abs() < 1e-4));
        }
    }

    #[test]
    fn known_values_of_pillow() {
        // Image.fromarray(a, mode="F").resize((3, 2), Image.BILINEAR) of a = (arange(12) ** 2).reshape(3, 4)
        let values = antialiased([3, 4], [2, 3], |y, x| [((y * 4 + x) * (y * 4 + x)) as f32]);
        for (value, right) in values.iter().zip([7.2, 13.0, 21.6, 50.2, 68.0, 88.6]) {
            assert!((value - right).abs() < 1e-4, "{values:?}");
        }
        // Image.fromarray(b).resize(…, Image.BICUBIC) of b = (arange(35) * 37 % 251).reshape(5, 7)
        let byte = |y: usize, x: usize| [((y * 7 + x) * 37 % 251) as u8];
        assert_eq!(
            pillow_bicubic([5, 7], [3, 4], byte),
            [18, 80, 148, 210, 31, 93, 161, 228, 44, 106, 179, 155]
        );
        assert_eq!(
            pillow_bicubic([5, 7], [2, 9], byte),
            [
                6, 29, 60, 89, 118, 147, 175, 209, 239, 23, 47, 78, 107, 136, 165, 200, 197, 160
            ]
        );
    }

    #[test]
    fn neither_blocks_nor_the_order_of_axes_change_a_picture() {
        let pixel = |y: usize, x: usize| [((y * 31 + x * 17) % 251) as f32];
        // Wide enough for several blocks.
        let wide = antialiased([2, 300_000], [3, 5], pixel);
        // Narrow enough to be done columns first.
        let tall = antialiased([300_000, 2], [5, 17], |y, x| pixel(x, y));
        let turned = resize::<Float, 1>(Kernel::Triangle, [2, 300_000], [17, 5], pixel);
        for y in 0..5 {
            for x in 0..17 {
                assert!((tall[y * 17 + x] - turned[x * 5 + y]).abs() < 1e-3);
            }
        }
        let direct = |x: usize| {
            let filter = Filter::new(Kernel::Triangle, 300_000, 5);
            let sum: f64 = filter
                .window(x)
                .map(|j| f64::from(pixel(0, j)[0]) * filter.weight(x, j))
                .sum();
            sum
        };
        for (x, value) in wide[..5].iter().enumerate() {
            assert!((f64::from(*value) - direct(x)).abs() < 0.05);
        }
    }
}
