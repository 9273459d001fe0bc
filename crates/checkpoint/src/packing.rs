//! The number formats of a packed file.

use crate::{PackedDtype, PackedTensor};

/// The fewest values of a matrix that is written in 8 bits. A smaller one would save little: the patch embedding of SAM 2's
/// tiny, two tokens, kernels of one channel.
const SMALLEST_Q8: usize = 1 << 14;

/// The number format of a packed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Single precision, in which networks are computed.
    F32,
    /// Half precision, half the size.
    F16,
    /// Matrices of linear layers and convolutions as whole numbers of 8 bits with a scale for each output channel, all
    /// else in half precision: about a quarter of the size.
    Q8,
}

impl Packing {
    /// A tensor of the file. `output_axis` is the dimension of its output channel if it is a matrix.
    pub fn tensor(self, name: String, shape: Vec<usize>, output_axis: Option<usize>) -> PackedTensor {
        let is_large = shape.iter().product::<usize>() >= SMALLEST_Q8;
        let dtype = match (self, output_axis.filter(|_| is_large)) {
            (Self::F32, _) => PackedDtype::F32,
            (Self::Q8, Some(axis)) => PackedDtype::Q8 { axis },
            (Self::F16 | Self::Q8, _) => PackedDtype::F16,
        };
        PackedTensor { name, shape, dtype }
    }
}
