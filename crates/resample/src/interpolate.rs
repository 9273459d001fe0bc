//! Interpolation between the nearest source pixels, without antialiasing. It suits maps that grow.

use std::array;

/// The source pixels that an output pixel reads along one axis, and their weights.
#[derive(Clone, Copy)]
pub(crate) struct Tap<const N: usize> {
    pub at: [usize; N],
    pub weights: [f32; N],
}

/// Resizes `values` `[h, w, channels]` from `from` to `to`, both `[height, width]`, computing each pixel from its four
/// neighbours; returns `[height, width, channels]`
/// (`F.interpolate(mode="bilinear", align_corners=False)`).
pub fn bilinear(values: &[f32], channels: usize, from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let mut resized = Vec::with_capacity(to[0] * to[1] * channels);
    interpolate(values, channels, from, to, bilinear_taps, |_, row| {
        resized.extend_from_slice(row);
    });
    resized
}

/// The same as [`bilinear`] for one channel, but calls `visit` with the number of each output row and its values, from
/// the top.
pub fn bilinear_rows(values: &[f32], from: [usize; 2], to: [usize; 2], visit: impl FnMut(usize, &[f32])) {
    interpolate(values, 1, from, to, bilinear_taps, visit);
}

/// Resizes `values` `[h, w, channels]` from `from` to `to`, both `[height, width]`, computing each pixel from its sixteen
/// neighbours by Keys' cubic with a = -0.75; returns `[height, width, channels]`
/// (`F.interpolate(mode="bicubic", align_corners=False)`).
pub fn bicubic(values: &[f32], channels: usize, from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let mut resized = Vec::with_capacity(to[0] * to[1] * channels);
    interpolate(values, channels, from, to, bicubic_taps, |_, row| {
        resized.extend_from_slice(row);
    });
    resized
}

pub(crate) fn bilinear_taps(input: usize, output: usize) -> Vec<Tap<2>> {
    let scale = input as f32 / output as f32;
    let tap = |i| {
        let position = (scale * (i as f32 + 0.5) - 0.5).max(0.0);
        let low = (position as usize).min(input - 1);
        let high = position - low as f32;
        Tap {
            at: [low, (low + 1).min(input - 1)],
            weights: [1.0 - high, high],
        }
    };
    (0..output).map(tap).collect()
}

fn bicubic_taps(input: usize, output: usize) -> Vec<Tap<4>> {
    const A: f64 = -0.75;
    let near = |t: f64| ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
    let far = |t: f64| ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A;
    let tap = |i| {
        let position = (i as f64 + 0.5) * input as f64 / output as f64 - 0.5;
        let t = position - position.floor();
        let first = position.floor() as i64 - 1;
        Tap {
            at: array::from_fn(|k| (first + k as i64).clamp(0, input as i64 - 1) as usize),
            weights: [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)].map(|weight| weight as f32),
        }
    };
    (0..output).map(tap).collect()
}

/// Resizes each source row horizontally once, then mixes the resized rows. Only the `N` rows that may be read again are
/// kept.
fn interpolate<const N: usize>(
    values: &[f32],
    channels: usize,
    from: [usize; 2],
    to: [usize; 2],
    taps: impl Fn(usize, usize) -> Vec<Tap<N>>,
    mut visit: impl FnMut(usize, &[f32]),
) {
    assert_eq!(values.len(), from[0] * from[1] * channels);
    let columns = taps(from[1], to[1]);
    let source = from[1] * channels;
    let width = to[1] * channels;
    // A row is kept in the slot of its number modulo N. The rows of one tap are neighbours, so they have different slots.
    let mut stretched: [(Option<usize>, Vec<f32>); N] = array::from_fn(|_| (None, vec![0.0; width]));
    let mut mixed = vec![0.0; width];
    for (i, tap) in taps(from[0], to[0]).iter().enumerate() {
        for y in tap.at {
            let (held, row) = &mut stretched[y % N];
            if *held != Some(y) {
                stretch(&values[y * source..][..source], channels, &columns, row);
                *held = Some(y);
            }
        }
        for (k, (y, weight)) in tap.at.into_iter().zip(tap.weights).enumerate() {
            let row = mixed.iter_mut().zip(&stretched[y % N].1);
            match k {
                0 => row.for_each(|(mixed, value)| *mixed = value * weight),
                _ => row.for_each(|(mixed, value)| *mixed += value * weight),
            }
        }
        visit(i, &mixed);
    }
}

fn stretch<const N: usize>(row: &[f32], channels: usize, columns: &[Tap<N>], out: &mut [f32]) {
    if channels == 1 {
        for (out, tap) in out.iter_mut().zip(columns) {
            *out = (1..N).fold(row[tap.at[0]] * tap.weights[0], |sum, k| {
                sum + row[tap.at[k]] * tap.weights[k]
            });
        }
        return;
    }
    for (out, tap) in out.chunks_exact_mut(channels).zip(columns) {
        let pixels = tap.at.map(|x| &row[x * channels..][..channels]);
        for (c, out) in out.iter_mut().enumerate() {
            *out = (1..N).fold(pixels[0][c] * tap.weights[0], |sum, k| {
                sum + pixels[k][c] * tap.weights[k]
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(values: &[f32], right: &[f32]) {
        assert_eq!(values.len(), right.len());
        let close = values.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close, "{values:?}");
    }

    #[test]
    fn known_values() {
        assert_close(
            &bilinear(&[-1.0, 1.0], 1, [1, 2], [2, 4]),
            &[-1.0, -0.5, 0.5, 1.0, -1.0, -0.5, 0.5, 1.0],
        );
        // The sixteen products of the definition, in double precision.
        let right = [
            -0.0215,
            2.781_194_4,
            5.694_444,
            3.702_694_4,
            1.455_055_6,
            4.288,
            2.692,
            1.0,
            2.008,
            3.192,
            8.5975,
            2.602_805_6,
            -3.694_444_4,
            0.313_305_6,
            4.928_944_4,
        ];
        assert_close(
            &bicubic(&[1.0, 5.0, 2.0, 7.0, -3.0, 4.0], 1, [2, 3], [3, 5]),
            &right,
        );
    }

    #[test]
    fn channels_are_apart_and_one_pixel_fills_all() {
        let one = [3.0, -2.0];
        assert_eq!(bicubic(&one, 2, [1, 1], [1, 1]), one);
        assert_close(&bicubic(&one, 2, [1, 1], [2, 2]), &one.repeat(4));
        let both = [1.0, 10.0, 5.0, 50.0, 2.0, 20.0];
        let alone = bilinear(&[1.0, 5.0, 2.0], 1, [3, 1], [7, 4]);
        let mixed = bilinear(&both, 2, [3, 1], [7, 4]);
        assert_eq!(mixed.iter().step_by(2).copied().collect::<Vec<_>>(), alone);
        assert!(
            mixed
                .chunks_exact(2)
                .all(|pixel| (pixel[1] - 10.0 * pixel[0]).abs() < 1e-4)
        );
    }

    #[test]
    fn rows_come_in_order_and_equal_the_whole() {
        let values: Vec<f32> = (0..12).map(|i| (i * i % 7) as f32).collect();
        for to in [[9, 5], [2, 2], [3, 4]] {
            let mut rows = Vec::new();
            bilinear_rows(&values, [3, 4], to, |i, row| {
                assert_eq!(rows.len(), i * to[1]);
                rows.extend_from_slice(row);
            });
            assert_eq!(rows, bilinear(&values, 1, [3, 4], to));
        }
    }
}
