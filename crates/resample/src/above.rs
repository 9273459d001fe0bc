//! Where an enlarged map is above a threshold, without enlarging it: bilinear values lie between the four that they
//! are made of, so only where these fall on both sides is a pixel looked at.

use std::ops::Range;

use crate::interpolate::{Tap, bilinear_taps};

/// Rounding moves an interpolated value by no more than this part of the largest value that it is made of.
const ROUNDING: f32 = 8.0 * f32::EPSILON;

/// A row's pixels that are made of the same values, or neighbours of their kind.
struct Span {
    columns: Range<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Above,
    Below,
    /// Each pixel has to be looked at.
    Mixed,
}

/// The runs of pixels of `values` `[h, w]`, enlarged as by [`crate::bilinear`], that are above `threshold`.
///
/// Only the rows and columns `part` of the enlarged map are visited, numbered as in the whole. `visit` is given a row and
/// a run of its columns, from the top and from the left; runs of a row do not touch. Equal, bit for bit, to comparing
/// every pixel.
pub fn bilinear_above(
    values: &[f32],
    from: [usize; 2],
    to: [usize; 2],
    part: [Range<usize>; 2],
    threshold: f32,
    mut visit: impl FnMut(usize, Range<usize>),
) {
    assert_eq!(values.len(), from[0] * from[1]);
    let [part_rows, part_columns] = part;
    let rows = &bilinear_taps(from[0], to[0])[part_rows.clone()];
    let columns = &bilinear_taps(from[1], to[1])[part_columns.clone()];
    let cells: Vec<&[Tap<2>]> = columns.chunk_by(|a, b| a.at == b.at).collect();
    let (mut stretched, mut mixed) = ([vec![0.0; columns.len()], vec![0.0; columns.len()]], Vec::new());
    let mut y = part_rows.start;
    for band in rows.chunk_by(|a, b| a.at == b.at) {
        let sources = band[0].at.map(|row| &values[row * from[1]..][..from[1]]);
        let spans = spans(&cells, sources, threshold);
        for span in spans.iter().filter(|span| span.kind == Kind::Mixed) {
            for (source, stretched) in sources.iter().zip(&mut stretched) {
                let taps = &columns[span.columns.clone()];
                for (out, tap) in stretched[span.columns.clone()].iter_mut().zip(taps) {
                    *out = source[tap.at[0]] * tap.weights[0] + source[tap.at[1]] * tap.weights[1];
                }
            }
        }
        for tap in band {
            let mut start = None;
            let mut end_at = |end: usize, start: &mut Option<usize>| {
                if let Some(start) = start.take() {
                    visit(y, part_columns.start + start..part_columns.start + end);
                }
            };
            for span in &spans {
                match span.kind {
                    Kind::Above => _ = start.get_or_insert(span.columns.start),
                    Kind::Below => end_at(span.columns.start, &mut start),
                    Kind::Mixed => {
                        let [top, bottom] = stretched.each_ref().map(|row| &row[span.columns.clone()]);
                        mixed.clear();
                        mixed.extend(
                            top.iter()
                                .zip(bottom)
                                .map(|(top, bottom)| top * tap.weights[0] + bottom * tap.weights[1]),
                        );
                        for (x, &value) in span.columns.clone().zip(&mixed) {
                            if value > threshold {
                                start.get_or_insert(x);
                            } else {
                                end_at(x, &mut start);
                            }
                        }
                    }
                }
            }
            end_at(columns.len(), &mut start);
            y += 1;
        }
    }
}

/// What is known of the pixels between two rows, neighbours of a kind together.
fn spans(cells: &[&[Tap<2>]], sources: [&[f32]; 2], threshold: f32) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut start = 0;
    for cell in cells {
        let end = start + cell.len();
        let [left, right] = cell[0].at;
        let corners = sources.map(|row| [row[left], row[right]]);
        let kind = kind(corners.as_flattened(), threshold);
        match spans.last_mut() {
            Some(last) if last.kind == kind => last.columns.end = end,
            _ => spans.push(Span {
                columns: start..end,
                kind,
            }),
        }
        start = end;
    }
    spans
}

fn kind(corners: &[f32], threshold: f32) -> Kind {
    let largest = corners
        .iter()
        .fold(0.0, |largest: f32, corner| largest.max(corner.abs()));
    let rounding = ROUNDING * largest;
    // What is not a number is on neither side.
    if corners.iter().all(|corner| corner - rounding > threshold) {
        Kind::Above
    } else if corners.iter().all(|corner| corner + rounding < threshold) {
        Kind::Below
    } else {
        Kind::Mixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bilinear;

    /// Numbers from -1 to 1 that repeat after a long while.
    fn noise(count: usize) -> Vec<f32> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn assert_as_pixel_by_pixel(
        values: &[f32],
        from: [usize; 2],
        to: [usize; 2],
        part: [Range<usize>; 2],
        threshold: f32,
    ) {
        let whole = bilinear(values, 1, from, to);
        let (mut runs, mut at) = (vec![false; whole.len()], None);
        bilinear_above(values, from, to, part.clone(), threshold, |y, run| {
            assert!(at < Some((y, run.start)), "runs are in order and do not touch");
            assert!(!run.is_empty());
            at = Some((y, run.end));
            runs[y * to[1]..][run].fill(true);
        });
        for (i, &value) in whole.iter().enumerate() {
            let (y, x) = (i / to[1], i % to[1]);
            let inside = part[0].contains(&y) && part[1].contains(&x);
            assert_eq!(runs[i], inside && value > threshold, "{y} {x} of {to:?}");
        }
    }

    #[test]
    fn equals_comparing_every_pixel() {
        let noise = noise(30 * 20);
        let smooth: Vec<f32> = (0..600)
            .map(|i| ((i % 20) as f32 * 0.4).sin() + ((i / 20) as f32 * 0.3).cos())
            .collect();
        for values in [noise, smooth, vec![0.5; 600], vec![0.0; 600], vec![-1.0; 600]] {
            for to in [[90, 77], [30, 20], [7, 5], [1, 1], [301, 19]] {
                for threshold in [0.0, 0.5, -0.25, 3.0, -3.0] {
                    assert_as_pixel_by_pixel(&values, [30, 20], to, [0..to[0], 0..to[1]], threshold);
                }
                let part = [to[0] / 3..to[0] - to[0] / 4, to[1] / 2..to[1]];
                assert_as_pixel_by_pixel(&values, [30, 20], to, part, 0.0);
            }
        }
    }

    #[test]
    fn values_at_the_threshold_and_no_numbers_are_looked_at() {
        let odd = [
            0.0,
            -0.0,
            1e-40,
            -1e-40,
            f32::NAN,
            f32::INFINITY,
            1.0,
            f32::NEG_INFINITY,
            0.0,
        ];
        assert_as_pixel_by_pixel(&odd, [3, 3], [20, 31], [0..20, 0..31], 0.0);
        assert_as_pixel_by_pixel(&[0.1; 9], [3, 3], [20, 31], [0..20, 0..31], 0.1);
    }
}
