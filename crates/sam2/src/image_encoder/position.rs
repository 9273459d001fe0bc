//! The sine position encoding of feature maps (`sam2.modeling.position_encoding.PositionEmbeddingSine`).

use std::f64::consts::TAU;

use burn::tensor::{Device, Tensor, TensorData};

const TEMPERATURE: f64 = 10_000.0;

/// `[1, h, w, channels]`: half of the channels for y, then half for x, sine and cosine by turns.
pub fn position_embedding_sine(h: usize, w: usize, channels: usize, device: &Device) -> Tensor<4> {
    let axis = channels / 2;
    let frequencies: Vec<f64> = (0..axis)
        .map(|i| TEMPERATURE.powf(2.0 * (i / 2) as f64 / axis as f64))
        .collect();
    // Of each row or column, once: places share them.
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
    Tensor::from_data(TensorData::new(values, [1, h, w, channels]), device)
}
