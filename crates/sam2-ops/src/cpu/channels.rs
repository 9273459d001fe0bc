//! Means and factors of channels.

use burn::tensor::{Tensor, TensorData};

use super::in_place::in_place;
use super::packed::View;

/// [`Operations::channel_means`](crate::Operations::channel_means). Each row is summed by itself first, which keeps the sums
/// of large pictures exact.
pub fn means(x: Tensor<4>) -> Tensor<2> {
    let (device, [b, h, w, c]) = (x.device(), x.dims());
    let x = View::contiguous(x);
    let mut means = vec![0.0; b * c];
    let mut line = vec![0.0; c];
    for (picture, sums) in x.values()[..b * h * w * c]
        .chunks_exact((h * w * c).max(1))
        .zip(means.chunks_exact_mut(c))
    {
        for row in picture.chunks_exact(w * c) {
            line.fill(0.0);
            row.chunks_exact(c).for_each(|pixel| add(&mut line, pixel));
            add(sums, &line);
        }
        sums.iter_mut().for_each(|sum| *sum /= (h * w) as f32);
    }
    Tensor::from_data(TensorData::new(means, [b, c]), &device)
}

fn add(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// [`Operations::scale_channels`](crate::Operations::scale_channels).
pub fn scale(x: Tensor<4>, factors: Tensor<2>) -> Tensor<4> {
    let [b, h, w, c] = x.dims();
    if b != 1 {
        return x * factors.reshape([b, 1, 1, c]);
    }
    let factors = View::contiguous(factors);
    let factors = &factors.values()[..c];
    in_place(x, w * c, |values| {
        for pixel in values.chunks_exact_mut(c) {
            for (x, factor) in pixel.iter_mut().zip(factors) {
                *x *= factor;
            }
        }
    })
    .reshape([b, h, w, c])
}
