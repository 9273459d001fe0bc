//! Linear layers and MLPs, with everything that a kernel computes together with the product.

use burn::tensor::{FloatDType, Tensor, module};
use sam2_kernels::{Adapter, tensors};

use super::activation;
use super::strips::{rows_at_once, rows_in};
use crate::portable::{activate, add_residual, add_rows};
use crate::{
    Activation, GroupedMlpOperation, LinearOperation, LinearOptions, LinearParameters, MlpOperation,
    MlpParameters, Parameter, Residual,
};

/// A linear layer, prepared for the kernels.
#[derive(Debug)]
pub struct Linear {
    adapter: Adapter,
    /// `[input, output]`, contiguous, f32 or f16. The weights of grouped layers are concatenated along the rows.
    weight: Tensor<2>,
    /// `[output]`, which attention may need too.
    pub bias: Tensor<1>,
}

impl Linear {
    pub fn new(adapter: Adapter, parameters: LinearParameters) -> Self {
        let weight = parameters.weight.into_value().transpose();
        Self::from_matrix(adapter, weight, parameters.bias.into_value())
    }

    /// From a contiguous weight `[input, output]`.
    pub fn from_matrix(adapter: Adapter, weight: Tensor<2>, bias: Tensor<1>) -> Self {
        Self {
            adapter,
            weight: tensors::contiguous(weight),
            bias,
        }
    }

    /// Launches the kernel. Both widths must be multiples of 4.
    pub fn launch<const D: usize>(&self, x: Tensor<D>, options: tensors::LinearOptions) -> Tensor<2> {
        tensors::linear(self.adapter, x, &self.weight, &self.bias, options)
    }

    /// Launches the kernel, or uses burn if the kernel does not support the widths.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, options: LinearOptions) -> Tensor<2> {
        if tensors::supports_linear(&self.weight.dims()) {
            return self.launch(x, kernel_options(options));
        }
        let x = crate::linear::rows(x);
        let x = match options.plus {
            Some(plus) => add_rows(x, plus),
            None => x,
        };
        let x = module::linear(x, self.weight.clone(), Some(self.bias.clone()));
        activate(add_residual(x, options.residual), options.activation)
    }

    /// The same with row i modulo m of `residual` `[m, output]` added to row i.
    pub fn forward_onto<const D: usize>(&self, x: Tensor<D>, residual: Option<Tensor<2>>) -> Tensor<2> {
        let options = LinearOptions {
            residual: residual.map(Residual::Rows),
            ..LinearOptions::default()
        };
        self.forward(x, options)
    }
}

impl LinearOperation for Linear {
    fn forward(&self, x: Tensor<2>, options: LinearOptions) -> Tensor<2> {
        self.forward(x, options)
    }
}

fn kernel_options(options: LinearOptions) -> tensors::LinearOptions {
    tensors::LinearOptions {
        plus: options.plus,
        residual: options.residual.map(|residual| match residual {
            Residual::Rows(rows) => tensors::Residual::Repeated(rows),
            Residual::Coarser(coarse) => tensors::Residual::Coarser(coarse),
        }),
        activation: activation(options.activation),
        ..tensors::LinearOptions::default()
    }
}

/// The layer with each output multiplied by one of `factors` `[output]`, in f32.
pub fn scaled(layer: LinearParameters, factors: Tensor<1>) -> LinearParameters {
    let weight = |weight: Tensor<2>| weight.cast(FloatDType::F32) * factors.clone().unsqueeze_dim(1);
    LinearParameters {
        weight: layer.weight.map(weight),
        bias: layer.bias.map(|bias| bias * factors),
    }
}

/// The layer with outputs of zeros appended, up to the next multiple of 4.
fn padded(layer: LinearParameters) -> LinearParameters {
    let (weight, bias) = (layer.weight.into_value(), layer.bias.into_value());
    let ([output, input], device) = (weight.dims(), weight.device());
    let more = output.next_multiple_of(4) - output;
    LinearParameters {
        weight: Parameter::new(Tensor::cat(
            vec![weight, Tensor::zeros([more, input], &device)],
            0,
        )),
        bias: Parameter::new(Tensor::cat(vec![bias, Tensor::zeros([more], &device)], 0)),
    }
}

/// An MLP, whose activations are computed in the kernels of its layers. It takes as many rows at a time as a buffer can
/// hold hidden values of.
#[derive(Debug)]
pub struct Mlp {
    hidden: Vec<Linear>,
    /// The last layer, multiplied by the output's factors. It is padded if the output's width, such as the 1 of a
    /// score, is not a multiple of 4.
    last: Linear,
    activation: Activation,
    /// The output's width, if it is padded.
    width: Option<usize>,
}

impl Mlp {
    pub fn new(adapter: Adapter, parameters: MlpParameters) -> Self {
        let activation = parameters.activation;
        let mut layers = official_layers(parameters);
        let mut last = layers.pop().expect("a layer");
        let width = last.weight.value().dims()[0];
        let pads = !width.is_multiple_of(4);
        if pads {
            last = padded(last);
        }
        Self {
            hidden: layers
                .into_iter()
                .map(|layer| Linear::new(adapter, layer))
                .collect(),
            last: Linear::new(adapter, last),
            activation,
            width: pads.then_some(width),
        }
    }
}

/// The layers, with the last one multiplied by the factors.
fn official_layers(parameters: MlpParameters) -> Vec<LinearParameters> {
    let mut layers = parameters.layers;
    if let Some(scale) = parameters.scale {
        let last = layers.pop().expect("a layer");
        layers.push(scaled(last, scale.into_value()));
    }
    layers
}

impl Mlp {
    /// The number of rows, of `rows`, that are computed at a time.
    fn rows_at_once(&self, rows: usize) -> usize {
        let widths = self.hidden.iter().map(|layer| layer.weight.dims()[1]);
        let most = rows_in(self.last.adapter.largest_tensor(), widths.max().unwrap_or(1));
        rows_at_once(rows, most, 1)
    }

    /// The MLP of rows that fit into one buffer.
    fn some_rows(&self, mut x: Tensor<2>, last: LinearOptions) -> Tensor<2> {
        for layer in &self.hidden {
            let options = LinearOptions {
                activation: Some(self.activation),
                ..LinearOptions::default()
            };
            x = layer.forward(x, options);
        }
        match (self.width, last.residual) {
            (None, residual) => self.last.forward(x, LinearOptions { residual, ..last }),
            (Some(width), None) => {
                let options = LinearOptions {
                    residual: None,
                    ..last
                };
                self.last.forward(x, options).narrow(1, 0, width)
            }
            // The residual is not padded.
            (Some(width), residual) => {
                let x = self.last.forward(x, LinearOptions::default()).narrow(1, 0, width);
                activate(add_residual(x, residual), last.activation)
            }
        }
    }
}

impl MlpOperation for Mlp {
    fn forward(&self, x: Tensor<2>, last: LinearOptions) -> Tensor<2> {
        let rows = x.dims()[0];
        let step = self.rows_at_once(rows);
        if step >= rows {
            return self.some_rows(x, last);
        }
        let parts = (0..rows).step_by(step).map(|first| {
            let part = x.clone().narrow(0, first, step.min(rows - first));
            self.some_rows(part, LinearOptions::default())
        });
        let x = Tensor::cat(parts.collect(), 0);
        activate(add_residual(x, last.residual), last.activation)
    }
}

/// Grouped MLPs. Each layer of all MLPs is one kernel, which finds a row's group by the row's number.
#[derive(Debug)]
pub struct GroupedMlp {
    /// The layers, with the matrices of all groups concatenated.
    layers: Vec<Linear>,
    groups: usize,
    activation: Activation,
}

impl GroupedMlp {
    /// Whether all widths are multiples of 4.
    pub fn supports(groups: &[MlpParameters]) -> bool {
        let mut layers = groups.iter().flat_map(|group| &group.layers);
        layers.all(|layer| tensors::supports_linear(&layer.weight.value().dims()))
    }

    pub fn new(adapter: Adapter, groups: Vec<MlpParameters>) -> Self {
        let (count, activation) = (groups.len(), groups[0].activation);
        let mut groups: Vec<_> = groups
            .into_iter()
            .map(|group| official_layers(group).into_iter())
            .collect();
        let mut layers = Vec::new();
        loop {
            let level: Vec<LinearParameters> = groups.iter_mut().filter_map(Iterator::next).collect();
            if level.is_empty() {
                break;
            }
            let (weights, biases) = level
                .into_iter()
                .map(|layer| (layer.weight.into_value().transpose(), layer.bias.into_value()))
                .unzip();
            layers.push(Linear::from_matrix(
                adapter,
                Tensor::cat(weights, 0),
                Tensor::cat(biases, 0),
            ));
        }
        Self {
            layers,
            groups: count,
            activation,
        }
    }
}

impl GroupedMlpOperation for GroupedMlp {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, groups, _] = x.dims();
        let mut x = crate::linear::rows(x);
        for (i, layer) in self.layers.iter().enumerate() {
            let between = (i + 1 < self.layers.len()).then_some(self.activation);
            let options = tensors::LinearOptions {
                groups: self.groups,
                activation: activation(between),
                ..tensors::LinearOptions::default()
            };
            x = layer.launch(x, options);
        }
        let width = x.dims()[1];
        x.reshape([b, groups, width])
    }
}
