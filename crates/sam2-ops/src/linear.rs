//! Linear layers, and 1x1 convolutions of channels-last pictures, which are the same.

use burn::tensor::Tensor;

use crate::{Activation, Parameter, Prepared, Weights, WeightsError};

/// `nn.Linear`, or `nn.Conv2d` with a kernel of 1 on channels-last pictures:
/// `activation((x + plus) weightᵀ + bias + residual)`.
#[derive(Debug)]
pub struct Linear {
    operation: Prepared<dyn LinearOperation>,
    output: usize,
}

/// The parameters of a [`Linear`].
#[derive(Clone, Debug)]
pub struct LinearParameters {
    /// `[output, input]`.
    pub weight: Parameter<2>,
    /// `[output]`.
    pub bias: Parameter<1>,
}

/// What a [`Linear`] computes together with the product.
#[derive(Clone, Debug, Default)]
pub struct LinearOptions {
    /// `[m, input]`, added to the input: row i modulo m to row i.
    pub plus: Option<Tensor<2>>,
    /// Added to the output, before the activation.
    pub residual: Option<Residual>,
    /// Applied to the output.
    pub activation: Option<Activation>,
}

/// A tensor that is added to a layer's output.
#[derive(Clone, Debug)]
pub enum Residual {
    /// `[m, output]`: row i modulo m is added to row i.
    Rows(Tensor<2>),
    /// `[b, h, w, output]`: each pixel is added to the four pixels of the output `[b, 2h, 2w, output]` that it covers.
    Coarser(Tensor<4>),
}

/// A [`Linear`] as an implementation has prepared it.
pub trait LinearOperation: std::fmt::Debug + Send + Sync {
    /// `[n, input]` to `[n, output]`.
    fn forward(&self, x: Tensor<2>, options: LinearOptions) -> Tensor<2>;
}

impl LinearParameters {
    /// Takes `weight` `[output, input]` and `bias` `[output]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(weights: &mut Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: weights.matrix("weight", [output, input])?,
            bias: weights.parameter("bias", [output])?,
        })
    }

    /// Takes `weight` `[output, input]` of a layer without a bias (`bias=False`), which is then zero.
    ///
    /// # Errors
    /// The tensor is missing or has another shape.
    pub fn load_without_bias(
        weights: &mut Weights,
        input: usize,
        output: usize,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: weights.matrix("weight", [output, input])?,
            bias: no_bias(weights, output),
        })
    }

    /// Takes `weight` `[2 output, input]` of a layer without a bias, as two layers: the first half of its outputs, and
    /// the second.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_halves(
        weights: &mut Weights,
        input: usize,
        output: usize,
    ) -> Result<[Self; 2], WeightsError> {
        let weight = weights.matrix("weight", [2 * output, input])?;
        Ok([0, output].map(|first| Self {
            weight: weight.clone().map(|weight| weight.narrow(0, first, output)),
            bias: no_bias(weights, output),
        }))
    }

    /// Takes the `weight` `[output, input, kernel, kernel]` of a convolution without a bias whose stride is its kernel. It
    /// is a linear layer of each patch's values, `[input * kernel * kernel]`: plane by plane, row by row.
    ///
    /// # Errors
    /// The tensor is missing or has another shape.
    pub fn load_patches(
        weights: &mut Weights,
        input: usize,
        kernel: usize,
        output: usize,
    ) -> Result<Self, WeightsError> {
        let weight = weights.matrix::<4>("weight", [output, input, kernel, kernel])?;
        Ok(Self {
            weight: weight.map(|weight| weight.reshape([output, input * kernel * kernel])),
            bias: no_bias(weights, output),
        })
    }

    /// Takes a 1x1 convolution's `weight` `[output, input, 1, 1]` and `bias` `[output]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_conv_1x1(weights: &mut Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let weight = weights.matrix::<4>("weight", [output, input, 1, 1])?;
        Ok(Self {
            weight: weight.map(|weight| weight.reshape([output, input])),
            bias: weights.parameter("bias", [output])?,
        })
    }
}

/// The bias of a layer that has none.
fn no_bias(weights: &Weights, output: usize) -> Parameter<1> {
    weights.table([output], || vec![0.0; output])
}

impl Linear {
    /// Takes `weight` `[output, input]` and `bias` `[output]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let parameters = LinearParameters::load(&mut weights, input, output)?;
        Ok(Self::new(&weights, parameters, output))
    }

    /// Takes `weight` `[output, input]` of a layer without a bias.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_without_bias(
        mut weights: Weights,
        input: usize,
        output: usize,
    ) -> Result<Self, WeightsError> {
        let parameters = LinearParameters::load_without_bias(&mut weights, input, output)?;
        Ok(Self::new(&weights, parameters, output))
    }

    /// Takes a 1x1 convolution's `weight` `[output, input, 1, 1]` and `bias` `[output]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_conv_1x1(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let parameters = LinearParameters::load_conv_1x1(&mut weights, input, output)?;
        Ok(Self::new(&weights, parameters, output))
    }

    /// Prepares a layer whose parameters have been taken already. `output` is the output's width.
    pub fn new(weights: &Weights, parameters: LinearParameters, output: usize) -> Self {
        Self {
            operation: weights.prepare(parameters, |operations, parameters| operations.linear(parameters)),
            output,
        }
    }

    /// `[..., input]` to `[..., output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.forward_with(x, LinearOptions::default())
    }

    /// `[..., input]` to `[..., output]`, added to `residual` `[..., output]`. The first dimensions of `residual` may
    /// be 1.
    pub fn forward_onto<const D: usize>(&self, x: Tensor<D>, residual: Tensor<D>) -> Tensor<D> {
        let residual = Some(Residual::Rows(rows(residual)));
        self.forward_with(
            x,
            LinearOptions {
                residual,
                ..LinearOptions::default()
            },
        )
    }

    /// `[..., input]` to `[..., output]`, with [`LinearOptions`].
    pub fn forward_with<const D: usize>(&self, x: Tensor<D>, options: LinearOptions) -> Tensor<D> {
        let mut dims = x.dims();
        dims[D - 1] = self.output;
        self.operation.forward(rows(x), options).reshape(dims)
    }
}

/// Merges all dimensions but the last into one.
pub(crate) fn rows<const D: usize>(x: Tensor<D>) -> Tensor<2> {
    let dims = x.dims();
    let width = dims[D - 1];
    x.reshape([dims[..D - 1].iter().product(), width])
}
