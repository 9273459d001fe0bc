//! Attention between a few tokens and the many pixels of a picture, by packed products. Instead of projecting the
//! pixels, it multiplies the tokens with the transposed projection: q·(x W) = (q Wᵀ)·x. Many small products, head by
//! head, become two large ones. With no more than `internal / heads` tokens, they are also fewer operations.

use burn::tensor::{Tensor, TensorData};
use sam2_matmul::{Bias, PANEL, Packed, Rows, multiply_into};

use super::math::{LANES, layer_norm_rows, softmax_of_heads};
use super::packed::{PackedLinear, Tokens, View};
use super::packed_attention::scaled_attention;
use crate::LayerNorm;

/// The number of pixels that are processed at once.
const PIXELS: usize = 64;

/// Whether this is faster for `n` tokens, and supported for heads of this number and width.
pub fn is_back_projection_faster(n: usize, heads: usize, internal: usize) -> bool {
    heads == LANES && (internal / heads).is_multiple_of(PANEL) && n * heads <= 2 * internal
}

/// The queries of a picture's pixels.
pub enum Pixels {
    /// Projected queries, `[b or 1, m, internal]`.
    Projected(Tensor<3>),
    /// The pixels from which the queries would be projected, `[b, m, dim]`.
    Plain(Tensor<3>),
}

/// Attention of queries `[b, n, internal]` to pixels, whose keys would be projected from `keys` and whose values from
/// `values`, both `[b, m, dim]`. The result is `[b, n, internal]`, before the output's projection.
pub fn tokens_to_pixels(
    q: Tensor<3>,
    keys: Tensor<3>,
    values: Tensor<3>,
    heads: usize,
    [k_proj, v_proj]: [&PackedLinear; 2],
) -> Tensor<3> {
    let ([b, n, internal], dim, device) = (q.dims(), keys.dims()[2], q.device());
    let d = internal / heads;
    let back = k_proj.transposed();
    let q = View::contiguous(q);
    let mut queries = vec![0.0; b * heads * n * dim];
    for (i, queries) in queries.chunks_exact_mut(n * dim).enumerate() {
        let (batch, head) = (i / heads, i % heads * d);
        let q = Rows::new(&q.values()[batch * n * internal + head..], [n, d], internal);
        multiply_into(q, back.part(head..head + d, 0..dim), None, false, queries, dim);
    }
    // The bias of the keys adds the same number to all scores of a query, which does not change their softmax.
    let queries = Tensor::<4>::from_data(TensorData::new(queries, [b, 1, heads * n, dim]), &device);
    let scale = 1.0 / (d as f32).sqrt();
    let means = scaled_attention(queries, keys.unsqueeze_dim(1), values.unsqueeze_dim(1), scale);

    let means = View::contiguous(means);
    let mut out = vec![0.0; b * n * internal];
    for (i, means) in means.values().chunks_exact(n * dim).enumerate() {
        let (batch, head) = (i / heads, i % heads * d);
        let bias = Bias::new(&v_proj.bias.values()[head..head + d]);
        let values = v_proj.weight.part(0..dim, head..head + d);
        let out = &mut out[batch * n * internal + head..];
        multiply_into(
            Rows::new(means, [n, dim], dim),
            values,
            Some(&bias),
            false,
            out,
            internal,
        );
    }
    Tensor::from_data(TensorData::new(out, [b, n, internal]), &device)
}

/// Attention of pixels to keys and values `[b, n, internal]`. The result is projected, added to `image` `[b or 1, m,
/// dim]` and normalised: `[b, m, dim]`.
pub fn pixels_to_tokens(
    pixels: Pixels,
    [k, v]: [Tensor<3>; 2],
    heads: usize,
    [q_proj, out_proj]: [&PackedLinear; 2],
    image: Tensor<3>,
    norm: &LayerNorm,
) -> Tensor<3> {
    let ([b, n, internal], [images, m, dim], device) = (k.dims(), image.dims(), k.device());
    let d = internal / heads;
    let (pixels, projected) = match pixels {
        Pixels::Projected(queries) => (queries, true),
        Pixels::Plain(pixels) => (pixels, false),
    };
    let [own_pixels, _, width] = pixels.dims();
    let [weight, shift] = [&norm.weight, &norm.bias].map(|x| View::contiguous(x.value()));
    let (pixels, [k, v, image]) = (Tokens::new(pixels), [k, v, image].map(View::contiguous));

    let columns = n * heads;
    let (mut asked, mut answers) = (vec![0.0; columns * width], vec![0.0; columns * dim]);
    let (mut packed, mut packed_answers) = (Packed::default(), Packed::default());
    let mut scores = vec![0.0; PIXELS * columns];
    let mut out = vec![0.0; b * m * dim];
    for (i, out) in out.chunks_exact_mut(m * dim).enumerate() {
        let [k, v] = [&k, &v].map(|x| &x.values()[i * n * internal..][..n * internal]);
        let mut offsets = vec![0.0; columns];
        for head in 0..heads {
            let part = head * d..(head + 1) * d;
            let [keys, values] = [k, v].map(|x| Rows::new(&x[part.start..], [n, d], internal));
            let each_key = k.chunks_exact(internal).map(|key| &key[part.clone()]);
            if projected {
                for (token, key) in each_key.enumerate() {
                    asked[(token * heads + head) * width..][part.clone()].copy_from_slice(key);
                }
            } else {
                let back = q_proj.transposed().part(part.clone(), 0..dim);
                multiply_into(keys, back, None, false, &mut asked[head * dim..], heads * dim);
                let bias = &q_proj.bias.values()[part.clone()];
                for (token, key) in each_key.enumerate() {
                    offsets[token * heads + head] = key.iter().zip(bias).map(|(a, b)| a * b).sum();
                }
            }
            let output = out_proj.weight.part(part.clone(), 0..dim);
            multiply_into(
                values,
                output,
                None,
                false,
                &mut answers[head * dim..],
                heads * dim,
            );
        }
        packed.fill(&asked, [width, columns], [1, width]);
        packed_answers.fill(&answers, [columns, dim], [dim, 1]);
        let offsets = Bias::new(&offsets);

        let pixels = pixels.rows().part(if own_pixels > 1 { i * m } else { 0 }, m);
        let image = &image.values()[if images > 1 { i * m * dim } else { 0 }..][..m * dim];
        let blocks = out.chunks_mut(PIXELS * dim).zip(image.chunks(PIXELS * dim));
        for (block, (out, image)) in blocks.enumerate() {
            let pixels = pixels.part(block * PIXELS, PIXELS);
            let scores = &mut scores[..pixels.len() * columns];
            multiply_into(pixels, packed.columns(), Some(&offsets), false, scores, columns);
            softmax_of_heads(scores, columns, 1.0 / (d as f32).sqrt());
            let scores = Rows::new(scores, [pixels.len(), columns], columns);
            let bias = Some(&out_proj.bias);
            multiply_into(scores, packed_answers.columns(), bias, false, out, dim);
            out.iter_mut().zip(image).for_each(|(x, image)| *x += image);
            layer_norm_rows(out, weight.values(), shift.values(), norm.eps as f32);
        }
    }
    Tensor::from_data(TensorData::new(out, [b, m, dim]), &device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::module;

    use super::super::testing::{apart, attention, random};
    use super::*;
    use crate::{Implementation, Parameter, Products};

    /// A layer, as it is and packed.
    struct Layer(Tensor<2>, Tensor<1>, PackedLinear);

    impl Layer {
        fn random(input: usize, output: usize) -> Self {
            let (weight, bias) = (random([input, output]) * 0.3, random([output]));
            let packed = PackedLinear::new(weight.clone(), bias.clone());
            Self(weight, bias, packed)
        }

        fn forward(&self, x: Tensor<3>) -> Tensor<3> {
            module::linear(x, self.0.clone(), Some(self.1.clone()))
        }
    }

    fn by_heads([q, k, v]: [Tensor<3>; 3]) -> Tensor<3> {
        let ([b, n, c], d) = (q.dims(), q.dims()[2] / LANES);
        let [q, k, v] = [q, k, v].map(|x| {
            let m = x.dims()[1];
            x.reshape([b, m, LANES, d]).swap_dims(1, 2)
        });
        attention(q, k, v).swap_dims(1, 2).reshape([b, n, c])
    }

    /// (batch, tokens, pixels, tokens' width, heads' width)
    const SHAPES: [[usize; 5]; 3] = [[1, 8, 130, 24, 8], [3, 6, 70, 32, 16], [2, 9, 64, 16, 8]];

    #[test]
    fn tokens_attend_as_if_pixels_were_projected() {
        for [b, n, m, dim, d] in SHAPES {
            let (k_proj, v_proj) = (Layer::random(dim, LANES * d), Layer::random(dim, LANES * d));
            let (q, k, v) = (
                random([b, n, LANES * d]),
                random([b, m, dim]),
                random([b, m, dim]),
            );
            let wanted = by_heads([q.clone(), k_proj.forward(k.clone()), v_proj.forward(v.clone())]);
            let ours = tokens_to_pixels(q, k, v, LANES, [&k_proj.2, &v_proj.2]);
            assert!(apart(ours, wanted) < 1e-4);
        }
    }

    #[test]
    fn pixels_attend_as_if_they_were_projected() {
        for [b, n, m, dim, d] in SHAPES {
            let (q_proj, out_proj) = (Layer::random(dim, LANES * d), Layer::random(LANES * d, dim));
            let norm = LayerNorm::new(
                Parameter::new(random([dim])),
                Parameter::new(random([dim])),
                1e-5,
                &Implementation::cpu(Products::Packed),
            );
            let (k, v) = (random([b, n, LANES * d]), random([b, n, LANES * d]));
            for images in [1, b] {
                let (pixels, image): (Tensor<3>, Tensor<3>) =
                    (random([images, m, dim]), random([images, m, dim]));
                let queries = q_proj.forward(pixels.clone());
                let all = queries.clone().expand([b, m, LANES * d]);
                let attended = out_proj.forward(by_heads([all, k.clone(), v.clone()]));
                let wanted = norm.forward(image.clone() + attended);
                for pixels in [Pixels::Projected(queries), Pixels::Plain(pixels)] {
                    let (tokens, layers) = ([k.clone(), v.clone()], [&q_proj.2, &out_proj.2]);
                    let ours = pixels_to_tokens(pixels, tokens, LANES, layers, image.clone(), &norm);
                    assert!(apart(ours, wanted.clone()) < 1e-4);
                }
            }
        }
    }
}
