//! The convolution that turns pixels into tokens (`sam2.modeling.backbones.utils.PatchEmbed`).

use burn::tensor::Tensor;

use crate::{Parameter, Prepared, Weights, WeightsError};

/// A convolution of kernel 7, stride 4 and padding 3, to whose output positions are added.
#[derive(Debug)]
pub struct PatchEmbed {
    operation: Prepared<dyn PatchEmbedOperation>,
}

/// The parameters of a [`PatchEmbed`].
#[derive(Clone, Debug)]
pub struct PatchEmbedParameters {
    /// `[c, 3, 7, 7]`.
    pub weight: Parameter<4>,
    /// `[c]`.
    pub bias: Parameter<1>,
    /// `[1, h/4, w/4, c]`, added to the tokens.
    pub positions: Parameter<4>,
}

/// A [`PatchEmbed`] as an implementation has prepared it.
pub trait PatchEmbedOperation: std::fmt::Debug + Send + Sync {
    /// [`PatchEmbed::forward`].
    fn forward(&self, picture: Tensor<4>) -> Tensor<4>;
}

impl PatchEmbed {
    /// The side of the convolution's kernel, in pixels.
    pub const KERNEL: usize = 7;
    /// The distance between neighbouring tokens, in pixels.
    pub const STRIDE: usize = 4;
    /// The width of the border of zeros around the picture, in pixels.
    pub const PADDING: usize = 3;

    /// Takes `proj.weight` and `proj.bias`. `positions` is `[1, h/4, w/4, c]`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, c: usize, positions: Parameter<4>) -> Result<Self, WeightsError> {
        let mut proj = weights.at("proj");
        let parameters = PatchEmbedParameters {
            weight: proj.parameter("weight", [c, 3, Self::KERNEL, Self::KERNEL])?,
            bias: proj.parameter("bias", [c])?,
            positions,
        };
        Ok(Self {
            operation: weights.prepare(parameters, |operations, parameters| {
                operations.patch_embed(parameters)
            }),
        })
    }

    /// A picture `[b, 3, h, w]` to tokens `[b, h/4, w/4, c]`.
    pub fn forward(&self, picture: Tensor<4>) -> Tensor<4> {
        self.operation.forward(picture)
    }
}
