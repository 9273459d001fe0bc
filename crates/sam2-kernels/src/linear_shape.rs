//! What a linear layer is asked for besides its values.

use crate::activation::Activation;

/// What is added to a layer's output before the activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResidualShape {
    /// Nothing.
    #[default]
    None,
    /// So many rows as the output's, laid out as the output is: its value `i` takes their value `i` modulo their length.
    Repeated(usize),
    /// A picture `[b, h, w, n]`, each of its pixels added to four of the output `[b, 2h, 2w, n]` (nearest-neighbour
    /// upsampling, as in `sam2.modeling.backbones.image_encoder.FpnNeck`).
    Coarser {
        /// `w`.
        width: usize,
    },
}

/// How rows are patches of channels-last pictures, which makes the layer a convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patches {
    /// They are not.
    #[default]
    None,
    /// A convolution of kernel and stride 2: the input is a picture `[b, 2h, 2 width, k/4]`, and a row takes 2x2 of its
    /// pixels, the upper two first.
    Merge {
        /// How many patches there are from the picture's left to its right.
        width: usize,
    },
    /// A convolution of kernel 3, stride 2 and padding 1: the input is a picture `[b, 2 height, 2 width, k/9]`, and a row
    /// takes 3x3 of its pixels, line by line, and zeros beyond the edges.
    Around {
        /// How many patches there are from the picture's top to its bottom.
        height: usize,
        /// How many patches there are from the picture's left to its right.
        width: usize,
    },
    /// A transposed convolution of kernel and stride 2: the output is a picture `[b, 2h, 2 width, n/4]`, and a row becomes
    /// 2x2 of its pixels, the upper two first.
    Expand {
        /// How many patches there are from the picture's left to its right.
        width: usize,
    },
}

/// Everything of a linear layer but the values.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinearShape {
    /// Rows of the input and the output.
    pub rows: usize,
    /// Values of a row of the input.
    pub k: usize,
    /// Values of a row of the output.
    pub n: usize,
    /// How many rows `plus` has, which is added to the input: row `i` takes its row `i` modulo this number. 0 if there is
    /// no such input.
    pub plus: usize,
    /// What is added to the output before the activation.
    pub residual: ResidualShape,
    /// What is applied to the output.
    pub activation: Activation,
    /// How many rows `rotary` has: cosine and sine of an angle for each two neighbouring values of the output, which are
    /// rotated by it as a point. Row `i` takes its row `i` modulo this number. 0 if there is no such input.
    pub rotary: usize,
    /// How many of the output's first rows are rotated.
    pub rotated: usize,
    /// How rows lie in the input or the output.
    pub patches: Patches,
    /// How many matrices and biases there are, one after another: row `i` takes number `i` modulo this one. 0 is 1.
    pub groups: usize,
    /// Whether `weight` is of f16 numbers.
    pub half: bool,
    /// Whether products of four values are made and summed in f16, and only these sums in f32, in the variant for real
    /// GPUs that shares its tiles. The device must have f16.
    pub f16_products: bool,
}
