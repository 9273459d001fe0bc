//! Bilinear resizing of square maps, as two matrix products.

use burn::tensor::{Device, Tensor, TensorData};
use sam2_resample::{Filter, Kernel};

/// `[output, input]`: what `F.interpolate(mode="bilinear", align_corners=False, antialias=True)` does along one axis.
/// Where it enlarges, this is the same without `antialias`.
fn bilinear_matrix(input: usize, output: usize, device: &Device) -> Tensor<2> {
    let filter = Filter::new(Kernel::Triangle, input, output);
    let mut matrix = vec![0f32; output * input];
    for (i, row) in matrix.chunks_exact_mut(input).enumerate() {
        for k in filter.window(i) {
            row[k] = filter.weight(i, k) as f32;
        }
    }
    Tensor::from_data(TensorData::new(matrix, [output, input]), device)
}

/// Resizes square maps of one size to another.
#[derive(Debug)]
pub struct BilinearResize {
    /// `[1, output, input]`.
    rows: Tensor<3>,
    /// `[1, input, output]`.
    columns: Tensor<3>,
}

impl BilinearResize {
    /// From `input` to `output` pixels a side.
    pub fn new(input: usize, output: usize, device: &Device) -> Self {
        let matrix = bilinear_matrix(input, output, device);
        Self {
            rows: matrix.clone().unsqueeze_dim(0),
            columns: matrix.transpose().unsqueeze_dim(0),
        }
    }

    /// `[b, input, input]` to `[b, output, output]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.rows.clone().matmul(x).matmul(self.columns.clone())
    }
}
