//! Position encodings: of feature maps (`sam2.modeling.position_encoding.PositionEmbeddingSine`), of points in a picture
//! (`sam2.modeling.position_encoding.PositionEmbeddingRandom`) and of distances in time
//! (`sam2.modeling.sam2_utils.get_1d_sine_pe`).

use std::f64::consts::TAU;

const TEMPERATURE: f64 = 10_000.0;

/// `PositionEmbeddingSine`, normalised: `[h, w, channels]`. The first half of the channels encodes y, the second half x;
/// sines and cosines alternate.
pub fn position_embedding_sine(h: usize, w: usize, channels: usize) -> Vec<f32> {
    let axis = channels / 2;
    let frequencies: Vec<f64> = (0..axis)
        .map(|i| TEMPERATURE.powf(2.0 * (i / 2) as f64 / axis as f64))
        .collect();
    // Each row and each column is encoded once, since positions share them.
    let encode = |length: usize| -> Vec<f32> {
        let encode = |position: usize, i: usize| {
            let angle = (position + 1) as f64 / (length as f64 + 1e-6) * TAU / frequencies[i];
            (if i.is_multiple_of(2) {
                angle.sin()
            } else {
                angle.cos()
            }) as f32
        };
        (0..length * axis)
            .map(|at| encode(at / axis, at % axis))
            .collect()
    };
    let (rows, columns) = (encode(h), encode(w));
    let mut values = Vec::with_capacity(h * w * channels);
    for row in rows.chunks_exact(axis) {
        for column in columns.chunks_exact(axis) {
            values.extend_from_slice(row);
            values.extend_from_slice(column);
        }
    }
    values
}

/// `PositionEmbeddingRandom._pe_encoding` of a point: x and y in [0, 1] to `d` values, `d / 2` sines, then as many
/// cosines. `gaussian` is `positional_encoding_gaussian_matrix`, `[2, d/2]`.
pub(crate) fn position_embedding_random([x, y]: [f32; 2], gaussian: &[f32]) -> Vec<f32> {
    let (of_x, of_y) = gaussian.split_at(gaussian.len() / 2);
    let (x, y) = (2.0 * x - 1.0, 2.0 * y - 1.0);
    let angles = || {
        of_x.iter()
            .zip(of_y)
            .map(|(gx, gy)| (x * gx + y * gy) * std::f32::consts::TAU)
    };
    angles().map(f32::sin).chain(angles().map(f32::cos)).collect()
}

/// `PositionEmbeddingRandom.forward`: the same for the centres of a grid's `side` x `side` cells, row by row:
/// `[side, side, d]`. The sine and cosine of each sum are computed from those of its two terms, of which there are only
/// `2 side` rows instead of `side²`.
pub(crate) fn position_embedding_random_grid(side: usize, gaussian: &[f32]) -> Vec<f32> {
    let (of_x, of_y) = gaussian.split_at(gaussian.len() / 2);
    let rotations = |of_axis: &[f32]| -> Vec<(f64, f64)> {
        let centres = (0..side).map(|i| 2.0 * ((i as f64 + 0.5) / side as f64) - 1.0);
        centres
            .flat_map(|centre| {
                of_axis
                    .iter()
                    .map(move |g| (centre * f64::from(*g) * TAU).sin_cos())
            })
            .collect()
    };
    let (columns, rows) = (rotations(of_x), rotations(of_y));
    let mut values = Vec::with_capacity(side * side * gaussian.len());
    for row in rows.chunks_exact(of_y.len()) {
        for column in columns.chunks_exact(of_x.len()) {
            let pairs = || row.iter().zip(column);
            values.extend(pairs().map(|((sin, cos), (sin_x, cos_x))| (sin_x * cos + cos_x * sin) as f32));
            values.extend(pairs().map(|((sin, cos), (sin_x, cos_x))| (cos_x * cos - sin_x * sin) as f32));
        }
    }
    values
}

/// `get_1d_sine_pe` of one position: `dim` values, `dim / 2` sines, then as many cosines.
pub fn get_1d_sine_pe(position: f64, dim: usize) -> impl Iterator<Item = f32> {
    let half = dim / 2;
    let angle = move |i: usize| position / TEMPERATURE.powf(2.0 * (i / 2) as f64 / half as f64);
    let sines = (0..half).map(move |i| angle(i).sin() as f32);
    sines.chain((0..half).map(move |i| angle(i).cos() as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_its_cells_one_by_one() {
        let gaussian = [0.3, -1.7, 2.2, 0.01, 1.1, -0.4, 0.9, -3.0];
        let side = 5;
        let centre = |i: usize| (i as f32 + 0.5) / side as f32;
        let one_by_one = (0..side * side)
            .flat_map(|i| position_embedding_random([centre(i % side), centre(i / side)], &gaussian));
        let grid = position_embedding_random_grid(side, &gaussian);
        assert_eq!(grid.len(), side * side * gaussian.len());
        for (a, b) in grid.into_iter().zip(one_by_one) {
            assert!((a - b).abs() < 3e-6, "{a} for {b}");
        }
    }
}
