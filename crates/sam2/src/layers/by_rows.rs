//! Work on some of a tensor's rows at a time, so that what it needs on the way is small.

use burn::tensor::{Tensor, TensorData};

use super::host::is_host;

/// `x` `[1, n, d]` through `work`, which gets some rows and the number of their first, and gives as many back. On the
/// CPU it gets `rows` at a time, and each answer takes their place in `x`; on a GPU, which is kept busy by large work,
/// it gets all.
pub fn by_rows(x: Tensor<3>, rows: usize, work: impl Fn(Tensor<3>, usize) -> Tensor<3>) -> Tensor<3> {
    let device = x.device();
    if !is_host(&device) {
        return work(x, 0);
    }
    let [images, _, d] = x.dims();
    debug_assert_eq!(images, 1, "rows of one image");
    let mut data = x.into_data();
    let values = data.as_mut_slice::<f32>().expect("networks compute in f32");
    for (i, values) in values.chunks_mut(rows * d).enumerate() {
        let part = TensorData::new(values.to_vec(), [1, values.len() / d, d]);
        let answer = work(Tensor::from_data(part, &device), i * rows).into_data();
        values.copy_from_slice(answer.as_slice().expect("networks compute in f32"));
    }
    Tensor::from_data(data, &device)
}

/// A picture `[b, h, w, c]` through `work`, which gets `rows` of its rows at a time on the CPU, and several such strips at
/// once where there are threads; a GPU gets all. The answers are put below each other.
pub fn by_strips(
    x: Tensor<4>,
    rows: usize,
    work: impl Fn(Tensor<4>) -> Tensor<4> + Send + Sync,
) -> Tensor<4> {
    let [_, h, _, _] = x.dims();
    if !is_host(&x.device()) || rows >= h {
        return work(x);
    }
    let strips = (0..h)
        .step_by(rows)
        .map(|first| x.clone().narrow(1, first, rows.min(h - first)));
    #[cfg(feature = "rayon")]
    let answers = {
        use rayon::prelude::*;
        strips.collect::<Vec<_>>().into_par_iter().map(work).collect()
    };
    #[cfg(not(feature = "rayon"))]
    let answers = strips.map(work).collect();
    Tensor::cat(answers, 1)
}
