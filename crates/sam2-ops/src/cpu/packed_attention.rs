//! Attention by `sam2-matmul`.

use burn::tensor::{Tensor, TensorData};
use sam2_matmul::{Columns, Packed, Rows, multiply, multiply_into};

use super::math::softmax;
use super::packed::{Tokens, View};

/// The number of scores that exist at once. These are 256 kB, which stay in the cache between the two products.
const SCORES: usize = 1 << 16;
/// The number of queries from which values are packed too.
const FEW: usize = 16;

/// The same as [`super::softmax_attention::attention`]. The result is a view of `[..., n, heads, d]`, so that joining the
/// heads needs no copy.
pub fn attention<const D: usize>(q: Tensor<D>, k: Tensor<D>, v: Tensor<D>) -> Tensor<D> {
    let scale = 1.0 / (q.dims()[D - 1] as f32).sqrt();
    scaled_attention(q, k, v, scale)
}

/// The same with the factor `scale` of the scores.
pub fn scaled_attention<const D: usize>(q: Tensor<D>, k: Tensor<D>, v: Tensor<D>, scale: f32) -> Tensor<D> {
    let device = q.device();
    let mut dims = q.dims();
    let (heads, n, d, m) = (dims[D - 3], dims[D - 2], dims[D - 1], k.dims()[D - 2]);
    let outer: usize = dims[..D - 3].iter().product();
    let (q, k, v) = (View::new(q), View::new(k), View::new(v));
    let [q_stride, k_stride, v_stride] = [&q, &k, &v].map(|x| x.strides[D - 2]);

    let mut out = vec![0.0; outer * n * heads * d];
    let rows = (SCORES / m.max(1)).clamp(1, n.max(1));
    let mut scores = vec![0.0; rows * m];
    let (mut keys, mut packed) = (Packed::default(), Packed::default());
    for number in 0..outer * heads {
        keys.fill(k.matrix(number), [d, m], [1, k_stride]);
        let values = if n < FEW && d.is_multiple_of(4) {
            Columns::new(v.matrix(number), [m, d], v_stride)
        } else {
            packed.fill(v.matrix(number), [m, d], [v_stride, 1]);
            packed.columns()
        };
        let queries = q.matrix(number);
        let answers = &mut out[number / heads * n * heads * d + number % heads * d..];
        for start in (0..n).step_by(rows) {
            let length = rows.min(n - start);
            let scores = &mut scores[..length * m];
            let queries = Rows::new(&queries[start * q_stride..], [length, d], q_stride);
            multiply_into(queries, keys.columns(), None, false, scores, m);
            softmax(scores, m, scale);
            let answers = &mut answers[start * heads * d..];
            multiply_into(
                Rows::new(scores, [length, m], m),
                values,
                None,
                false,
                answers,
                heads * d,
            );
        }
    }
    dims.swap(D - 3, D - 2);
    let out: Tensor<D> = Tensor::from_data(TensorData::new(out, dims), &device);
    out.swap_dims(D - 3, D - 2)
}

/// A block of keys and values for many queries.
pub struct PackedBlock {
    /// `[d, m]`.
    keys: Packed,
    /// `[m, v]`.
    values: Packed,
}

impl PackedBlock {
    /// Packs keys `[m, d]` and values `[m, v]`.
    pub fn new(keys: Tensor<2>, values: Tensor<2>) -> Self {
        let ([m, d], [_, v]) = (keys.dims(), values.dims());
        let (keys, values) = (View::new(keys), View::new(values));
        Self {
            keys: Packed::new(keys.values(), [d, m], [1, keys.strides[0]]),
            values: Packed::new(values.values(), [m, v], [values.strides[0], 1]),
        }
    }

    /// The products of queries `[n, d]` with all keys: `[n, m]`.
    pub fn scores(&self, queries: Tensor<2>) -> TensorData {
        let queries = Tokens::new(queries);
        let scores = multiply(queries.rows(), self.keys.columns(), None);
        TensorData::new(scores, [queries.rows, self.keys.shape()[1]])
    }

    /// The product of weights `[n, m]` with the values: `[n, v]`.
    pub fn sums(&self, weights: &TensorData) -> TensorData {
        let [m, v] = self.values.shape();
        let weights = weights.as_slice().expect("f32 numbers");
        let n = weights.len() / m;
        let sums = multiply(Rows::new(weights, [n, m], m), self.values.columns(), None);
        TensorData::new(sums, [n, v])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::testing::{self, ATTENTIONS, apart, random};
    use super::*;

    #[test]
    fn attention_is_attention_on_views() {
        for [b, heads, n, m, d] in ATTENTIONS {
            let views = |length| random([b, length, heads, d]).swap_dims(1, 2);
            let (q, k, v): (Tensor<4>, Tensor<4>, Tensor<4>) = (views(n), views(m), views(m));
            let wanted = testing::attention(q.clone(), k.clone(), v.clone());
            let difference = apart(attention(q, k, v), wanted);
            assert!(difference < 2e-5, "{n} queries, {m} keys: {difference}");
        }
    }

    #[test]
    fn a_packed_block_multiplies_as_its_tensors() {
        // Parts of larger tensors, as they come.
        let queries: Tensor<2> = random([90, 24]).narrow(0, 7, 70);
        let keys: Tensor<2> = random([300, 24]).narrow(0, 100, 83);
        let values: Tensor<2> = random([300, 12]).narrow(0, 100, 83);
        let block = PackedBlock::new(keys.clone(), values.clone());
        let device = Device::flex();
        let scores = block.scores(queries.clone());
        let sums = Tensor::<2>::from_data(block.sums(&scores), &device);
        let wanted = queries.matmul(keys.transpose());
        assert!(apart(Tensor::from_data(scores, &device), wanted.clone()) < 1e-4);
        assert!(apart(sums, wanted.matmul(values)) < 1e-3);
    }
}
