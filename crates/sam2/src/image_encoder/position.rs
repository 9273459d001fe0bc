//! The sine position encoding of feature maps (`sam2.modeling.position_encoding.PositionEmbeddingSine`).

use std::f64::consts::TAU;

use burn::tensor::{Device, Tensor, TensorData};

const TEMPERATURE: f64 = 10_000.0;

/// `[1, h, w, channels]`: half of the channels for y, then half for x, sine and cosine by turns.
pub fn position_embedding_sine(h: usize, w: usize, channels: usize, device: &Device) -> Tensor<4> {
    let axis = channels / 2;
    let frequency = |i: usize| TEMPERATURE.powf(2.0 * (i / 2) as f64 / axis as f64);
    let encode = |position: usize, length: usize, i: usize| {
        let angle = (position + 1) as f64 / (length as f64 + 1e-6) * TAU / frequency(i);
        (if i.is_multiple_of(2) {
            angle.sin()
        } else {
            angle.cos()
        }) as f32
    };
    let mut values = Vec::with_capacity(h * w * channels);
    for y in 0..h {
        for x in 0..w {
            values.extend((0..axis).map(|i| encode(y, h, i)));
            values.extend((0..axis).map(|i| encode(x, w, i)));
        }
    }
    Tensor::from_data(TensorData::new(values, [1, h, w, channels]), device)
}
