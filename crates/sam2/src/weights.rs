//! How a network gets its tensors: by official name, from anything that has them.

use burn::tensor::{Device, Tensor, TensorData};

#[cfg(feature = "webgpu")]
use crate::layers::{adapter, is_gpu};

/// What goes wrong while a network is built from tensors.
#[derive(Debug, thiserror::Error, Clone, PartialEq)]
pub enum WeightsError {
    /// The checkpoint lacks a tensor that the configuration asks for.
    #[error(
        "the weights have no tensor `{name}` (shape {shape:?}): the file is incomplete or of another variant"
    )]
    Missing {
        /// Official name.
        name: String,
        /// The shape that the configuration asks for.
        shape: Vec<usize>,
    },
    /// A tensor is there with another shape.
    #[error(
        "tensor `{name}` has shape {found:?}, expected {expected:?}: the file is of another variant than the configuration"
    )]
    Shape {
        /// Official name.
        name: String,
        /// By the configuration.
        expected: Vec<usize>,
        /// In the file.
        found: Vec<usize>,
    },
    /// A configuration of one's own has a width that a GPU cannot work on.
    #[error(
        "configuration key `{key}` is {found}, expected a multiple of {multiple} on a GPU: load this model on the CPU (device \"cpu\")"
    )]
    Width {
        /// Dotted path below `model`.
        key: &'static str,
        /// What it has to be a multiple of.
        multiple: usize,
        /// What the configuration has.
        found: usize,
    },
}

/// Anything that gives tensors by their official name: a checkpoint, or a test's recipe.
pub trait TensorSource {
    /// The tensor as f32, row-major, with the shape asked for. Each is asked for once.
    ///
    /// # Errors
    /// [`WeightsError::Missing`] and [`WeightsError::Shape`].
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError>;

    /// The same as it is kept, if that is f16, for a device that computes with it.
    ///
    /// # Errors
    /// As [`TensorSource::take`].
    fn take_as_kept(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        self.take(name, shape)
    }
}

/// A place in the official module tree from which a block takes its tensors.
pub struct Weights<'a> {
    source: &'a mut dyn TensorSource,
    prefix: String,
    device: &'a Device,
}

impl<'a> Weights<'a> {
    /// The root of the tree; tensors go to `device`.
    pub fn new(source: &'a mut dyn TensorSource, device: &'a Device) -> Self {
        Self {
            source,
            prefix: String::new(),
            device,
        }
    }

    /// The submodule `name` (dots allowed).
    pub fn at(&mut self, name: impl std::fmt::Display) -> Weights<'_> {
        Weights {
            prefix: format!("{}{name}.", self.prefix),
            source: &mut *self.source,
            device: self.device,
        }
    }

    /// The parameter `name` of this module.
    ///
    /// # Errors
    /// As [`TensorSource::take`].
    pub fn tensor<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>, WeightsError> {
        let data = self.source.take(&format!("{}{name}", self.prefix), &shape)?;
        Ok(Tensor::from_data(data, self.device))
    }

    /// A matrix `name` for [`Linear`](crate::layers::Linear). It stays f16 if the source has it so and the device reads
    /// that: nothing is lost, and half of the GPU's memory is needed.
    ///
    /// # Errors
    /// As [`TensorSource::take`].
    pub(crate) fn matrix<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>, WeightsError> {
        #[cfg(feature = "webgpu")]
        if adapter().f16 && is_gpu(self.device) && sam2_kernels::tensors::supports_linear(&shape[..2]) {
            let name = format!("{}{name}", self.prefix);
            let data = self.source.take_as_kept(&name, &shape)?;
            let dtype = data.dtype();
            return Ok(Tensor::from_data(data, (self.device, dtype)));
        }
        self.tensor(name, shape)
    }

    /// The parameter `name` of this module as numbers, row-major, for what is computed on the host.
    ///
    /// # Errors
    /// As [`TensorSource::take`].
    pub fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let data = self.source.take(&format!("{}{name}", self.prefix), shape)?;
        Ok(data.iter::<f32>().collect())
    }

    /// Where the tensors go.
    pub fn device(&self) -> &Device {
        self.device
    }
}
