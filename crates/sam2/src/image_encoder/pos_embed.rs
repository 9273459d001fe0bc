//! The trunk's positions, of two learned tables (`Hiera._get_pos_embed`).

use sam2_ops::{Parameter, Weights, WeightsError};

use crate::config::HieraConfig;

/// The background table, stretched over the whole grid, plus the window's table, repeated over it:
/// `[1, side, side, embed_dim]`. On the host, where it is some four sums a value.
pub fn load_pos_embed(
    config: &HieraConfig,
    side: usize,
    weights: &mut Weights,
) -> Result<Parameter<4>, WeightsError> {
    let [bkg_h, bkg_w] = config.window_pos_embed_bkg_spatial_size;
    let (dim, window) = (config.embed_dim, config.window_spec[0]);
    let background = weights.values("pos_embed", &[1, dim, bkg_h, bkg_w])?;
    let tile = weights.values("pos_embed_window", &[1, dim, window, window])?;
    Ok(weights.table([1, side, side, dim], || {
        let background = channels_last(&background, dim);
        let tile = channels_last(&tile, dim);
        let mut values = Vec::with_capacity(side * side * dim);
        let columns = bicubic(bkg_w, side);
        for (y, rows) in bicubic(bkg_h, side).iter().enumerate() {
            let stretched: Vec<f32> = weighted(&background, bkg_w * dim, rows).collect();
            let tile = &tile[y % window * window * dim..][..window * dim];
            for (x, columns) in columns.iter().enumerate() {
                let tile = &tile[x % window * dim..][..dim];
                let background = weighted(&stretched, dim, columns);
                values.extend(background.zip(tile).map(|(background, tile)| background + tile));
            }
        }
        values
    }))
}

/// `[dim, n]` to `[n, dim]`.
fn channels_last(values: &[f32], dim: usize) -> Vec<f32> {
    let n = values.len() / dim;
    (0..n * dim).map(|at| values[at % dim * n + at / dim]).collect()
}

/// The sum of four of the rows `width` wide, each as much as it says.
fn weighted<'a>(
    values: &'a [f32],
    width: usize,
    rows: &[(usize, f32); 4],
) -> impl Iterator<Item = f32> + use<'a> {
    let [a, b, c, d] =
        rows.map(|(row, weight)| values[row * width..][..width].iter().map(move |x| weight * x));
    a.zip(b).zip(c.zip(d)).map(|((a, b), (c, d))| a + b + (c + d))
}

/// What `F.interpolate(mode="bicubic")` takes along one axis: for each of `output` positions four of `input` positions,
/// and how much of each.
fn bicubic(input: usize, output: usize) -> Vec<[(usize, f32); 4]> {
    const A: f64 = -0.75;
    let near = |t: f64| ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
    let far = |t: f64| ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A;
    let taps_of = |i: usize| {
        let position = (i as f64 + 0.5) * input as f64 / output as f64 - 0.5;
        let t = position - position.floor();
        let taps = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
        std::array::from_fn(|k| {
            let index = position.floor() as i64 - 1 + k as i64;
            (index.clamp(0, input as i64 - 1) as usize, taps[k] as f32)
        })
    };
    (0..output).map(taps_of).collect()
}
