//! Attention to keys that are given in blocks. The softmax is updated with each block, so that neither all scores nor all
//! keys exist at once.
//!
//! The attention of burn's CPU backend computes one exponential at a time, which takes longer than its products.

use burn::tensor::{Tensor, TensorData};
#[cfg(feature = "rayon")]
use rayon::prelude::*;

use super::Products;
use super::math::{exp, weight};
use super::packed_attention::PackedBlock;

/// The number of queries whose scores with a block of keys exist at once. With 512 keys, these are half a megabyte, which
/// stays in the cache.
const QUERIES: usize = 256;
/// The number of rows of a thread's task.
#[cfg(feature = "rayon")]
const ROWS: usize = 64;

/// The state of each query's softmax.
#[derive(Clone, Copy)]
struct Row {
    /// The maximum of the scores so far.
    max: f32,
    /// The sum of the scores' exponentials, relative to `max`.
    sum: f32,
    /// The factor by which earlier sums have to be multiplied since the last block.
    correction: f32,
}

/// The attention of queries to blocks of keys and values.
pub struct OnlineSoftmax {
    /// Parts of `[n, d]`.
    queries: Vec<Tensor<2>>,
    rows: Vec<Row>,
    products: Products,
    /// The sums of values, row by row; empty before the first block.
    output: Vec<f32>,
}

impl OnlineSoftmax {
    /// Attention of queries `[n, d]`, which are already scaled.
    pub fn new(products: Products, queries: &Tensor<2>) -> Self {
        let [n, _] = queries.dims();
        let part = |start: usize| queries.clone().narrow(0, start, QUERIES.min(n - start));
        let row = Row {
            max: f32::NEG_INFINITY,
            sum: 0.0,
            correction: 0.0,
        };
        Self {
            queries: (0..n).step_by(QUERIES).map(part).collect(),
            rows: vec![row; n],
            products,
            output: Vec::new(),
        }
    }

    /// Adds a block of keys `[m, d]` and their values `[m, v]`.
    pub fn add(&mut self, keys: Tensor<2>, values: Tensor<2>) {
        let [m, width] = values.dims();
        self.output.resize(self.rows.len() * width, 0.0);
        let block = Block::new(self.products, keys, values);
        let parts = self.rows.chunks_mut(QUERIES);
        let parts = parts.zip(self.output.chunks_mut(QUERIES * width));
        let work = |(queries, (rows, output)): (&Tensor<2>, (&mut [Row], &mut [f32]))| {
            let mut scores = block.scores(queries);
            soften(scores.as_mut_slice().expect("f32 numbers"), m, rows);
            let update = block.sums(scores);
            accumulate(output, update.as_slice().expect("f32 numbers"), rows);
        };
        let parts = self.queries.iter().zip(parts);
        // Threads are faster with whole parts than with a share of each product.
        #[cfg(feature = "rayon")]
        parts.collect::<Vec<_>>().into_par_iter().for_each(work);
        #[cfg(not(feature = "rayon"))]
        parts.for_each(work);
    }

    /// The result, `[n, v]`.
    ///
    /// # Panics
    /// If no block was added.
    pub fn finish(mut self) -> Tensor<2> {
        let n = self.rows.len();
        let width = self.output.len() / n;
        for (output, row) in self.output.chunks_exact_mut(width).zip(&self.rows) {
            output.iter_mut().for_each(|value| *value /= row.sum);
        }
        let device = self.queries[0].device();
        Tensor::from_data(TensorData::new(self.output, [n, width]), &device)
    }
}

/// Keys and values, prepared for the products.
#[allow(clippy::large_enum_variant)] // Only one exists at a time.
enum Block {
    /// Keys `[d, m]` and values `[m, v]`.
    #[cfg(not(target_arch = "wasm32"))]
    Burn(Tensor<2>, Tensor<2>),
    Packed(PackedBlock),
}

impl Block {
    fn new(products: Products, keys: Tensor<2>, values: Tensor<2>) -> Self {
        match products {
            #[cfg(not(target_arch = "wasm32"))]
            Products::Burn => Self::Burn(keys.transpose(), values),
            Products::Packed => Self::Packed(PackedBlock::new(keys, values)),
        }
    }

    /// The products of queries `[n, d]` with all keys: `[n, m]`.
    fn scores(&self, queries: &Tensor<2>) -> TensorData {
        match self {
            #[cfg(not(target_arch = "wasm32"))]
            Self::Burn(keys, _) => queries.clone().matmul(keys.clone()).into_data(),
            Self::Packed(block) => block.scores(queries.clone()),
        }
    }

    /// The product of weights `[n, m]` with the values: `[n, v]`.
    fn sums(&self, weights: TensorData) -> TensorData {
        match self {
            #[cfg(not(target_arch = "wasm32"))]
            Self::Burn(_, values) => {
                let weights = Tensor::<2>::from_data(weights, &values.device());
                weights.matmul(values.clone()).into_data()
            }
            Self::Packed(block) => block.sums(&weights),
        }
    }
}

/// Replaces rows of `m` scores by their exponentials.
fn soften(scores: &mut [f32], m: usize, rows: &mut [Row]) {
    #[cfg(feature = "rayon")]
    scores
        .par_chunks_mut(ROWS * m)
        .zip(rows.par_chunks_mut(ROWS))
        .for_each(|(scores, rows)| soften_rows(scores, m, rows));
    #[cfg(not(feature = "rayon"))]
    soften_rows(scores, m, rows);
}

// The type parameter selects the processor for which the function is compiled.
#[allow(clippy::extra_unused_type_parameters)]
#[macerator::with_simd]
fn soften_rows<S: macerator::Simd>(scores: &mut [f32], m: usize, rows: &mut [Row]) {
    for (scores, row) in scores.chunks_exact_mut(m).zip(rows) {
        let max = fold(scores, row.max, |a, b| if a > b { a } else { b });
        scores.iter_mut().for_each(|score| *score = weight(*score - max));
        row.correction = exp(row.max - max);
        row.sum = row.sum * row.correction + fold(scores, 0.0, |a, b| a + b);
        row.max = max;
    }
}

/// Joins all values, sixteen at a time, so that they fit SIMD registers.
#[inline(always)]
fn fold(values: &[f32], start: f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<16>();
    let mut lanes = [start; 16];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = join(*lane, *value);
        }
    }
    let lanes = lanes.into_iter().chain(rest.iter().copied());
    lanes.fold(start, join)
}

/// Multiplies the sums so far by their corrections, and adds those of a block.
fn accumulate(output: &mut [f32], update: &[f32], rows: &[Row]) {
    let width = output.len() / rows.len();
    for ((output, update), row) in output
        .chunks_exact_mut(width)
        .zip(update.chunks_exact(width))
        .zip(rows)
    {
        for (value, update) in output.iter_mut().zip(update) {
            *value = *value * row.correction + update;
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::activation::softmax;

    use super::super::testing::{apart, random};
    use super::*;

    #[test]
    fn blocks_add_up_to_a_softmax() {
        let (q, k, v): (Tensor<2>, Tensor<2>, Tensor<2>) =
            (random([1100, 8]) * 3.0, random([83, 8]), random([83, 5]));
        let wanted = softmax(q.clone().matmul(k.clone().transpose()), 1).matmul(v.clone());
        for products in [Products::Burn, Products::Packed] {
            let mut ours = OnlineSoftmax::new(products, &q);
            for (start, length) in [(0, 40), (40, 1), (41, 42)] {
                ours.add(
                    k.clone().narrow(0, start, length),
                    v.clone().narrow(0, start, length),
                );
            }
            let apart = apart(ours.finish(), wanted.clone());
            assert!(apart < 1e-5, "{products:?}: {apart}");
        }
    }
}
