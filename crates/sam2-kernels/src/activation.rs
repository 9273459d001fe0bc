//! Activation functions, as WGSL functions of four values.

/// The function that is applied to each value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The value itself.
    #[default]
    None,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// x (1 + erf(x / √2)) / 2, the default of `torch.nn.GELU`.
    Gelu,
    /// x / (1 + e^-1.702x), CLIP's approximation of GELU (`quick_gelu`).
    QuickGelu,
    /// 1 / (1 + e^-x).
    Sigmoid,
}

impl Activation {
    /// The WGSL function `activate`.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::None => IDENTITY,
            Self::Relu => RELU,
            Self::Relu6 => RELU6,
            Self::Gelu => GELU,
            Self::QuickGelu => QUICK_GELU,
            Self::Sigmoid => SIGMOID,
        }
    }
}

/// The error function is the rational approximation of the C++ library Eigen. Its error is below 5e-7.
const GELU: &str = "
fn activate(v: vec4<f32>) -> vec4<f32> {
  let x = clamp(v * 0.70710678, vec4<f32>(-4.0), vec4<f32>(4.0));
  let s = x * x;
  var p = s * -2.72614225801306e-10 + 2.77068142495902e-08;
  p = p * s - 2.10102402082508e-06;
  p = p * s - 5.69250639462346e-05;
  p = p * s - 7.34990630326855e-04;
  p = p * s - 2.95459980940854e-03;
  p = p * s - 1.60960333262415e-02;
  var q = s * -1.45660718464996e-05 - 2.13374055278905e-04;
  q = q * s - 1.68282697438203e-03;
  q = q * s - 7.37332916720468e-03;
  q = q * s - 1.42647390514189e-02;
  return 0.5 * v * (1.0 + x * p / q);
}
";

const RELU: &str = "
fn activate(v: vec4<f32>) -> vec4<f32> { return max(v, vec4<f32>(0.0)); }
";

const RELU6: &str = "
fn activate(v: vec4<f32>) -> vec4<f32> { return clamp(v, vec4<f32>(0.0), vec4<f32>(6.0)); }
";

const QUICK_GELU: &str = "
fn activate(v: vec4<f32>) -> vec4<f32> { return v / (1.0 + exp(-1.702 * v)); }
";

const SIGMOID: &str = "
fn activate(v: vec4<f32>) -> vec4<f32> { return 1.0 / (1.0 + exp(-v)); }
";

const IDENTITY: &str = "
fn activate(v: vec4<f32>) -> vec4<f32> { return v; }
";
