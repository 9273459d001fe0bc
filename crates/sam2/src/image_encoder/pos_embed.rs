//! The trunk's position embedding, computed from two learned tables (`Hiera._get_pos_embed`).

use sam2_ops::{Parameter, Weights, WeightsError};

use crate::config::HieraConfig;

/// The background table `pos_embed`, resized bicubically to the whole grid, plus the table `pos_embed_window`, repeated
/// over the grid: `[1, side, side, embed_dim]`. It is computed once, on the host.
///
/// # Errors
/// A table is missing or has another shape.
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
        let mut values = sam2_resample::bicubic(&background, dim, [bkg_h, bkg_w], [side, side]);
        for (y, row) in values.chunks_exact_mut(side * dim).enumerate() {
            let tile = &tile[y % window * window * dim..][..window * dim];
            for (value, tile) in row.iter_mut().zip(tile.iter().cycle()) {
                *value += tile;
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
