//! Functions of numbers and of rows, in loops that become SIMD. burn's CPU backend would call a scalar `exp` or `erf` for
//! every number.

use crate::Activation;

/// `nn.GELU` of each number, in the exact form with the error function.
pub fn gelu_values(values: &mut [f32]) {
    for x in values {
        *x = 0.5 * *x * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2));
    }
}

/// x / (1 + e^-1.702x) of each number (`quick_gelu`).
pub fn quick_gelu_values(values: &mut [f32]) {
    for x in values {
        *x *= sigmoid(1.702 * *x);
    }
}

/// 1 / (1 + e^-x) of each number.
pub fn sigmoid_values(values: &mut [f32]) {
    for x in values {
        *x = sigmoid(*x);
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let of_positive = 1.0 / (1.0 + e);
    if x < 0.0 { e * of_positive } else { of_positive }
}

/// Applies `activation` to each number.
pub fn activate_values(values: &mut [f32], activation: Option<Activation>) {
    match activation {
        None => {}
        Some(Activation::Gelu) => gelu_values(values),
        Some(Activation::QuickGelu) => quick_gelu_values(values),
        Some(Activation::Sigmoid) => sigmoid_values(values),
        Some(Activation::Relu) => values.iter_mut().for_each(|x| *x = x.max(0.0)),
        Some(Activation::Relu6) => values.iter_mut().for_each(|x| *x = x.clamp(0.0, 6.0)),
    }
}

/// Layer normalisation of rows as wide as `weight`, in place.
pub fn layer_norm_rows(values: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
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

/// The sum of `value` over the numbers of a row.
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

/// The number of partial sums of a row. A sum in order could not be vectorised.
pub const LANES: usize = 8;

/// The softmax of each row of `scores`, multiplied by `scale` first.
// It is never inlined, because its loops do not all become SIMD inside a large function.
#[inline(never)]
pub fn softmax(scores: &mut [f32], row: usize, scale: f32) {
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

/// The same for rows that have the scores of `LANES` heads for the first token, then for the second token, and so on. The
/// softmax is over the tokens, for each head.
pub fn softmax_of_heads(scores: &mut [f32], row: usize, scale: f32) {
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

/// The larger of two numbers, in a form that compiles to one instruction.
#[inline(always)]
pub fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// e to the power of `x` ≤ 0, as a weight of a softmax. The result is at least 1e-26, which does not change a sum of
/// numbers near 1. Products with smaller weights could be subnormal, which some processors take a hundred times as long
/// for.
#[inline(always)]
pub fn weight(x: f32) -> f32 {
    exp(larger(x, -60.0))
}

/// e to the power of `x` ≤ 0, with a relative error below 1e-7. The result is at least 1e-38. This is `expf` of the
/// Cephes library, without branches.
#[inline(always)]
#[allow(clippy::excessive_precision)] // The constants as they were published.
pub fn exp(x: f32) -> f32 {
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

/// The error function, by the rational approximation of Eigen's `erf`, with an error below 5e-7.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
