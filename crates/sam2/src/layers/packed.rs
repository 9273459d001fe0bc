//! Linear layers and attention for the browser's CPU: products by `sam2-matmul`, right on the tensors' memory. Weights
//! are packed once, bias and activation come while a block of rows is in the cache, and views are never copied.
//!
//! Natively burn's own products are quicker, as they use wider SIMD and several threads.

use std::sync::OnceLock;

use burn::tensor::{Device, Tensor, TensorData};
use burn_flex::{Flex, FlexTensor};
use sam2_matmul::{Bias, Columns, Packed, Rows, multiply, multiply_into};

use super::Activation;
use super::host::{gelu_values, is_host, softmax};

/// Scores that exist at once, in values: 256 kB, so that they stay in the cache between the two products.
const SCORES: usize = 1 << 16;
/// From so many queries on, values are packed as well.
const FEW: usize = 16;

/// Whether this build computes on `device` by the functions here.
pub fn is_packed(device: &Device) -> bool {
    cfg!(any(target_arch = "wasm32", feature = "packed")) && is_host(device)
}

/// The memory behind a tensor.
fn memory<const D: usize>(x: Tensor<D>) -> FlexTensor {
    x.try_into_primitive::<Flex>()
        .expect("asked only of the CPU's tensors")
}

/// A tensor's values from its first one on, and its strides.
pub(super) struct View {
    tensor: FlexTensor,
    strides: Vec<usize>,
}

impl View {
    /// Of any tensor whose last dimension lies together; what does not is copied.
    pub(super) fn new<const D: usize>(x: Tensor<D>) -> Self {
        let mut tensor = memory(x);
        if tensor.layout().strides()[D - 1] != 1 || !tensor.layout().has_positive_strides() {
            tensor = tensor.to_contiguous();
        }
        let strides = tensor.layout().strides().iter().map(|&stride| stride as usize);
        Self {
            strides: strides.collect(),
            tensor,
        }
    }

    /// All values in order; copied where they do not lie so.
    pub(super) fn contiguous<const D: usize>(x: Tensor<D>) -> Self {
        let tensor = memory(x).to_contiguous();
        let strides = tensor.layout().strides().iter().map(|&stride| stride as usize);
        Self {
            strides: strides.collect(),
            tensor,
        }
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.tensor.storage::<f32>()[self.tensor.layout().start_offset()..]
    }

    /// Of its dimensions but the last two, where the matrix of that number begins.
    fn matrix(&self, mut number: usize) -> &[f32] {
        let leading = self.strides.len() - 2;
        let mut start = 0;
        for (stride, size) in self
            .strides
            .iter()
            .zip(self.tensor.layout().shape().iter())
            .take(leading)
            .rev()
        {
            start += number % size * stride;
            number /= size;
        }
        &self.values()[start..]
    }
}

/// A linear layer's packed weight and its bias.
#[derive(Debug)]
pub struct PackedLinear {
    pub(super) weight: Packed,
    pub(super) bias: Bias,
    transposed: OnceLock<Packed>,
    device: Device,
}

impl PackedLinear {
    /// `weight` `[input, output]`, `bias` `[output]`.
    pub fn new(weight: Tensor<2>, bias: Tensor<1>) -> Self {
        let device = weight.device();
        let shape = weight.dims();
        let weight = memory(weight);
        let weight = match weight.layout().strides() {
            // What PyTorch keeps is `[output, input]`.
            &[1, along] if along > 0 => Packed::new(
                &weight.storage()[weight.layout().start_offset()..],
                shape,
                [1, along as usize],
            ),
            _ => Packed::new(weight.to_contiguous().storage(), shape, [shape[1], 1]),
        };
        let bias = View::new(bias);
        Self {
            bias: Bias::new(&bias.values()[..shape[1]]),
            weight,
            transposed: OnceLock::new(),
            device,
        }
    }

    /// The weight as `[output, input]`, packed when it is first asked for.
    pub(super) fn transposed(&self) -> &Packed {
        self.transposed.get_or_init(|| {
            let [input, output] = self.weight.shape();
            Packed::new(&self.weight.unpack(), [output, input], [1, output])
        })
    }

    /// What it was made of.
    pub fn unpack(&self) -> (Tensor<2>, Tensor<1>) {
        let weight = TensorData::new(self.weight.unpack(), self.weight.shape());
        let bias = self.bias.values();
        (
            Tensor::from_data(weight, &self.device),
            Tensor::from_data(TensorData::new(bias.to_vec(), [bias.len()]), &self.device),
        )
    }

    /// `[..., input]` to `[..., output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mut dims = x.dims();
        let x = Tokens::new(x);
        let out = multiply(x.rows(), self.weight.columns(), Some(&self.bias));
        dims[D - 1] = self.weight.shape()[1];
        Tensor::from_data(TensorData::new(out, dims), &self.device)
    }

    /// Some rows.
    pub(super) fn rows(&self, rows: Rows, activation: Option<Activation>, out: &mut [f32]) {
        let relu = activation == Some(Activation::Relu);
        let output = self.weight.shape()[1];
        multiply_into(rows, self.weight.columns(), Some(&self.bias), relu, out, output);
        if activation == Some(Activation::Gelu) {
            gelu_values(&mut out[..rows.len() * output]);
        }
    }
}

/// Layers with an activation between them: some rows go through all of them before the next come, so that what lies
/// between the layers stays in the cache.
pub fn chain<const D: usize>(layers: &[&PackedLinear], activation: Activation, x: Tensor<D>) -> Tensor<D> {
    /// At a time.
    const ROWS: usize = 96;
    let mut dims = x.dims();
    let (device, x) = (x.device(), Tokens::new(x));
    let rows = x.rows();
    let widths = || layers.iter().map(|layer| layer.weight.shape()[1]);
    let widest = widths().max().unwrap_or(0);
    let output = widths().next_back().unwrap_or(0);
    let mut between = [(); 2].map(|()| vec![0.0; widest * ROWS.min(rows.len())]);
    let mut out = vec![0.0; rows.len() * output];
    for (i, out) in out.chunks_mut((ROWS * output).max(1)).enumerate() {
        let rows = rows.part(i * ROWS, ROWS);
        for (j, layer) in layers.iter().enumerate() {
            let [from, to] = &mut between;
            let input = layer.weight.shape()[0];
            let rows = if j == 0 {
                rows
            } else {
                Rows::new(from, [rows.len(), input], input)
            };
            if j + 1 == layers.len() {
                layer.rows(rows, None, out);
            } else {
                layer.rows(rows, Some(activation), to);
            }
            between.swap(0, 1);
        }
    }
    dims[D - 1] = output;
    Tensor::from_data(TensorData::new(out, dims), &device)
}

/// A tensor as rows of its last dimension.
pub(super) struct Tokens {
    view: View,
    rows: usize,
    width: usize,
    stride: usize,
}

impl Tokens {
    /// Rows that are not at one distance from each other are copied.
    pub(super) fn new<const D: usize>(x: Tensor<D>) -> Self {
        let dims = x.dims();
        let (rows, width) = (dims[..D - 1].iter().product(), dims[D - 1]);
        let mut view = View::new(x);
        let even = (0..D.saturating_sub(2))
            .all(|i| dims[i] == 1 || view.strides[i] == view.strides[i + 1] * dims[i + 1]);
        let stride = if even && D > 1 { view.strides[D - 2] } else { width };
        if !even {
            view.tensor = view.tensor.to_contiguous();
        }
        Self {
            view,
            rows,
            width,
            stride,
        }
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        Rows::new(self.view.values(), [self.rows, self.width], self.stride)
    }
}

/// A square convolution of planes to channels-last pictures, as a product with one row of patches at a time.
#[derive(Debug)]
pub struct PackedConvolution {
    kernel: usize,
    stride: usize,
    padding: usize,
    layer: PackedLinear,
}

impl PackedConvolution {
    /// `weight` `[output, input, kernel, kernel]`, `bias` `[output]`.
    pub fn new(weight: Tensor<4>, bias: Tensor<1>, stride: usize, padding: usize) -> Self {
        let [output, input, kernel, _] = weight.dims();
        let weight = weight.reshape([output, input * kernel * kernel]).transpose();
        Self {
            kernel,
            stride,
            padding,
            layer: PackedLinear::new(weight, bias),
        }
    }

    /// `[b, input, h, w]` to `[b, h / stride, w / stride, output]`; sides are multiples of the stride.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, planes, h, w] = x.dims();
        let (rows, columns) = (h / self.stride, w / self.stride);
        let x = memory(x).to_contiguous();
        let x: &[f32] = &x.storage()[x.layout().start_offset()..];
        let [length, output] = self.layer.weight.shape();
        let mut patches = vec![0.0; columns * length];
        let mut out = vec![0.0; b * rows * columns * output];
        for (i, out) in out.chunks_exact_mut((columns * output).max(1)).enumerate() {
            let picture = &x[i / rows * planes * h * w..];
            self.gather(&picture[..planes * h * w], [h, w], i % rows, &mut patches);
            let patches = Rows::new(&patches, [columns, length], length);
            self.layer.rows(patches, None, out);
        }
        Tensor::from_data(
            TensorData::new(out, [b, rows, columns, output]),
            &self.layer.device,
        )
    }

    /// The patches of the answer's row `row`, each plane by plane and row by row.
    fn gather(&self, picture: &[f32], [h, w]: [usize; 2], row: usize, patches: &mut [f32]) {
        let kernel = self.kernel;
        let length = picture.len() / (h * w) * kernel * kernel;
        for (plane, values) in picture.chunks_exact(h * w).enumerate() {
            for ky in 0..kernel {
                let at = (plane * kernel + ky) * kernel;
                let y = (row * self.stride + ky)
                    .checked_sub(self.padding)
                    .filter(|&y| y < h);
                let line = y.map_or(&[][..], |y| &values[y * w..][..w]);
                for (column, patch) in patches.chunks_exact_mut(length).enumerate() {
                    let patch = &mut patch[at..at + kernel];
                    let first = column * self.stride;
                    let inside = first
                        .checked_sub(self.padding)
                        .and_then(|x| line.get(x..x + kernel));
                    if let Some(inside) = inside {
                        patch.copy_from_slice(inside);
                        continue;
                    }
                    for (kx, value) in patch.iter_mut().enumerate() {
                        let x = (first + kx).checked_sub(self.padding);
                        *value = x.and_then(|x| line.get(x)).copied().unwrap_or(0.0);
                    }
                }
            }
        }
    }
}

/// As [`super::attention`]. The answer is a view of `[..., n, heads, d]`, so that joining the heads costs nothing.
pub fn attention<const D: usize>(q: Tensor<D>, k: Tensor<D>, v: Tensor<D>) -> Tensor<D> {
    let scale = 1.0 / (q.dims()[D - 1] as f32).sqrt();
    scaled_attention(q, k, v, scale)
}

/// The same with another factor of the scores.
pub(super) fn scaled_attention<const D: usize>(
    q: Tensor<D>,
    k: Tensor<D>,
    v: Tensor<D>,
    scale: f32,
) -> Tensor<D> {
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

/// A block of keys and values that many queries go past.
pub(super) struct PackedBlock {
    /// `[d, m]`.
    keys: Packed,
    /// `[m, v]`.
    values: Packed,
}

impl PackedBlock {
    /// Keys `[1, m, d]` and values `[1, m, v]`.
    pub(super) fn new(keys: Tensor<3>, values: Tensor<3>) -> Self {
        let ([_, m, d], [_, _, v]) = (keys.dims(), values.dims());
        let (keys, values) = (View::new(keys), View::new(values));
        Self {
            keys: Packed::new(keys.values(), [d, m], [1, keys.strides[1]]),
            values: Packed::new(values.values(), [m, v], [values.strides[1], 1]),
        }
    }

    /// Queries `[1, n, d]` times all keys: `[1, n, m]`.
    pub(super) fn scores(&self, queries: Tensor<3>) -> TensorData {
        let queries = Tokens::new(queries);
        let scores = multiply(queries.rows(), self.keys.columns(), None);
        TensorData::new(scores, [1, queries.rows, self.keys.shape()[1]])
    }

    /// `[1, n, m]` weights times the values: `[1, n, v]`.
    pub(super) fn sums(&self, weights: &TensorData) -> TensorData {
        let [m, v] = self.values.shape();
        let weights = weights.as_slice().expect("f32 numbers");
        let n = weights.len() / m;
        let sums = multiply(Rows::new(weights, [n, m], m), self.values.columns(), None);
        TensorData::new(sums, [1, n, v])
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::tests::apart;
    use super::*;
    use burn::tensor::{Distribution, module, ops::ConvOptions};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    #[test]
    fn a_packed_layer_is_the_layer() {
        for (input, output) in [(32, 96), (147, 32), (16, 1), (7, 13)] {
            let bias = random([output]);
            for weight in [random([input, output]), random([output, input]).transpose()] {
                let layer = PackedLinear::new(weight.clone(), bias.clone());
                let (same, too) = layer.unpack();
                assert_eq!(
                    (apart(same, weight.clone()), apart(too, bias.clone())),
                    (0.0, 0.0)
                );

                // A whole tensor; a part of each row; rows at two distances; columns that lie apart.
                let inputs: [Tensor<3>; 4] = [
                    random([3, 50, input]),
                    random([3, 50, input + 9]).narrow(2, 4, input),
                    random([3, 60, input]).narrow(1, 5, 50),
                    random([3, input, 50]).swap_dims(1, 2),
                ];
                for x in inputs {
                    let wanted = module::linear(x.clone(), weight.clone(), Some(bias.clone()));
                    assert!(apart(layer.forward(x), wanted) < 1e-4);
                }
            }
        }
    }

    #[test]
    fn a_chain_is_its_layers_one_by_one() {
        for widths in [&[8, 32, 8][..], &[16, 7, 40, 4], &[5, 3]] {
            let layers: Vec<PackedLinear> = (widths.windows(2))
                .map(|pair| PackedLinear::new(random([pair[0], pair[1]]), random([pair[1]])))
                .collect();
            for activation in [Activation::Relu, Activation::Gelu] {
                let x: Tensor<3> = random([2, 130, widths[0]]);
                let mut wanted = layers[0].forward(x.clone());
                for layer in &layers[1..] {
                    wanted = layer.forward(activation.forward(wanted));
                }
                let layers: Vec<&PackedLinear> = layers.iter().collect();
                assert!(apart(chain(&layers, activation, x), wanted) < 1e-4);
            }
        }
    }

    #[test]
    fn a_packed_convolution_is_the_convolution() {
        for (b, input, output, kernel, stride, padding, h, w) in [
            (1, 3, 32, 7, 4, 3, 32, 24),
            (2, 2, 5, 3, 2, 1, 6, 4),
            (1, 1, 4, 4, 4, 0, 8, 8),
        ] {
            let (weight, bias) = (random([output, input, kernel, kernel]), random([output]));
            let x: Tensor<4> = random([b, input, h, w]);
            let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
            let wanted = module::conv2d(x.clone(), weight.clone(), Some(bias.clone()), options);
            let convolution = PackedConvolution::new(weight, bias, stride, padding);
            assert!(apart(convolution.forward(x), wanted.permute([0, 2, 3, 1])) < 1e-4);
        }
    }

    #[test]
    fn a_packed_block_multiplies_as_its_tensors() {
        // Parts of larger tensors, as they come.
        let queries: Tensor<3> = random([1, 90, 24]).narrow(1, 7, 70);
        let keys: Tensor<3> = random([1, 300, 24]).narrow(1, 100, 83);
        let values: Tensor<3> = random([1, 300, 12]).narrow(1, 100, 83);
        let block = PackedBlock::new(keys.clone(), values.clone());
        let device = Device::flex();
        let scores = block.scores(queries.clone());
        let sums = Tensor::<3>::from_data(block.sums(&scores), &device);
        let wanted = queries.matmul(keys.swap_dims(1, 2));
        assert!(apart(Tensor::from_data(scores, &device), wanted.clone()) < 1e-4);
        assert!(apart(sums, wanted.matmul(values)) < 1e-3);
    }

    #[test]
    fn attention_is_attention_on_views() {
        // (windows, heads, queries, keys, width): a window, a global block in parts, few tokens on many and back.
        for (b, heads, n, m, d) in [
            (9, 2, 49, 49, 24),
            (1, 4, 1000, 3000, 16),
            (2, 8, 8, 700, 16),
            (2, 8, 9, 9, 6),
            (2, 8, 700, 8, 16),
        ] {
            let views = |length| random([b, length, heads, d]).swap_dims(1, 2);
            let (q, k, v): (Tensor<4>, Tensor<4>, Tensor<4>) = (views(n), views(m), views(m));
            let wanted = module::attention(q.clone(), k.clone(), v.clone(), None, None, Default::default());
            let difference = apart(attention(q, k, v), wanted);
            assert!(difference < 2e-5, "{n} queries, {m} keys: {difference}");
        }
    }
}
