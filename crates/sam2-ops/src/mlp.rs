//! Multi-layer perceptrons (`sam2.modeling.sam2_utils.MLP`).

use burn::tensor::Tensor;

use crate::linear::rows;
use crate::{
    Activation, LinearOptions, LinearParameters, Parameter, Prepared, Residual, Weights, WeightsError,
};

/// Linear layers with an activation between them, but not after the last one. Each output channel may be multiplied by a
/// factor.
#[derive(Debug)]
pub struct Mlp {
    operation: Prepared<dyn MlpOperation>,
    output: usize,
}

/// The parameters of an [`Mlp`].
#[derive(Clone, Debug)]
pub struct MlpParameters {
    /// The layers, at least one.
    pub layers: Vec<LinearParameters>,
    /// The activation between two layers.
    pub activation: Activation,
    /// `[output]`: the factors of the output, such as a ConvNeXt block's `gamma`.
    pub scale: Option<Parameter<1>>,
}

/// An [`Mlp`] as an implementation has prepared it.
pub trait MlpOperation: std::fmt::Debug + Send + Sync {
    /// `[n, input]` to `[n, output]`. `last` applies to the last layer, after its output has been multiplied by the
    /// factors.
    fn forward(&self, x: Tensor<2>, last: LinearOptions) -> Tensor<2>;
}

impl MlpParameters {
    /// Takes the layers `names`. `widths` are those of the input, of each hidden layer and of the output.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        weights: &mut Weights,
        names: &[String],
        widths: &[usize],
        activation: Activation,
    ) -> Result<Self, WeightsError> {
        let layers = names
            .iter()
            .zip(widths.windows(2))
            .map(|(name, pair)| LinearParameters::load(&mut weights.at(name), pair[0], pair[1]));
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
            activation,
            scale: None,
        })
    }

    /// Takes `layers.0`, `layers.1`, …. `widths` are those of the input, of each hidden layer and of the output.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_numbered(
        weights: &mut Weights,
        widths: &[usize],
        activation: Activation,
    ) -> Result<Self, WeightsError> {
        let names: Vec<String> = (1..widths.len()).map(|i| format!("layers.{}", i - 1)).collect();
        Self::load(weights, &names, widths, activation)
    }
}

impl Mlp {
    /// Takes `layers.0`, `layers.1`, …. `widths` are those of the input, of each hidden layer and of the output.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        mut weights: Weights,
        widths: &[usize],
        activation: Activation,
    ) -> Result<Self, WeightsError> {
        let parameters = MlpParameters::load_numbered(&mut weights, widths, activation)?;
        Ok(Self::new(&weights, parameters, widths))
    }

    /// Takes two layers called `names`, such as `["linear1", "linear2"]`. `scale` is the name of the output's factors
    /// `[output]`, if there are any.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_named(
        mut weights: Weights,
        names: [&str; 2],
        widths: [usize; 3],
        activation: Activation,
        scale: Option<&str>,
    ) -> Result<Self, WeightsError> {
        let names = names.map(str::to_owned);
        let mut parameters = MlpParameters::load(&mut weights, &names, &widths, activation)?;
        parameters.scale = scale
            .map(|name| weights.parameter(name, [widths[2]]))
            .transpose()?;
        Ok(Self::new(&weights, parameters, &widths))
    }

    /// Prepares an MLP whose parameters have been taken already. `widths` are those of the input, of each hidden layer and
    /// of the output.
    pub fn new(weights: &Weights, parameters: MlpParameters, widths: &[usize]) -> Self {
        Self {
            operation: weights.prepare(parameters, |operations, parameters| operations.mlp(parameters)),
            output: widths[widths.len() - 1],
        }
    }

    /// `[..., input]` to `[..., output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.forward_with(x, LinearOptions::default())
    }

    /// `[..., input]` to `[..., output]`, added to `residual` `[..., output]`.
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

    /// `[..., input]` to `[..., output]`, then `activation`.
    pub fn forward_activated<const D: usize>(&self, x: Tensor<D>, activation: Activation) -> Tensor<D> {
        self.forward_with(
            x,
            LinearOptions {
                activation: Some(activation),
                ..LinearOptions::default()
            },
        )
    }

    fn forward_with<const D: usize>(&self, x: Tensor<D>, last: LinearOptions) -> Tensor<D> {
        let mut dims = x.dims();
        dims[D - 1] = self.output;
        self.operation.forward(rows(x), last).reshape(dims)
    }
}

/// MLPs of the same widths, each of which is applied to one token.
#[derive(Debug)]
pub struct GroupedMlp {
    operation: Prepared<dyn GroupedMlpOperation>,
}

/// A [`GroupedMlp`] as an implementation has prepared it.
pub trait GroupedMlpOperation: std::fmt::Debug + Send + Sync {
    /// [`GroupedMlp::forward`].
    fn forward(&self, x: Tensor<3>) -> Tensor<3>;
}

impl GroupedMlp {
    /// Takes `0.layers.0`, `0.layers.1`, … to the last layer of group `count - 1`. `widths` are those of the input, of
    /// each hidden layer and of the output.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        mut weights: Weights,
        count: usize,
        widths: &[usize],
        activation: Activation,
    ) -> Result<Self, WeightsError> {
        let groups = (0..count)
            .map(|i| MlpParameters::load_numbered(&mut weights.at(i), widths, activation))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            operation: weights.prepare(groups, |operations, groups| operations.grouped_mlp(groups)),
        })
    }

    /// `[b, groups, input]` to `[b, groups, output]`: token i goes through MLP i.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.operation.forward(x)
    }
}
