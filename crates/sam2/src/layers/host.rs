//! What the CPU does better by hand. burn's CPU backend calls a scalar `exp` or `erf` for every number, and copies
//! heads and weights before it multiplies; here whole rows are worked on in place, by loops that become SIMD.
//!
//! Each function is the same as burn's own, which runs on every other device.

use burn::tensor::{Device, Tensor, TensorData, activation, module, ops::AttentionModuleOptions};

/// Scores that exist at once, in values: 8 MB, so that large pictures keep them in a cache.
const SCORES: usize = 2 << 20;

/// Whether tensors there are plain memory.
pub(crate) fn is_host(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    return *device == Device::flex();
    #[cfg(not(feature = "flex"))]
    {
        let _ = device;
        false
    }
}

/// softmax(q kᵀ / √d) v over the last two dimensions: `q` `[..., n, d]`, `k` and `v` `[..., m, d]` to `[..., n, d]`.
/// The tensors may be views: on the CPU nothing is copied.
pub fn attention<const D: usize>(q: Tensor<D>, k: Tensor<D>, v: Tensor<D>) -> Tensor<D> {
    let dims = q.dims();
    let (n, d, m) = (dims[D - 2], dims[D - 1], k.dims()[D - 2]);
    let batch: usize = dims[..D - 2].iter().product();
    if !is_host(&q.device()) {
        let flat = |x: Tensor<D>, length: usize| x.reshape([1, batch, length, d]);
        let (q, k, v) = (flat(q, n), flat(k, m), flat(v, m));
        return module::attention(q, k, v, None, None, AttentionModuleOptions::default()).reshape(dims);
    }
    #[cfg(feature = "flex")]
    if super::packed::is_packed(&q.device()) {
        return super::packed::attention(q, k, v);
    }
    let scale = 1.0 / (d as f32).sqrt();
    let k = k.swap_dims(D - 2, D - 1);
    let rows = (SCORES / (batch * m)).clamp(1, n);
    let mut parts = Vec::with_capacity(n.div_ceil(rows));
    for start in (0..n).step_by(rows) {
        let q = q.clone().narrow(D - 2, start, rows.min(n - start));
        let weights = in_place(q.matmul(k.clone()), m, |scores| softmax(scores, m, scale));
        parts.push(weights.matmul(v.clone()));
    }
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, D - 2),
    }
}

/// `nn.GELU`, the exact form by the error function.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !is_host(&x.device()) {
        return activation::gelu(x);
    }
    in_place(x, 1, gelu_values)
}

/// The same, of numbers.
pub(super) fn gelu_values(values: &mut [f32]) {
    for x in values {
        *x = 0.5 * *x * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2));
    }
}

/// Layer normalisation of rows as wide as `weight`, in place.
#[cfg(feature = "flex")]
pub(super) fn layer_norm_rows(values: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    let width = weight.len();
    for row in values.chunks_exact_mut(width) {
        let mean = sum_of(row, |x| x) / width as f32;
        let variance = sum_of(row, |x| (x - mean) * (x - mean)) / width as f32;
        let factor = 1.0 / (variance + eps).sqrt();
        for ((x, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
            *x = (*x - mean) * factor * weight + bias;
        }
    }
}

/// The sum of `value` of each of a row's numbers.
#[cfg(feature = "flex")]
#[inline(always)]
fn sum_of(row: &[f32], value: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += value(*x);
        }
    }
    let rest = rest.iter().map(|x| value(*x));
    sums.into_iter().chain(rest).sum()
}

/// 2x2 maximum over channels-last pictures of even height and width: `[b, h, w, c]` to `[b, h/2, w/2, c]`.
pub fn max_pool<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let mut dims = x.dims();
    let (h, w, c) = (dims[D - 3], dims[D - 2], dims[D - 1]);
    let rows = dims[..D - 2].iter().product::<usize>();
    (dims[D - 3], dims[D - 2]) = (h / 2, w / 2);
    if !is_host(&x.device()) {
        let columns = pair_max(x.reshape([rows * w / 2, 2, c]));
        return pair_max(columns.reshape([rows / 2, 2, w / 2 * c])).reshape(dims);
    }
    let device = x.device();
    let data = x.into_data();
    let values = floats(&data);
    let mut out = Vec::with_capacity(values.len() / 4);
    for pair in values.chunks_exact(2 * w * c) {
        let (upper, lower) = pair.split_at(w * c);
        for (upper, lower) in upper.chunks_exact(2 * c).zip(lower.chunks_exact(2 * c)) {
            let (a, b) = upper.split_at(c);
            let (e, f) = lower.split_at(c);
            let corners = a.iter().zip(b).zip(e.iter().zip(f));
            out.extend(corners.map(|((a, b), (e, f))| larger(larger(*a, *b), larger(*e, *f))));
        }
    }
    Tensor::from_data(TensorData::new(out, dims), &device)
}

/// `[n, 2, c]` to `[n, c]`.
fn pair_max(x: Tensor<3>) -> Tensor<3> {
    x.clone().narrow(1, 0, 1).max_pair(x.narrow(1, 1, 1))
}

/// Works on a tensor's values where they lie, if nobody else holds them; `work` gets whole rows.
fn in_place<const D: usize>(x: Tensor<D>, row: usize, work: impl Fn(&mut [f32]) + Sync + Send) -> Tensor<D> {
    let device = x.device();
    let mut data = x.into_data();
    let values = data.as_mut_slice::<f32>().expect("networks compute in f32");
    #[cfg(feature = "rayon")]
    {
        use rayon::prelude::*;
        /// Values a task: enough to be worth handing over.
        const TASK: usize = 1 << 15;
        values.par_chunks_mut(row * TASK.div_ceil(row)).for_each(work);
    }
    #[cfg(not(feature = "rayon"))]
    {
        let _ = row;
        work(values);
    }
    Tensor::from_data(data, &device)
}

fn floats(data: &TensorData) -> &[f32] {
    data.as_slice::<f32>().expect("networks compute in f32")
}

/// Lanes of a row's sums: a sum in order could not be vectorised.
pub(super) const LANES: usize = 8;

/// Each row of `scores` times `scale` to weights that sum to 1.
pub(super) fn softmax(scores: &mut [f32], row: usize, scale: f32) {
    for row in scores.chunks_exact_mut(row) {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        let mut chunks = row.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane = larger(*lane, *x);
            }
        }
        let rest = chunks.remainder().iter();
        let max = rest.chain(&lanes).copied().fold(f32::NEG_INFINITY, larger);

        let mut sums = [0f32; LANES];
        let mut chunks = row.chunks_exact_mut(LANES);
        for chunk in &mut chunks {
            for (sum, x) in sums.iter_mut().zip(chunk) {
                *x = weight((*x - max) * scale);
                *sum += *x;
            }
        }
        let mut sum: f32 = sums.iter().sum();
        for x in chunks.into_remainder() {
            *x = weight((*x - max) * scale);
            sum += *x;
        }

        let factor = 1.0 / sum;
        for x in row {
            *x *= factor;
        }
    }
}

/// The same where a row has scores of `LANES` heads with the first token, then with the second: a softmax over the tokens
/// for each head.
#[cfg(feature = "flex")]
pub(super) fn softmax_of_heads(scores: &mut [f32], row: usize, scale: f32) {
    for row in scores.chunks_exact_mut(row) {
        let (tokens, _) = row.as_chunks_mut::<LANES>();
        let mut max = [f32::NEG_INFINITY; LANES];
        for token in &*tokens {
            for (max, x) in max.iter_mut().zip(token) {
                *max = larger(*max, *x);
            }
        }
        let mut sums = [0f32; LANES];
        for token in &mut *tokens {
            for ((x, max), sum) in token.iter_mut().zip(&max).zip(&mut sums) {
                *x = weight((*x - max) * scale);
                *sum += *x;
            }
        }
        let factors = sums.map(|sum| 1.0 / sum);
        for token in tokens {
            for (x, factor) in token.iter_mut().zip(&factors) {
                *x *= factor;
            }
        }
    }
}

/// The larger of two numbers, in a form that is one instruction.
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// e to the power of `x` ≤ 0 as a softmax's weight. None becomes smaller than 1e-26, which no sum of numbers near 1 sees:
/// products with smaller ones may be subnormal, and take some processors a hundred times as long.
#[inline(always)]
pub(super) fn weight(x: f32) -> f32 {
    exp(larger(x, -60.0))
}

/// e to the power of `x` ≤ 0, within 1e-7 of its size; 0 becomes at least 1e-38. Cephes' `expf` without branches.
#[inline(always)]
#[allow(clippy::excessive_precision)] // The constants as they were published.
pub(super) fn exp(x: f32) -> f32 {
    /// 1.5 * 2^23: adding it rounds to a whole number, which then lies in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = larger(x, -87.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * 0.693_359_375) + n * 2.121_944_4e-4;
    let mut p = 1.987_569_15e-4;
    for c in [
        1.398_199_950_7e-3,
        8.333_451_907_3e-3,
        4.166_579_589_4e-2,
        1.666_666_545_9e-1,
        5.000_000_120_1e-1,
    ] {
        p = p * r + c;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    (p * r * r + r + 1.0) * power
}

/// The error function, within 5e-7: the rational approximation of Eigen's `erf`.
#[inline(always)]
#[allow(clippy::excessive_precision)] // The constants as they were published.
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let mut p = -2.726_142_258_013_06e-10;
    for c in [
        2.770_681_424_959_02e-8,
        -2.101_024_020_825_08e-6,
        -5.692_506_394_623_46e-5,
        -7.349_906_303_268_55e-4,
        -2.954_599_809_408_54e-3,
        -1.609_603_332_624_15e-2,
    ] {
        p = p * square + c;
    }
    let mut q = -1.456_607_184_649_96e-5;
    for c in [
        -2.133_740_552_789_05e-4,
        -1.682_826_974_382_03e-3,
        -7.373_329_167_204_68e-3,
        -1.426_473_905_141_89e-2,
    ] {
        q = q * square + c;
    }
    x * p / q
}

#[cfg(all(test, feature = "flex"))]
pub(super) mod tests {
    use super::*;
    use burn::tensor::{Distribution, ElementConversion};

    /// Greatest difference between two tensors.
    pub(in super::super) fn apart<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
        assert_eq!(a.dims(), b.dims());
        (a - b).abs().max().into_scalar::<f32>().elem()
    }

    fn random<const D: usize>(shape: [usize; D], scale: f64) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, scale), &Device::flex())
    }

    #[test]
    fn exp_is_exp() {
        for i in 0..=86_000 {
            let x = -(i as f32) / 1000.0;
            let wanted = f64::from(x).exp();
            assert!((f64::from(exp(x)) / wanted - 1.0).abs() < 2e-7, "exp({x})");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::NAN).is_nan() || exp(f32::NAN) >= 0.0);
    }

    #[test]
    fn gelu_is_gelu() {
        let x = Tensor::<1>::from_floats(
            (-9000..9000)
                .map(|i| i as f32 / 1000.0)
                .collect::<Vec<_>>()
                .as_slice(),
            &Device::flex(),
        );
        assert!(apart(gelu(x.clone()), activation::gelu(x)) < 2e-6);
    }

    #[test]
    fn attention_is_attention_on_views_and_in_parts() {
        // (windows, heads, queries, keys, width): a window, a global block in parts, few tokens on many and back.
        for (b, heads, n, m, d) in [
            (9, 2, 49, 49, 24),
            (1, 4, 1000, 3000, 16),
            (2, 8, 8, 700, 16),
            (2, 8, 700, 8, 16),
        ] {
            let views = |length| random([b, length, heads, d], 3.0).swap_dims(1, 2);
            let (q, k, v): (Tensor<4>, Tensor<4>, Tensor<4>) = (views(n), views(m), views(m));
            let wanted = module::attention(
                q.clone(),
                k.clone(),
                v.clone(),
                None,
                None,
                AttentionModuleOptions::default(),
            );
            let difference = apart(attention(q, k, v), wanted);
            assert!(difference < 2e-5, "{n} queries, {m} keys: {difference}");
        }
    }

    #[test]
    fn max_pool_is_the_largest_of_four() {
        let x = random([3, 6, 4, 5], 1.0);
        let [rows, columns] = [0, 1];
        let corner = |dy: usize, dx: usize| {
            let x: Tensor<6> = x.clone().reshape([3, 3, 2, 2, 2, 5]);
            x.narrow(2, rows + dy, 1)
                .narrow(4, columns - 1 + dx, 1)
                .reshape([3, 3, 2, 5])
        };
        let wanted = corner(0, 0)
            .max_pair(corner(0, 1))
            .max_pair(corner(1, 0).max_pair(corner(1, 1)));
        assert_eq!(apart(max_pool::<4>(x.clone()), wanted), 0.0);
    }
}
