//! Loading of parameters by their official names.

use burn::tensor::{Tensor, TensorData};

use crate::{Implementation, Operations};

/// Why a network cannot be built from tensors.
#[derive(Debug, thiserror::Error, Clone, PartialEq)]
pub enum WeightsError {
    /// The checkpoint does not contain a tensor of the configuration.
    #[error(
        "the weights have no tensor `{name}` (shape {shape:?}): the file is incomplete or of another variant"
    )]
    Missing {
        /// The tensor's official name.
        name: String,
        /// The shape of the tensor by the configuration.
        shape: Vec<usize>,
    },
    /// A tensor has another shape than in the configuration.
    #[error(
        "tensor `{name}` has shape {found:?}, expected {expected:?}: the file is of another variant than the configuration"
    )]
    Shape {
        /// The tensor's official name.
        name: String,
        /// The shape by the configuration.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A custom configuration has a width that the GPU implementation does not support.
    #[error(
        "configuration key `{key}` is {found}, expected a multiple of {multiple} on a GPU: load this model on the CPU (device \"cpu\")"
    )]
    Width {
        /// Dotted path below `model`.
        key: &'static str,
        /// The number of which it has to be a multiple.
        multiple: usize,
        /// The value in the configuration.
        found: usize,
    },
}

/// A source of tensors by their official names, such as a checkpoint.
pub trait TensorSource {
    /// Takes the tensor `name` as f32, row-major. Each tensor is taken only once.
    ///
    /// # Errors
    /// [`WeightsError::Missing`] if there is no such tensor, and [`WeightsError::Shape`] if it does not have this shape.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError>;

    /// Takes the tensor `name` as f16 if the source keeps it so, else as f32.
    ///
    /// # Errors
    /// The errors of [`TensorSource::take`].
    fn take_as_kept(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        self.take(name, shape)
    }
}

/// The name and shape of one tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// The tensor's official name.
    pub name: String,
    /// The tensor's shape, row-major.
    pub shape: Vec<usize>,
}

/// A parameter of an operation. It has no value while parameters are only listed ([`list_parameters`]).
#[derive(Clone, Debug)]
pub struct Parameter<const D: usize>(Option<Tensor<D>>);

impl<const D: usize> Parameter<D> {
    /// A parameter with a value.
    pub fn new(value: Tensor<D>) -> Self {
        Self(Some(value))
    }

    /// The parameter's value.
    ///
    /// # Panics
    /// While parameters are only listed.
    pub fn value(&self) -> Tensor<D> {
        self.0.clone().expect("a parameter that was loaded, not listed")
    }

    /// The parameter's value, by move, so that its memory can be freed or reused.
    ///
    /// # Panics
    /// While parameters are only listed.
    pub fn into_value(self) -> Tensor<D> {
        self.0.expect("a parameter that was loaded, not listed")
    }

    /// Concatenates several parameters along the first dimension.
    pub fn stack(parts: Vec<Self>) -> Self {
        let values: Option<Vec<_>> = parts.into_iter().map(|part| part.0).collect();
        Self(values.map(|values| Tensor::cat(values, 0)))
    }

    /// Computes a parameter from this one and another.
    pub fn zip<const E: usize, const F: usize>(
        self,
        other: Parameter<E>,
        combine: impl FnOnce(Tensor<D>, Tensor<E>) -> Tensor<F>,
    ) -> Parameter<F> {
        Parameter(self.0.zip(other.0).map(|(this, other)| combine(this, other)))
    }

    /// Applies `change` to the parameter's value, to give it another shape or order.
    pub fn map<const E: usize>(self, change: impl FnOnce(Tensor<D>) -> Tensor<E>) -> Parameter<E> {
        Parameter(self.0.map(change))
    }
}

/// An operation as an implementation has prepared it. It is empty while parameters are only listed.
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

/// A parameter whose gradient is computed.
#[derive(Clone, Debug)]
pub struct TrackedParameter {
    /// The parameter's official name.
    pub name: String,
    /// The parameter as it was loaded, flattened: `[n]`. Its gradient is that of the official parameter, in the same
    /// order.
    pub value: Tensor<1>,
}

/// A module in the official module tree, from which a block takes its parameters.
pub struct Weights<'a> {
    source: Source<'a>,
    prefix: String,
    implementation: &'a Implementation,
    tracked: Option<&'a mut Vec<TrackedParameter>>,
}

/// What happens to a parameter that is asked for.
enum Source<'a> {
    /// The tensor is taken from a source.
    Tensors(&'a mut dyn TensorSource),
    /// The name and shape are added to a list.
    List(&'a mut Vec<ParameterSpec>),
}

impl<'a> Weights<'a> {
    /// The root of the module tree. Tensors are put on the implementation's device.
    pub fn new(source: &'a mut dyn TensorSource, implementation: &'a Implementation) -> Self {
        Self {
            source: Source::Tensors(source),
            prefix: String::new(),
            implementation,
            tracked: None,
        }
    }

    /// The same module with gradients for every parameter, which are added to `parameters` as they are taken. The
    /// implementation's device must support automatic differentiation.
    pub fn tracked(mut self, parameters: &'a mut Vec<TrackedParameter>) -> Self {
        self.tracked = Some(parameters);
        self
    }

    /// The submodule `name`, which may contain dots.
    pub fn at(&mut self, name: impl std::fmt::Display) -> Weights<'_> {
        let prefix = format!("{}{name}.", self.prefix);
        self.with_prefix(prefix)
    }

    /// The root of the module tree.
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

    /// The implementation that computes the network.
    pub fn implementation(&self) -> &'a Implementation {
        self.implementation
    }

    /// Takes the parameter `name` of this module.
    ///
    /// # Errors
    /// The errors of [`TensorSource::take`].
    pub fn parameter<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Parameter<D>, WeightsError> {
        self.take(name, shape, false)
    }

    /// Takes the matrix `name` of a linear layer, `[output, input]`, or of a convolution, `[output, input, kernel,
    /// kernel]`. It stays f16 if the source keeps it so and the implementation supports it, which halves the memory.
    ///
    /// # Errors
    /// The errors of [`TensorSource::take`].
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

    /// Takes the values of the parameter `name`, row-major, for computations on the host. They are zeros while
    /// parameters are only listed.
    ///
    /// # Errors
    /// The errors of [`TensorSource::take`].
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

    /// Takes the parameter `name` as the source keeps it, f32 or f16, row-major, for a table of which few rows are read on
    /// the host. It has no values while parameters are only listed.
    ///
    /// # Errors
    /// The errors of [`TensorSource::take`].
    pub fn kept(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        let name = format!("{}{name}", self.prefix);
        match &mut self.source {
            Source::Tensors(source) => source.take_as_kept(&name, shape),
            Source::List(list) => {
                let shape = shape.to_vec();
                list.push(ParameterSpec { name, shape });
                Ok(TensorData::new(Vec::<f32>::new(), [0]))
            }
        }
    }

    /// A table that is not in a checkpoint, such as positions. `values` computes it on the host; it is not called while
    /// parameters are only listed.
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

    /// Prepares an operation for the implementation from its parameters.
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

/// The values of a tensor as f32.
fn floats(data: &TensorData) -> Vec<f32> {
    data.iter::<f32>().collect()
}

/// Lists the names and shapes of the parameters that `load` takes, in that order. Nothing is computed, and no device is
/// needed.
///
/// # Errors
/// The errors of `load`.
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
