//! Linear layers.

use burn::tensor::Tensor;
#[cfg(not(target_arch = "wasm32"))]
use burn::tensor::module;

use super::Products;
use super::in_place::activate;
use super::packed::PackedLinear;
use crate::portable::{add_residual, add_rows};
use crate::{LinearOperation, LinearOptions, LinearParameters};

/// A linear layer, prepared for one of the [`Products`].
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // There are only a few hundred layers, which are never moved.
pub enum Linear {
    #[cfg(not(target_arch = "wasm32"))]
    Burn {
        /// `[input, output]`.
        weight: Tensor<2>,
        bias: Tensor<1>,
    },
    Packed(PackedLinear),
}

impl Linear {
    pub fn new(products: Products, parameters: LinearParameters) -> Self {
        let weight = parameters.weight.into_value().transpose();
        Self::from_parts(products, weight, parameters.bias.into_value())
    }

    /// A layer of `weight` `[input, output]` and `bias` `[output]`.
    pub fn from_parts(products: Products, weight: Tensor<2>, bias: Tensor<1>) -> Self {
        match products {
            #[cfg(not(target_arch = "wasm32"))]
            Products::Burn => Self::Burn { weight, bias },
            Products::Packed => Self::Packed(PackedLinear::new(weight, bias)),
        }
    }

    /// `[..., input]` to `[..., output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self {
            #[cfg(not(target_arch = "wasm32"))]
            Self::Burn { weight, bias } => {
                // burn would multiply each matrix of a batch separately, and copy the weight first, so they are merged.
                let mut dims = x.dims();
                let rows = crate::linear::rows(x);
                dims[D - 1] = bias.dims()[0];
                module::linear(rows, weight.clone(), Some(bias.clone())).reshape(dims)
            }
            Self::Packed(layer) => layer.forward(x),
        }
    }

    /// The packed layer; `None` for burn's products.
    pub fn packed(&self) -> Option<&PackedLinear> {
        match self {
            Self::Packed(layer) => Some(layer),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Burn { .. } => None,
        }
    }
}

impl LinearOperation for Linear {
    fn forward(&self, x: Tensor<2>, options: LinearOptions) -> Tensor<2> {
        let x = match options.plus {
            Some(plus) => add_rows(x, plus),
            None => x,
        };
        let x = Linear::forward(self, x);
        activate(add_residual(x, options.residual), options.activation)
    }
}
