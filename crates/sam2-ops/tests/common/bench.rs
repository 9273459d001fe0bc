//! Parameters and inputs that are the same for every implementation.

use burn::tensor::{DType, Tensor, TensorData, f16};
use sam2_ops::{Implementation, TensorSource, Weights, WeightsError};

/// Runs operations of one implementation.
pub struct Bench<'a>(pub &'a Implementation);

/// A tensor's shape and its values.
pub struct Numbers {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// The shape and the values of a tensor.
pub fn numbers<const D: usize>(x: Tensor<D>) -> Numbers {
    Numbers {
        shape: x.dims().to_vec(),
        values: x.into_data().iter().collect(),
    }
}

impl Bench<'_> {
    /// An input, whose values depend on its name and shape.
    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Tensor<D> {
        let values = random(name, shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), self.0.device())
    }

    /// An operation with parameters that depend on their names and shapes.
    pub fn load<T>(&self, load: impl FnOnce(Weights) -> Result<T, WeightsError>) -> T {
        load(Weights::new(&mut Parameters, self.0)).expect("parameters of every name and shape")
    }
}

/// Parameters of any name and shape, about as large as trained ones. All values can be represented in f16, so that an
/// implementation can keep them in f16 without a loss.
struct Parameters;

impl TensorSource for Parameters {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        let values = random(name, shape.iter().product());
        let inputs: usize = shape[1..].iter().product();
        let (scale, shift) = match shape.len() {
            // A normalisation's weights and variances are around 1.
            1 if name.ends_with("weight") || name.ends_with("running_var") => (0.2, 1.0),
            1 => (0.2, 0.0),
            _ => (1.0 / (inputs as f32).sqrt(), 0.0),
        };
        let values = values.iter().map(|x| f16::from_f32(x * scale + shift).to_f32());
        Ok(TensorData::new::<f32, _>(values.collect(), shape))
    }

    fn take_as_kept(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        Ok(self.take(name, shape)?.convert_dtype(DType::F16))
    }
}

/// Numbers around 0 with a variance of 1, the same for the same name and count.
fn random(name: &str, count: usize) -> Vec<f32> {
    // FNV-1a of the name, then SplitMix64.
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325 ^ count as u64, hash);
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    // The sum of three numbers with a variance of 1/12 each.
    (0..count)
        .map(|_| 2.0 * (uniform() + uniform() + uniform()))
        .collect()
}
