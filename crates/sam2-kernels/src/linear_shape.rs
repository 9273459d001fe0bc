//! The shape and the options of a linear layer.

use crate::activation::Activation;

/// The shape of a tensor that is added to a layer's output before the activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResidualShape {
    /// Nothing.
    #[default]
    None,
    /// A matrix of this many rows with the output's width. Value `i` modulo its length is added to value `i` of the
    /// output.
    Repeated(usize),
    /// A picture `[b, h, w, n]`, each pixel of which is added to four pixels of the output `[b, 2h, 2w, n]`
    /// (nearest-neighbour upsampling, as in `sam2.modeling.backbones.image_encoder.FpnNeck`).
    Coarser {
        /// `w`.
        width: usize,
    },
}

/// The patches of channels-last pictures that rows are. They make the layer a convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patches {
    /// Rows are not patches.
    #[default]
    None,
    /// A convolution of kernel and stride 2: the input is a picture `[b, 2h, 2 width, k/4]`, and a row takes 2x2 of its
    /// pixels, the upper two first.
    Merge {
        /// The number of patches along the picture's width.
        width: usize,
    },
    /// A convolution of kernel 3, stride 2 and padding 1: the input is a picture `[b, 2 height, 2 width, k/9]`, and a row
    /// takes 3x3 of its pixels, line by line, and zeros beyond the edges.
    Around {
        /// The number of patches along the picture's height.
        height: usize,
        /// The number of patches along the picture's width.
        width: usize,
    },
    /// A transposed convolution of kernel and stride 2: the output is a picture `[b, 2h, 2 width, n/4]`, and a row
    /// becomes 2x2 of its pixels, the upper two first.
    Expand {
        /// The number of patches along the picture's width.
        width: usize,
    },
}

/// The shape and the options of a linear layer.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinearShape {
    /// The number of rows of the input and the output.
    pub rows: usize,
    /// The number of values of a row of the input.
    pub k: usize,
    /// The number of values of a row of the output.
    pub n: usize,
    /// The number of rows of `plus`, of which row `i` modulo this number is added to row `i` of the input. 0 if there
    /// is no such input.
    pub plus: usize,
    /// The tensor that is added to the output before the activation.
    pub residual: ResidualShape,
    /// The function that is applied to the output.
    pub activation: Activation,
    /// The number of rows of `rotary`, which has the cosine and sine of an angle for every two neighbouring values of
    /// the output. These are rotated by the angle, like a point. Row `i` uses row `i` modulo this number. 0 if there is
    /// no such input.
    pub rotary: usize,
    /// The number of the output's first rows that are rotated.
    pub rotated: usize,
    /// The layout of rows in the input or the output.
    pub patches: Patches,
    /// The number of matrices and of biases, which are stored one after another. Row `i` uses number `i` modulo this
    /// number. 0 means 1.
    pub groups: usize,
    /// Whether `weight` is f16.
    pub half: bool,
    /// Whether products of four values are computed and summed in f16, and these sums in f32. This applies to the
    /// variant for real GPUs that shares its tiles. The device must support f16.
    pub f16_products: bool,
}
