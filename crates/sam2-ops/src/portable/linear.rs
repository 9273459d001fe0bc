//! Linear layers and MLPs.

use burn::tensor::{Tensor, module};

use super::activate;
use crate::{
    GroupedMlpOperation, LinearOperation, LinearOptions, LinearParameters, MlpOperation, MlpParameters,
    Residual,
};

/// Adds row i modulo m of `rows` `[m, c]` to row i of `x` `[n, c]`.
pub(crate) fn add_rows(x: Tensor<2>, rows: Tensor<2>) -> Tensor<2> {
    let ([n, c], m) = (x.dims(), rows.dims()[0]);
    match m == n {
        true => x + rows,
        false => (x.reshape([n / m, m, c]) + rows.unsqueeze_dim(0)).reshape([n, c]),
    }
}

/// Adds `residual` to `x` `[n, c]`.
pub(crate) fn add_residual(x: Tensor<2>, residual: Option<Residual>) -> Tensor<2> {
    match residual {
        None => x,
        Some(Residual::Rows(rows)) => add_rows(x, rows),
        Some(Residual::Coarser(coarse)) => {
            let [b, h, w, c] = coarse.dims();
            let nearest: Tensor<6> = coarse.reshape([b, h, 1, w, 1, c]).expand([b, h, 2, w, 2, c]);
            x + nearest.reshape([b * 4 * h * w, c])
        }
    }
}

#[derive(Debug)]
pub struct Linear {
    /// `[input, output]`.
    weight: Tensor<2>,
    bias: Tensor<1>,
}

impl Linear {
    pub fn new(parameters: LinearParameters) -> Self {
        Self {
            weight: parameters.weight.into_value().transpose(),
            bias: parameters.bias.into_value(),
        }
    }
}

impl LinearOperation for Linear {
    fn forward(&self, x: Tensor<2>, options: LinearOptions) -> Tensor<2> {
        let x = match options.plus {
            Some(plus) => add_rows(x, plus),
            None => x,
        };
        let x = module::linear(x, self.weight.clone(), Some(self.bias.clone()));
        activate(add_residual(x, options.residual), options.activation)
    }
}

#[derive(Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    parameters: MlpParameters,
}

impl Mlp {
    pub fn new(parameters: MlpParameters) -> Self {
        Self {
            layers: parameters.layers.iter().cloned().map(Linear::new).collect(),
            parameters,
        }
    }
}

impl MlpOperation for Mlp {
    fn forward(&self, mut x: Tensor<2>, last: LinearOptions) -> Tensor<2> {
        let between = Some(self.parameters.activation);
        for (i, layer) in self.layers.iter().enumerate() {
            x = match i {
                0 => x,
                _ => activate(x, between),
            };
            x = layer.forward(x, LinearOptions::default());
        }
        if let Some(scale) = &self.parameters.scale {
            x = x * scale.value().unsqueeze_dim(0);
        }
        activate(add_residual(x, last.residual), last.activation)
    }
}

/// Grouped MLPs, which are computed one after another.
#[derive(Debug)]
pub(crate) struct GroupedMlp(pub Vec<Box<dyn MlpOperation>>);

impl GroupedMlpOperation for GroupedMlp {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, _, input] = x.dims();
        let outputs = self.0.iter().enumerate().map(|(i, mlp)| {
            let token = x.clone().narrow(1, i, 1).reshape([b, input]);
            mlp.forward(token, LinearOptions::default()).unsqueeze_dim::<3>(1)
        });
        Tensor::cat(outputs.collect(), 1)
    }
}
