//! Sine position encodings of feature maps (`sam2.modeling.position_encoding.PositionEmbeddingSine`) and of distances in
//! time (`sam2.modeling.sam2_utils.get_1d_sine_pe`).

use std::f64::consts::TAU;

const TEMPERATURE: f64 = 10_000.0;

/// `[h, w, channels]`: half of the channels for y, then half for x, sine and cosine in alternation.
pub fn position_embedding_sine(h: usize, w: usize, channels: usize) -> Vec<f32> {
    let axis = channels / 2;
    let frequencies: Vec<f64> = (0..axis)
        .map(|i| TEMPERATURE.powf(2.0 * (i / 2) as f64 / axis as f64))
        .collect();
    // Of each row or column, once: positions share them.
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

/// `get_1d_sine_pe` of one position: `dim / 2` sines, then as many cosines.
pub fn get_1d_sine_pe(position: f64, dim: usize) -> impl Iterator<Item = f32> {
    let half = dim / 2;
    let angle = move |i: usize| position / TEMPERATURE.powf(2.0 * (i / 2) as f64 / half as f64);
    let sines = (0..half).map(move |i| angle(i).sin() as f32);
    sines.chain((0..half).map(move |i| angle(i).cos() as f32))
}
