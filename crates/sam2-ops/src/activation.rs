//! Activation functions.

/// A function that is applied to each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6) (`nn.ReLU6`).
    Relu6,
    /// x (1 + erf(x / √2)) / 2, the exact form (`nn.GELU`).
    Gelu,
    /// x / (1 + e^-1.702x), CLIP's approximation of GELU (`quick_gelu`).
    QuickGelu,
    /// 1 / (1 + e^-x).
    Sigmoid,
}
