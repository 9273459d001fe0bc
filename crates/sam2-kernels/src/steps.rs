//! How a convolution passes over a picture.

use crate::Activation;

/// The steps of a convolution, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The distance between neighbouring pixels of the output, in pixels of the input.
    pub stride: usize,
    /// The number of rows of zeros above the picture, and of columns to the left of it. Pixels beyond the other edges are
    /// zeros too.
    pub padding: usize,
    /// The function that is applied to the output.
    pub activation: Activation,
}

impl Steps {
    /// The part of a kernel's key that these steps decide.
    pub(crate) fn key(&self) -> String {
        format!("{} {} {:?}", self.stride, self.padding, self.activation)
    }
}
