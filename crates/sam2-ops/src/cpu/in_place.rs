//! Work on the values of tensors in place, and on several rows in parallel if there are threads.

use burn::tensor::{Tensor, TensorData};

use super::math::{gelu_values, larger, quick_gelu_values};
use crate::{Activation, portable};

/// Applies `work` to the values of a tensor, in whole rows of `row` numbers. The values are changed in place unless
/// they are shared.
pub fn in_place<const D: usize>(
    x: Tensor<D>,
    row: usize,
    work: impl Fn(&mut [f32]) + Sync + Send,
) -> Tensor<D> {
    let device = x.device();
    let mut data = x.into_data();
    let values = floats_mut(&mut data);
    #[cfg(feature = "rayon")]
    {
        use rayon::prelude::*;
        /// The number of values of a task, which is large enough to be worth the overhead of a task.
        const TASK: usize = 1 << 15;
        values
            .par_chunks_mut((row * TASK.div_ceil(row)).max(1))
            .for_each(work);
    }
    #[cfg(not(feature = "rayon"))]
    {
        let _ = row;
        work(values);
    }
    Tensor::from_data(data, &device)
}

/// Applies `activation` to each value.
pub fn activate<const D: usize>(x: Tensor<D>, activation: Option<Activation>) -> Tensor<D> {
    match activation {
        Some(Activation::Gelu) => in_place(x, 1, gelu_values),
        Some(Activation::QuickGelu) => in_place(x, 1, quick_gelu_values),
        other => portable::activate(x, other),
    }
}

/// The 2x2 maximum of channels-last pictures of even height and width: `[b, h, w, c]` to `[b, h/2, w/2, c]`.
pub fn max_pool(x: Tensor<4>) -> Tensor<4> {
    let [b, h, w, c] = x.dims();
    let device = x.device();
    let data = x.into_data();
    let values = floats(&data);
    let mut out = Vec::with_capacity(values.len() / 4);
    for pair in values.chunks_exact((2 * w * c).max(1)) {
        let (upper, lower) = pair.split_at(w * c);
        for (upper, lower) in upper.chunks_exact(2 * c).zip(lower.chunks_exact(2 * c)) {
            let (upper_left, upper_right) = upper.split_at(c);
            let (lower_left, lower_right) = lower.split_at(c);
            let upper = upper_left.iter().zip(upper_right);
            let corners = upper.zip(lower_left.iter().zip(lower_right));
            out.extend(corners.map(|((a, b), (c, d))| larger(larger(*a, *b), larger(*c, *d))));
        }
    }
    Tensor::from_data(TensorData::new(out, [b, h / 2, w / 2, c]), &device)
}

/// Adds the results of `work` to `x`. `work` is called with the index of a first row and of the row after the last one,
/// for `rows` rows at a time, and returns as many rows of the width of `x`.
pub fn add_by_rows(
    x: Tensor<2>,
    rows: usize,
    mut work: impl FnMut(std::ops::Range<usize>) -> Tensor<2>,
) -> Tensor<2> {
    let ([n, width], device) = (x.dims(), x.device());
    let mut data = x.into_data();
    for (i, values) in floats_mut(&mut data)
        .chunks_mut((rows * width).max(1))
        .enumerate()
    {
        let first = i * rows;
        let answer = work(first..n.min(first + rows)).into_data();
        for (value, answer) in values.iter_mut().zip(floats(&answer)) {
            *value += answer;
        }
    }
    Tensor::from_data(data, &device)
}

/// The values of a tensor.
pub fn floats(data: &TensorData) -> &[f32] {
    data.as_slice().expect("networks compute in f32")
}

/// The values of a tensor, mutable.
pub fn floats_mut(data: &mut TensorData) -> &mut [f32] {
    data.as_mut_slice().expect("networks compute in f32")
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, activation};

    use super::super::testing::{apart, random};
    use super::*;

    #[test]
    fn gelu_is_gelu() {
        let values: Vec<f32> = (-9000..9000).map(|i| i as f32 / 1000.0).collect();
        let x = Tensor::<1>::from_floats(values.as_slice(), &Device::flex());
        let ours = activate(x.clone(), Some(Activation::Gelu));
        assert!(apart(ours, activation::gelu(x)) < 2e-6);
    }

    #[test]
    fn max_pool_is_the_largest_of_four() {
        let x: Tensor<4> = random([3, 6, 4, 5]);
        let corner = |dy: usize, dx: usize| {
            let x: Tensor<6> = x.clone().reshape([3, 3, 2, 2, 2, 5]);
            x.narrow(2, dy, 1).narrow(4, dx, 1).reshape([3, 3, 2, 5])
        };
        let wanted = corner(0, 0)
            .max_pair(corner(0, 1))
            .max_pair(corner(1, 0).max_pair(corner(1, 1)));
        assert_eq!(apart(max_pool(x), wanted), 0.0);
    }

    #[test]
    fn rows_are_added_to_their_own() {
        let (x, y): (Tensor<2>, Tensor<2>) = (random([7, 3]), random([7, 3]));
        let sum = add_by_rows(x.clone(), 3, |rows| y.clone().slice([rows, 0..3]));
        assert_eq!(apart(sum, x + y), 0.0);
    }
}
