//! A file of tensors: its bytes, and the position of each tensor in them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use half::f16;

use crate::sniff::{Kind, sniff};
use crate::tensor::contiguous;
use crate::{Dtype, FileError, StoredTensor, safetensors, torch};

/// The most tensors of one file. The largest official SAM 2 has 903, and its training state a few thousand.
pub(crate) const MAX_TENSORS: usize = 1 << 16;
/// The longest name of a tensor, in bytes. A malicious file could repeat a longer one many times at no cost to its size.
pub(crate) const MAX_NAME: usize = 512;

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A JSON header, then the tensors' bytes.
    Safetensors,
    /// The format of `torch.save`: a ZIP with a pickle.
    Torch,
}

/// A Python object in a pickle that is neither a tensor nor plain data. Such objects are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PickledObject {
    /// The keys that lead to the object, joined by dots. It is empty if the object is all that was saved.
    pub path: String,
    /// The object's class, such as `sam2.modeling.sam2_base.SAM2Base`.
    pub class: String,
    /// Whether the object contains tensors. It is then a module that was saved with its code.
    pub holds_tensors: bool,
}

/// The tensors of one file, or of several that were joined, by name.
///
/// The bytes are kept as they are. A tensor is converted to numbers only when it is asked for, so the memory needed is
/// that of the file and of what the caller keeps.
///
/// In a pickle of nested dicts and lists, the keys that lead to a tensor, joined by dots, are its name:
/// `{"model": {"head.weight": …}, "optimizer": {"state": {0: {"exp_avg": …}}}}` contains `model.head.weight` and
/// `optimizer.state.0.exp_avg`. Numbers, texts and objects beside the tensors are ignored.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorFile {
    pub(crate) parts: Vec<Vec<u8>>,
    pub(crate) tensors: BTreeMap<String, StoredTensor>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) container: Container,
    pub(crate) objects: Vec<PickledObject>,
}

impl TensorFile {
    /// Finds the tensors of a safetensors or PyTorch file.
    ///
    /// # Errors
    /// [`FileError`] if the bytes are not such a file, are damaged or cut short, or ask for a function to be executed.
    pub fn read(bytes: impl Into<Vec<u8>>) -> Result<Self, FileError> {
        let bytes = bytes.into();
        match sniff(&bytes)? {
            Kind::Safetensors => safetensors::read(bytes, true),
            Kind::Zip => torch::read(bytes),
        }
    }

    /// Finds the tensors of a safetensors file by its beginning, at least up to the end of its header. Names, shapes,
    /// formats and metadata are then known, but no values.
    ///
    /// # Errors
    /// [`FileError`] for any other file, and for an incomplete header.
    pub fn read_beginning(bytes: impl Into<Vec<u8>>) -> Result<Self, FileError> {
        let bytes = bytes.into();
        match sniff(&bytes)? {
            Kind::Safetensors => safetensors::read(bytes, false),
            Kind::Zip => Err(FileError::Unsupported {
                what: "a ZIP file cannot be read before it is complete".into(),
                advice: "Wait for the whole file".into(),
            }),
        }
    }

    /// Adds the tensors of another file, for a checkpoint that is split into several files.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] if both files contain a tensor of the same name.
    pub fn join(&mut self, other: Self) -> Result<(), FileError> {
        let before = self.parts.len();
        if let Some(name) = other.tensors.keys().find(|name| self.tensors.contains_key(*name)) {
            return Err(FileError::Unsupported {
                what: format!("two of the files have a tensor `{name}`"),
                advice: "Give only the parts of one checkpoint".into(),
            });
        }
        self.parts.extend(other.parts);
        self.tensors.extend(
            other
                .tensors
                .into_iter()
                .map(|(name, stored)| (name, stored.after(before))),
        );
        for (key, value) in other.metadata {
            self.metadata.entry(key).or_insert(value);
        }
        self.objects.extend(other.objects);
        Ok(())
    }

    /// Puts two tensors of this file together, one after the other along the first dimension, as a tensor called `name` that
    /// is not listed in [`TensorFile::tensors`]. Its values are copied.
    ///
    /// # Errors
    /// [`FileError::Corrupt`] if they have other formats or other rows, and [`FileError::Dtype`] if their format is not read.
    pub fn stack(&mut self, name: &str, halves: [StoredTensor; 2]) -> Result<StoredTensor, FileError> {
        let [first, second] = &halves;
        let (dtype, mut shape) = (first.dtype(), first.shape().to_vec());
        let rows = |tensor: &StoredTensor| tensor.shape().first().copied();
        let (Some(above), Some(below)) = (rows(first), rows(second)) else {
            return Err(FileError::corrupt(format!(
                "a half of tensor `{name}` is a single number"
            )));
        };
        // Each half would have scales of its own.
        if dtype == Dtype::Q8 {
            return Err(unreadable(name, first));
        }
        if dtype != second.dtype() || shape[1..] != second.shape()[1..] {
            return Err(FileError::corrupt(format!(
                "the halves of tensor `{name}` are {dtype} {shape:?} and {} {:?}",
                second.dtype(),
                second.shape()
            )));
        }
        shape[0] = above + below;
        let mut bytes = Vec::new();
        for half in &halves {
            // While only the beginning of a file is known, there are no values.
            match half.row_major(&self.parts) {
                Some(values) => bytes.extend_from_slice(&values),
                None if dtype.size().is_none() => return Err(unreadable(name, half)),
                None => bytes.resize(bytes.len() + half.numel() * dtype.size().unwrap_or(0), 0),
            }
        }
        let (strides, region) = (contiguous(&shape), 0..bytes.len());
        let stacked = StoredTensor::new(name, dtype, shape, strides, 0, region)?;
        let part = self.parts.len();
        self.parts.push(bytes);
        Ok(stacked.after(part))
    }

    /// Copies `tensors` of this file into a new one.
    ///
    /// # Errors
    /// [`FileError::Dtype`] for a tensor whose format is not read.
    pub fn subset<'a>(
        &self,
        tensors: impl IntoIterator<Item = (&'a str, &'a StoredTensor)>,
    ) -> Result<Self, FileError> {
        let (mut bytes, mut index) = (Vec::new(), BTreeMap::new());
        for (name, stored) in tensors {
            let values = stored
                .row_major(&self.parts)
                .ok_or_else(|| unreadable(name, stored))?;
            let region = bytes.len()..bytes.len() + values.len();
            bytes.extend_from_slice(&values);
            let mut copy = at(name, stored, region)?;
            if let Some(scales) = stored.scales() {
                let values = scales
                    .row_major(&self.parts)
                    .ok_or_else(|| unreadable(name, scales))?;
                let region = bytes.len()..bytes.len() + values.len();
                bytes.extend_from_slice(&values);
                copy.set_scales(at(name, scales, region)?);
            }
            index.insert(name.to_owned(), copy);
        }
        Ok(Self {
            parts: vec![bytes],
            tensors: index,
            metadata: self.metadata.clone(),
            container: self.container,
            objects: Vec::new(),
        })
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    /// A tensor's values, row-major. `name` is only used in the error.
    ///
    /// # Errors
    /// [`FileError::Dtype`] if its format is not read.
    pub fn f32(&self, name: &str, tensor: &StoredTensor) -> Result<Vec<f32>, FileError> {
        tensor.to_f32(&self.parts).ok_or_else(|| unreadable(name, tensor))
    }

    /// A tensor's values, row-major; `None` if they are neither f16 nor 8-bit in the file. 8-bit values are rounded to f16.
    pub fn f16(&self, tensor: &StoredTensor) -> Option<Vec<f16>> {
        tensor.to_f16(&self.parts)
    }

    /// The text metadata of a safetensors file.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The file's format.
    pub fn container(&self) -> Container {
        self.container
    }

    /// The number formats in the file, each once.
    pub fn dtypes(&self) -> BTreeSet<Dtype> {
        self.tensors.values().map(StoredTensor::dtype).collect()
    }

    /// The first of the Python objects that were ignored, at most 64.
    pub fn objects(&self) -> &[PickledObject] {
        &self.objects
    }
}

/// A row-major copy of a tensor at another place.
fn at(name: &str, tensor: &StoredTensor, region: Range<usize>) -> Result<StoredTensor, FileError> {
    let (shape, strides) = (tensor.shape().to_vec(), contiguous(tensor.shape()));
    StoredTensor::new(name, tensor.dtype(), shape, strides, 0, region)
}

fn unreadable(name: &str, tensor: &StoredTensor) -> FileError {
    FileError::Dtype {
        name: name.into(),
        dtype: tensor.dtype().to_string(),
    }
}
