//! The decoder's upscaling and masks, by packed products. One row of the picture after another goes through all layers,
//! so that the finest pixels, of which there are sixteen for each pixel of the picture, stay in the cache.

use burn::tensor::{Tensor, TensorData};
use sam2_matmul::{Packed, Rows, multiply_into};

use super::math::{gelu_values, layer_norm_rows};
use super::packed::{PackedLinear, Tokens, View};
use crate::LayerNorm;

/// Applies both convolutions to `source` `[b, h, w, d]`, adds the picture's `finer` levels `[1, 2h, 2w, d/4]` and
/// `[1, 4h, 4w, d/8]` after them, and multiplies with `hypers` `[b, n, d/8]`: logits `[b, n, 16hw]`.
pub fn masks_by_rows(
    (conv1, norm, conv2): (&PackedLinear, &LayerNorm, &PackedLinear),
    source: Tensor<4>,
    finer: [Tensor<4>; 2],
    hypers: Tensor<3>,
) -> Tensor<3> {
    let [batch, h, w, _] = source.dims();
    let [_, count, channels] = hypers.dims();
    let wider = finer[0].dims()[3];
    let device = source.device();
    let [weight, bias] = [&norm.weight, &norm.bias].map(|x| View::contiguous(x.value()));
    let [finer_1, finer_0] = finer.map(View::contiguous);
    let (source, hypers) = (Tokens::new(source), View::contiguous(hypers));

    let mut out = vec![0.0; batch * count * 16 * h * w];
    let mut patches = vec![0.0; 4 * w * wider];
    let mut pixels = vec![0.0; 2 * w * wider];
    let mut finer_patches = vec![0.0; 8 * w * channels];
    let mut finest = vec![0.0; 4 * w * channels];
    let mut products = vec![0.0; 4 * w * count];
    let mut networks = Packed::default();
    for (i, masks) in out.chunks_exact_mut(count * 16 * h * w).enumerate() {
        networks.fill(
            &hypers.values()[i * count * channels..],
            [channels, count],
            [1, channels],
        );
        for y in 0..h {
            conv1.rows(source.rows().part((i * h + y) * w, w), None, &mut patches);
            for y in [2 * y, 2 * y + 1] {
                let finer = &finer_1.values()[y * 2 * w * wider..];
                gather(&patches, y % 2, finer, &mut pixels, 2 * wider);
                layer_norm_rows(&mut pixels, weight.values(), bias.values(), norm.eps as f32);
                gelu_values(&mut pixels);
                let rows = Rows::new(&pixels, [2 * w, wider], wider);
                conv2.rows(rows, None, &mut finer_patches);
                for y in [2 * y, 2 * y + 1] {
                    let finer = &finer_0.values()[y * 4 * w * channels..];
                    gather(&finer_patches, y % 2, finer, &mut finest, 2 * channels);
                    gelu_values(&mut finest);
                    let rows = Rows::new(&finest, [4 * w, channels], channels);
                    multiply_into(rows, networks.columns(), None, false, &mut products, count);
                    for (mask, masks) in masks.chunks_exact_mut(16 * h * w).enumerate() {
                        let products = products[mask..].iter().step_by(count);
                        let row = masks[y * 4 * w..][..4 * w].iter_mut();
                        row.zip(products).for_each(|(logit, product)| *logit = *product);
                    }
                }
            }
        }
    }
    Tensor::from_data(TensorData::new(out, [batch, count, 16 * h * w]), &device)
}

/// Takes the first or the second halves of patches, each half having `length` numbers, and adds `finer`.
fn gather(patches: &[f32], half: usize, finer: &[f32], out: &mut [f32], length: usize) {
    let halves = patches[half * length..].chunks(length).step_by(2);
    let finer = finer.chunks_exact(length);
    for ((out, half), finer) in out.chunks_exact_mut(length).zip(halves).zip(finer) {
        for ((out, a), b) in out.iter_mut().zip(half).zip(finer) {
            *out = a + b;
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{activation, module};

    use super::super::testing::{apart, random};
    use super::*;
    use crate::{Implementation, Parameter, Products};

    #[test]
    fn masks_by_rows_are_the_layers_one_by_one() {
        let (b, h, w, dim, wider, channels, count) = (2, 3, 5, 16, 8, 4, 4);
        let layer = |input, output| (random([input, 4 * output]), random([4 * output]));
        let ((weight1, bias1), (weight2, bias2)) = (layer(dim, wider), layer(wider, channels));
        let norm = LayerNorm::new(
            Parameter::new(random([wider])),
            Parameter::new(random([wider])),
            1e-6,
            &Implementation::cpu(Products::Packed),
        );
        let finer = [
            random([1, 2 * h, 2 * w, wider]),
            random([1, 4 * h, 4 * w, channels]),
        ];
        let (source, hypers) = (random([b, h, w, dim]), random([b, count, channels]));

        let expand = |x: Tensor<4>, weight: &Tensor<2>, bias: &Tensor<1>| {
            let ([b, h, w, _], c) = (x.dims(), bias.dims()[0] / 4);
            let patches: Tensor<6> =
                module::linear(x, weight.clone(), Some(bias.clone())).reshape([b, h, w, 2, 2, c]);
            let pixels: Tensor<4> = patches.permute([0, 1, 3, 2, 4, 5]).reshape([b, 2 * h, 2 * w, c]);
            pixels
        };
        let x = expand(source.clone(), &weight1, &bias1) + finer[0].clone();
        let x = activation::gelu(norm.forward(x));
        let x = activation::gelu(expand(x, &weight2, &bias2) + finer[1].clone());
        let pixels = x.reshape([b, 16 * h * w, channels]);
        let wanted = hypers.clone().matmul(pixels.swap_dims(1, 2));

        let (conv1, conv2) = (
            PackedLinear::new(weight1, bias1),
            PackedLinear::new(weight2, bias2),
        );
        let ours = masks_by_rows((&conv1, &norm, &conv2), source, finer, hypers);
        assert!(apart(ours, wanted) < 1e-4);
    }
}
