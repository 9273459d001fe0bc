//! The multi-layer perceptron of `sam2.modeling.sam2_utils.MLP`.

use burn::tensor::{Tensor, activation};
#[cfg(feature = "webgpu")]
use sam2_kernels::tensors::{LinearOptions, Residual};

#[cfg(feature = "flex")]
use super::packed::chain;
use super::{Linear, gelu};
#[cfg(feature = "webgpu")]
use super::{is_gpu, rows};
use crate::weights::{Weights, WeightsError};

/// What stands between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// The exact form, by the error function.
    Gelu,
}

impl Activation {
    /// Element by element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => activation::relu(x),
            Self::Gelu => gelu(x),
        }
    }

    /// The kernels' name of it.
    #[cfg(feature = "webgpu")]
    pub(crate) fn on_gpu(self) -> sam2_kernels::Activation {
        match self {
            Self::Relu => sam2_kernels::Activation::Relu,
            Self::Gelu => sam2_kernels::Activation::Gelu,
        }
    }
}

/// Linear layers with an activation between them, none after the last.
#[derive(Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    activation: Activation,
    /// On a GPU, where the output's width, such as that of a score, is no multiple of four: the last layer with zeros up to
    /// the next one.
    #[cfg(feature = "webgpu")]
    padded: Option<Linear>,
}

impl Mlp {
    /// Takes `layers.0`, `layers.1`, …: `widths` are the input's, each hidden layer's and the output's.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        mut weights: Weights,
        widths: &[usize],
        activation: Activation,
    ) -> Result<Self, WeightsError> {
        let layers: Vec<Linear> = widths
            .windows(2)
            .enumerate()
            .map(|(i, pair)| Linear::load(weights.at(format_args!("layers.{i}")), pair[0], pair[1]))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            #[cfg(feature = "webgpu")]
            padded: layers.last().filter(|_| is_gpu(weights.device())).and_then(pad),
            layers,
            activation,
        })
    }

    /// `[..., input]` to `[..., output]`.
    pub fn forward<const D: usize>(&self, mut x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "webgpu")]
        if is_gpu(&x.device()) {
            let mut dims = x.dims();
            let x = self.on_gpu(rows(x), LinearOptions::default());
            dims[D - 1] = x.dims()[1];
            return x.reshape(dims);
        }
        #[cfg(feature = "flex")]
        if let Some(layers) = self.layers.iter().map(Linear::packed).collect::<Option<Vec<_>>>() {
            return chain(&layers, self.activation, x);
        }
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = self.activation.forward(x);
            }
            x = layer.forward(x);
        }
        x
    }

    /// The same, added to `residual`, which has the output's shape.
    pub fn forward_onto<const D: usize>(&self, x: Tensor<D>, residual: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "webgpu")]
        if is_gpu(&x.device()) {
            let dims = residual.dims();
            let options = LinearOptions {
                residual: Some(Residual::Repeated(rows(residual))),
                ..LinearOptions::default()
            };
            return self.on_gpu(rows(x), options).reshape(dims);
        }
        residual + self.forward(x)
    }

    /// By kernels of our own, activations in them; `last` is what the last layer does besides.
    #[cfg(feature = "webgpu")]
    pub(crate) fn on_gpu(&self, mut x: Tensor<2>, last: LinearOptions) -> Tensor<2> {
        let (end, hidden) = self.layers.split_last().expect("a layer");
        for layer in hidden {
            let options = LinearOptions {
                activation: self.activation.on_gpu(),
                ..LinearOptions::default()
            };
            x = layer.on_gpu(x, options);
        }
        match &self.padded {
            Some(padded) => {
                let width = end.parameters().1.dims()[0];
                padded.on_gpu(x, last).narrow(1, 0, width)
            }
            None => end.on_gpu(x, last),
        }
    }

    /// In their order.
    #[cfg(feature = "webgpu")]
    pub(crate) fn layers(&self) -> &[Linear] {
        &self.layers
    }
}

/// See [`Mlp::padded`].
#[cfg(feature = "webgpu")]
fn pad(layer: &Linear) -> Option<Linear> {
    let (weight, bias) = layer.parameters();
    let [input, output] = weight.dims();
    let more = output.next_multiple_of(4) - output;
    (more > 0).then(|| {
        let device = &weight.device();
        let weight = Tensor::cat(vec![weight.clone(), Tensor::zeros([input, more], device)], 1);
        let bias = Tensor::cat(vec![bias.clone(), Tensor::zeros([more], device)], 0);
        Linear::from_parts(weight, bias)
    })
}
