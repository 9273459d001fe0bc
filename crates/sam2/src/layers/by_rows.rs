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
