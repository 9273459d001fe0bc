//! How a network gets its parameters: by official name, from anything that has them.

use burn::tensor::{Tensor, TensorData};

use crate::{Implementation, Operations};

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

/// One tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Official name.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
}

/// A parameter of an operation, or its place where parameters are only listed ([`list_parameters`]).
#[derive(Clone, Debug)]
pub struct Parameter<const D: usize>(Option<Tensor<D>>);

impl<const D: usize> Parameter<D> {
    /// From its values.
    pub fn new(value: Tensor<D>) -> Self {
        Self(Some(value))
    }

    /// Its values.
    ///
    /// # Panics
    /// Where parameters are only listed: nothing is computed there.
    pub fn value(&self) -> Tensor<D> {
        self.0.clone().expect("a parameter that was loaded, not listed")
    }

    /// The same by value, so that one that nobody else holds is freed after it was laid out anew.
    ///
    /// # Panics
    /// As [`Self::value`].
    pub fn into_value(self) -> Tensor<D> {
        self.0.expect("a parameter that was loaded, not listed")
    }

    /// Several below each other, along the first dimension.
    pub fn stack(parts: Vec<Self>) -> Self {
        let values: Option<Vec<_>> = parts.into_iter().map(|part| part.0).collect();
        Self(values.map(|values| Tensor::cat(values, 0)))
    }

    /// The parameter with its values in another shape or order.
    pub fn map<const E: usize>(self, change: impl FnOnce(Tensor<D>) -> Tensor<E>) -> Parameter<E> {
        Parameter(self.0.map(change))
    }
}

/// An operation as its implementation prepared it; there is none where parameters are only listed.
#[derive(Debug)]
pub struct Prepared<T: ?Sized>(Option<Box<T>>);

impl<T: ?Sized> std::ops::Deref for Prepared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0
            .as_deref()
            .expect("an operation that was loaded, not listed")
    }
}

/// A parameter whose gradient is wanted.
#[derive(Clone, Debug)]
pub struct TrackedParameter {
    /// Official name.
    pub name: String,
    /// As it was loaded, flattened: `[n]`. Its gradient is the official parameter's, in the same order.
    pub value: Tensor<1>,
}

/// Where a block takes its parameters from: a place in the official module tree.
pub struct Weights<'a> {
    source: Source<'a>,
    prefix: String,
    implementation: &'a Implementation,
    tracked: Option<&'a mut Vec<TrackedParameter>>,
}

/// What is done with a name.
enum Source<'a> {
    /// Its tensor is taken.
    Tensors(&'a mut dyn TensorSource),
    /// It is listed.
    List(&'a mut Vec<ParameterSpec>),
}

impl<'a> Weights<'a> {
    /// The root of the tree; tensors go to the implementation's device.
    pub fn new(source: &'a mut dyn TensorSource, implementation: &'a Implementation) -> Self {
        Self {
            source: Source::Tensors(source),
            prefix: String::new(),
            implementation,
            tracked: None,
        }
    }

    /// The same, every parameter's gradient being wanted: the device is one that differentiates.
    pub fn tracked(mut self, parameters: &'a mut Vec<TrackedParameter>) -> Self {
        self.tracked = Some(parameters);
        self
    }

    /// The submodule `name` (dots allowed).
    pub fn at(&mut self, name: impl std::fmt::Display) -> Weights<'_> {
        let prefix = format!("{}{name}.", self.prefix);
        self.with_prefix(prefix)
    }

    /// The root of the tree.
    pub fn root(&mut self) -> Weights<'_> {
        self.with_prefix(String::new())
    }

    fn with_prefix(&mut self, prefix: String) -> Weights<'_> {
        Weights {
            prefix,
            source: match &mut self.source {
                Source::Tensors(source) => Source::Tensors(&mut **source),
                Source::List(list) => Source::List(list),
            },
            implementation: self.implementation,
            tracked: self.tracked.as_deref_mut(),
        }
    }

    /// How the network is computed.
    pub fn implementation(&self) -> &'a Implementation {
        self.implementation
    }

    /// The parameter `name` of this module.
    ///
    /// # Errors
    /// As [`TensorSource::take`].
    pub fn parameter<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Parameter<D>, WeightsError> {
        self.take(name, shape, false)
    }

    /// The matrix `name` of a linear layer or of what is one: `[output, input]`, dimensions after these being patches.
    /// It stays f16 if the source has it so and the implementation reads that: nothing is lost, and half of the memory is
    /// needed.
    ///
    /// # Errors
    /// As [`TensorSource::take`].
    pub fn matrix<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Parameter<D>, WeightsError> {
        self.take(name, shape, true)
    }

    fn take<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        may_be_f16: bool,
    ) -> Result<Parameter<D>, WeightsError> {
        let name = format!("{}{name}", self.prefix);
        let source = match &mut self.source {
            Source::Tensors(source) => source,
            Source::List(list) => {
                let shape = shape.to_vec();
                list.push(ParameterSpec { name, shape });
                return Ok(Parameter(None));
            }
        };
        let device = self.implementation.device();
        if may_be_f16 && self.implementation.keeps_f16([shape[0], shape[1]]) {
            let data = source.take_as_kept(&name, &shape)?;
            let dtype = data.dtype();
            return Ok(Parameter::new(Tensor::from_data(data, (device, dtype))));
        }
        let data = source.take(&name, &shape)?;
        let Some(tracked) = self.tracked.as_deref_mut() else {
            return Ok(Parameter::new(Tensor::from_data(data, device)));
        };
        let value = Tensor::<1>::from_data(
            TensorData::new(floats(&data), [shape.iter().product::<usize>()]),
            device,
        );
        let value = value.require_grad();
        tracked.push(TrackedParameter {
            name,
            value: value.clone(),
        });
        Ok(Parameter::new(value.reshape(shape)))
    }

    /// The parameter `name` as numbers, row-major, for what is computed on the host; zeros where it is only listed.
    ///
    /// # Errors
    /// As [`TensorSource::take`].
    pub fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let name = format!("{}{name}", self.prefix);
        match &mut self.source {
            Source::Tensors(source) => Ok(floats(&source.take(&name, shape)?)),
            Source::List(list) => {
                let shape = shape.to_vec();
                let count = shape.iter().product();
                list.push(ParameterSpec { name, shape });
                Ok(vec![0.0; count])
            }
        }
    }

    /// A table that no checkpoint has, such as positions: computed on the host, and only where it is needed.
    pub fn table<const D: usize>(
        &self,
        shape: [usize; D],
        values: impl FnOnce() -> Vec<f32>,
    ) -> Parameter<D> {
        Parameter(match self.source {
            Source::Tensors(_) => {
                let data = TensorData::new(values(), shape);
                Some(Tensor::from_data(data, self.implementation.device()))
            }
            Source::List(_) => None,
        })
    }

    /// The operation as the implementation prepares it from its parameters.
    pub fn prepare<P, T: ?Sized>(
        &self,
        parameters: P,
        prepare: impl FnOnce(&dyn Operations, P) -> Box<T>,
    ) -> Prepared<T> {
        Prepared(match self.source {
            Source::Tensors(_) => Some(prepare(&**self.implementation, parameters)),
            Source::List(_) => None,
        })
    }
}

/// The numbers of a tensor's data, whatever they are kept as.
fn floats(data: &TensorData) -> Vec<f32> {
    data.iter::<f32>().collect()
}

/// Names and shapes of the parameters that `load` takes, in that order. Nothing is computed, and there need be no device.
///
/// # Errors
/// What `load` says.
pub fn list_parameters<T, E>(
    load: impl FnOnce(Weights<'_>) -> Result<T, E>,
) -> Result<Vec<ParameterSpec>, E> {
    let mut list = Vec::new();
    load(Weights {
        source: Source::List(&mut list),
        prefix: String::new(),
        implementation: &Implementation::none(),
        tracked: None,
    })?;
    Ok(list)
}
