//! A linear layer, which is also what a 1x1 convolution is when channels come last.

use burn::tensor::Tensor;

use crate::{Activation, Parameter, Prepared, Weights, WeightsError};

/// `nn.Linear`, or an `nn.Conv2d` of kernel 1 over channels-last pictures:
/// `activation((x + plus) weightᵀ + bias + residual)`.
#[derive(Debug)]
pub struct Linear {
    operation: Prepared<dyn LinearOperation>,
    output: usize,
}

/// What a linear layer is made of.
#[derive(Clone, Debug)]
pub struct LinearParameters {
    /// `[output, input]`.
    pub weight: Parameter<2>,
    /// `[output]`.
    pub bias: Parameter<1>,
}

/// What is computed together with the product.
#[derive(Clone, Debug, Default)]
pub struct LinearOptions {
    /// Added to the input: `[m, input]`, row i modulo m to row i.
    pub plus: Option<Tensor<2>>,
    /// Added to the output, before the activation.
    pub residual: Option<Residual>,
    /// Applied to the output.
    pub activation: Option<Activation>,
}

/// What is added to a layer's output.
#[derive(Clone, Debug)]
pub enum Residual {
    /// `[m, output]`, row i modulo m to row i.
    Rows(Tensor<2>),
    /// `[b, h, w, output]`, each pixel to four of the output's `[b, 2h, 2w, output]`.
    Coarser(Tensor<4>),
}

/// A linear layer as an implementation prepared it.
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

    /// The same from a 1x1 convolution's `weight` `[output, input, 1, 1]`.
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

impl Linear {
    /// Takes `weight` `[output, input]` and `bias` `[output]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let parameters = LinearParameters::load(&mut weights, input, output)?;
        Ok(Self::new(&weights, parameters, output))
    }

    /// The same from a 1x1 convolution's `weight` `[output, input, 1, 1]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_conv_1x1(mut weights: Weights, input: usize, output: usize) -> Result<Self, WeightsError> {
        let parameters = LinearParameters::load_conv_1x1(&mut weights, input, output)?;
        Ok(Self::new(&weights, parameters, output))
    }

    /// From parameters that were taken, `output` being the output's width.
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

    /// The same, `residual` `[..., output]` being added; its leading dimensions are the output's, or 1 at the front.
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

    /// The same with all that can be computed together.
    pub fn forward_with<const D: usize>(&self, x: Tensor<D>, options: LinearOptions) -> Tensor<D> {
        let mut dims = x.dims();
        dims[D - 1] = self.output;
        self.operation.forward(rows(x), options).reshape(dims)
    }
}

/// The first dimensions as one.
pub(crate) fn rows<const D: usize>(x: Tensor<D>) -> Tensor<2> {
    let dims = x.dims();
    let width = dims[D - 1];
    x.reshape([dims[..D - 1].iter().product(), width])
}
