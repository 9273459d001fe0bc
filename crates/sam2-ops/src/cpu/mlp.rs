//! Multi-layer perceptrons.

use burn::tensor::Tensor;

use super::Products;
use super::in_place::{activate, add_by_rows};
use super::linear::Linear;
use super::packed::{PackedLinear, chain};
use crate::portable::add_residual;
use crate::{Activation, LinearOptions, LinearParameters, MlpOperation, MlpParameters, Parameter, Residual};

/// The most hidden values that are computed at once, 16 MB. With more, the layers are applied to parts of the rows, which
/// needs less memory.
const HIDDEN: usize = 1 << 22;
/// The number of rows of a part. With 2048 hidden values, these are 2 MB.
const ROWS: usize = 256;

#[derive(Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    activation: Activation,
    /// The widest output of the layers except the last.
    widest: usize,
    output: usize,
}

impl Mlp {
    pub fn new(products: Products, parameters: MlpParameters) -> Self {
        let MlpParameters {
            mut layers,
            activation,
            scale,
        } = parameters;
        let last = layers.pop().expect("a layer");
        let last = match scale {
            Some(scale) => scaled(last, scale),
            None => last,
        };
        let output = last.bias.value().dims()[0];
        let hidden = layers.iter().map(|layer| layer.bias.value().dims()[0]);
        Self {
            widest: hidden.max().unwrap_or(0),
            output,
            layers: layers
                .into_iter()
                .chain([last])
                .map(|layer| Linear::new(products, layer))
                .collect(),
            activation,
        }
    }

    fn layers(&self, mut x: Tensor<2>) -> Tensor<2> {
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = activate(x, Some(self.activation));
            }
            x = layer.forward(x);
        }
        x
    }

    fn packed(&self) -> Option<Vec<&PackedLinear>> {
        self.layers.iter().map(Linear::packed).collect()
    }
}

/// The layer with each output multiplied by one of `factors` `[output]`.
fn scaled(layer: LinearParameters, factors: Parameter<1>) -> LinearParameters {
    let factors = factors.into_value();
    LinearParameters {
        weight: Parameter::new(layer.weight.into_value() * factors.clone().unsqueeze_dim(1)),
        bias: Parameter::new(layer.bias.into_value() * factors),
    }
}

impl MlpOperation for Mlp {
    fn forward(&self, x: Tensor<2>, last: LinearOptions) -> Tensor<2> {
        let [n, input] = x.dims();
        let x = if let Some(layers) = self.packed() {
            add_residual(chain(&layers, self.activation, x), last.residual)
        } else if n * self.widest < HIDDEN {
            add_residual(self.layers(x), last.residual)
        } else {
            let (onto, later) = match last.residual {
                Some(Residual::Rows(rows)) if rows.dims()[0] == n => (rows, None),
                other => (Tensor::zeros([n, self.output], &x.device()), other),
            };
            let sum = add_by_rows(onto, ROWS, |rows| self.layers(x.clone().slice([rows, 0..input])));
            add_residual(sum, later)
        };
        activate(x, last.activation)
    }
}
