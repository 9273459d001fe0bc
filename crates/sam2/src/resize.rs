//! Bilinear resizing of square maps, as two matrix products.

use burn::tensor::{Device, Tensor, TensorData};

/// `[output, input]`: what `F.interpolate(mode="bilinear", align_corners=False, antialias=True)` does along one axis.
/// Where it enlarges, this is the same without `antialias`.
pub fn bilinear_matrix(input: usize, output: usize, device: &Device) -> Tensor<2> {
    let scale = input as f64 / output as f64;
    let support = scale.max(1.0);
    let mut matrix = vec![0f32; output * input];
    for (i, row) in matrix.chunks_exact_mut(input).enumerate() {
        let center = (i as f64 + 0.5) * scale;
        let first = (center - support + 0.5).max(0.0) as usize;
        let last = ((center + support + 0.5) as usize).min(input);
        let weight = |k: usize| (1.0 - ((k as f64 + 0.5 - center) / support).abs()).max(0.0);
        let sum: f64 = (first..last).map(weight).sum();
        for (k, value) in row.iter_mut().enumerate().take(last).skip(first) {
            *value = (weight(k) / sum) as f32;
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
