//! Linear layers by `sam2-matmul`, directly on the memory of tensors. Weights are packed once, bias and activation are
//! computed while a block of rows is in the cache, and views are not copied.

use std::sync::OnceLock;

use burn::tensor::{Device, Tensor, TensorData};
use burn_flex::{Flex, FlexTensor};
use sam2_matmul::{Bias, Packed, Rows, multiply, multiply_into};

use super::math::activate_values;
use crate::Activation;

/// The tensor of burn's CPU backend.
pub fn memory<const D: usize>(x: Tensor<D>) -> FlexTensor {
    x.try_into_primitive::<Flex>()
        .expect("asked only of the CPU's tensors")
}

/// The values of a tensor from its first one on, and its strides.
pub struct View {
    tensor: FlexTensor,
    /// The strides, in values.
    pub strides: Vec<usize>,
}

impl View {
    /// The view of a tensor. It is copied if its last dimension is not contiguous.
    pub fn new<const D: usize>(x: Tensor<D>) -> Self {
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

    /// The view of a contiguous tensor. Other tensors are copied.
    pub fn contiguous<const D: usize>(x: Tensor<D>) -> Self {
        let tensor = memory(x).to_contiguous();
        let strides = tensor.layout().strides().iter().map(|&stride| stride as usize);
        Self {
            strides: strides.collect(),
            tensor,
        }
    }

    pub fn values(&self) -> &[f32] {
        &self.tensor.storage::<f32>()[self.tensor.layout().start_offset()..]
    }

    /// The values from the beginning of matrix `number` on. The last two dimensions are matrices, which the others count.
    pub fn matrix(&self, mut number: usize) -> &[f32] {
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
    pub weight: Packed,
    pub bias: Bias,
    transposed: OnceLock<Packed>,
    pub device: Device,
}

impl PackedLinear {
    /// `weight` `[input, output]`, `bias` `[output]`.
    pub fn new(weight: Tensor<2>, bias: Tensor<1>) -> Self {
        let device = weight.device();
        let shape = weight.dims();
        let weight = memory(weight);
        let weight = match weight.layout().strides() {
            // PyTorch's weights are `[output, input]`, so this is a transposed view.
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

    /// The weight as `[output, input]`. It is packed on the first call.
    pub fn transposed(&self) -> &Packed {
        self.transposed.get_or_init(|| {
            let [input, output] = self.weight.shape();
            Packed::new(&self.weight.unpack(), [output, input], [1, output])
        })
    }

    /// `[..., input]` to `[..., output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mut dims = x.dims();
        let x = Tokens::new(x);
        let out = multiply(x.rows(), self.weight.columns(), Some(&self.bias));
        dims[D - 1] = self.weight.shape()[1];
        Tensor::from_data(TensorData::new(out, dims), &self.device)
    }

    /// Applies the layer to `rows`, then `activation`, into `out`.
    pub fn rows(&self, rows: Rows, activation: Option<Activation>, out: &mut [f32]) {
        let relu = activation == Some(Activation::Relu);
        let output = self.weight.shape()[1];
        multiply_into(rows, self.weight.columns(), Some(&self.bias), relu, out, output);
        // The product has done this one.
        let activation = activation.filter(|_| !relu);
        activate_values(&mut out[..rows.len() * output], activation);
    }
}

/// Applies layers with an activation between them. A few rows at a time go through all layers, so that the values between
/// the layers stay in the cache.
pub fn chain<const D: usize>(layers: &[&PackedLinear], activation: Activation, x: Tensor<D>) -> Tensor<D> {
    /// The number of rows at a time.
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

/// A tensor as rows, which are its last dimension.
pub struct Tokens {
    view: View,
    /// The number of rows.
    pub rows: usize,
    width: usize,
    stride: usize,
}

impl Tokens {
    /// The rows of a tensor. It is copied if they are not equally spaced.
    pub fn new<const D: usize>(x: Tensor<D>) -> Self {
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

    pub fn rows(&self) -> Rows<'_> {
        Rows::new(self.view.values(), [self.rows, self.width], self.stride)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::module;

    use super::super::in_place::activate;
    use super::super::testing::{apart, random};
    use super::*;

    #[test]
    fn a_packed_layer_is_the_layer() {
        for (input, output) in [(32, 96), (147, 32), (16, 1), (7, 13)] {
            let bias = random([output]);
            for weight in [random([input, output]), random([output, input]).transpose()] {
                let layer = PackedLinear::new(weight.clone(), bias.clone());
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
            for activation in [
                Activation::Relu,
                Activation::Gelu,
                Activation::QuickGelu,
                Activation::Sigmoid,
            ] {
                let x: Tensor<3> = random([2, 130, widths[0]]);
                let mut wanted = layers[0].forward(x.clone());
                for layer in &layers[1..] {
                    wanted = layer.forward(activate(wanted, Some(activation)));
                }
                let layers: Vec<&PackedLinear> = layers.iter().collect();
                assert!(apart(chain(&layers, activation, x), wanted) < 1e-4);
            }
        }
    }
}
