//! A file of tensors: its bytes and where each tensor lies in them.

use std::collections::{BTreeMap, BTreeSet};

use half::f16;

use crate::sniff::{Kind, sniff};
use crate::tensor::contiguous;
use crate::{Dtype, FileError, StoredTensor, safetensors, torch};

/// Most tensors of one file; the largest official SAM 2 has 903, and its training state some thousands.
pub(crate) const MAX_TENSORS: usize = 1 << 16;
/// Longest name of a tensor, in bytes. Only a hostile file has longer ones, and may repeat them for free.
pub(crate) const MAX_NAME: usize = 512;

/// How a file is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A header of JSON, then the tensors.
    Safetensors,
    /// What `torch.save` writes: a ZIP with a pickle.
    Torch,
}

/// A Python object in a pickle that is no tensor and no plain data. It was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PickledObject {
    /// The keys that lead to it, joined by dots; empty for the whole of what was saved.
    pub path: String,
    /// Its class, such as `sam2.modeling.sam2_base.SAM2Base`.
    pub class: String,
    /// Whether there are tensors in it: it is then a module, saved whole.
    pub holds_tensors: bool,
}

/// The tensors of one file, or of several that were joined, by name.
///
/// The bytes are kept as they came. A tensor becomes numbers only when it is asked for, so the peak of memory is the file
/// and what the caller keeps.
///
/// In a pickle of nested dicts and lists a tensor's name is the keys that lead to it, joined by dots:
/// `{"model": {"head.weight": …}, "optimizer": {"state": {0: {"exp_avg": …}}}}` gives `model.head.weight` and
/// `optimizer.state.0.exp_avg`. Numbers, texts and objects beside the tensors are passed over.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorFile {
    pub(crate) parts: Vec<Vec<u8>>,
    pub(crate) tensors: BTreeMap<String, StoredTensor>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) container: Container,
    pub(crate) objects: Vec<PickledObject>,
}

impl TensorFile {
    /// Reads where the tensors of a safetensors file or of a PyTorch file lie.
    ///
    /// # Errors
    /// [`FileError`] for what is no such file, is damaged or cut short, or wants to be executed.
    pub fn read(bytes: impl Into<Vec<u8>>) -> Result<Self, FileError> {
        let bytes = bytes.into();
        match sniff(&bytes)? {
            Kind::Safetensors => safetensors::read(bytes, true),
            Kind::Zip => torch::read(bytes),
        }
    }

    /// The same of a safetensors file's beginning, at least up to where its header ends: names, shapes, formats and
    /// metadata are known, and values cannot be had.
    ///
    /// # Errors
    /// [`FileError`] for any other file, and for a header that is not all there.
    pub fn read_beginning(bytes: impl Into<Vec<u8>>) -> Result<Self, FileError> {
        let bytes = bytes.into();
        match sniff(&bytes)? {
            Kind::Safetensors => safetensors::read(bytes, false),
            Kind::Zip => Err(FileError::Unsupported {
                what: "a ZIP file tells nothing before its end".into(),
                advice: "Wait for the whole of it".into(),
            }),
        }
    }

    /// Puts the tensors of another file beside these, as of a checkpoint in several files.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] for a tensor that both have.
    pub fn join(&mut self, other: Self) -> Result<(), FileError> {
        let before = self.parts.len();
        if let Some(name) = other.tensors.keys().find(|name| self.tensors.contains_key(*name)) {
            return Err(FileError::Unsupported {
                what: format!("two of the files have a tensor `{name}`"),
                advice: "Give the parts of one checkpoint only".into(),
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

    /// A file of these tensors alone, in memory of its own.
    ///
    /// # Errors
    /// [`FileError::Dtype`] for one in a format that is not read.
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
            let (shape, strides) = (stored.shape().to_vec(), contiguous(stored.shape()));
            bytes.extend_from_slice(&values);
            let stored = StoredTensor::new(name, stored.dtype(), shape, strides, 0, region)?;
            index.insert(name.to_owned(), stored);
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

    /// A tensor's values, row-major. `name` is for the error.
    ///
    /// # Errors
    /// [`FileError::Dtype`] if its format is not read.
    pub fn f32(&self, name: &str, tensor: &StoredTensor) -> Result<Vec<f32>, FileError> {
        tensor.to_f32(&self.parts).ok_or_else(|| unreadable(name, tensor))
    }

    /// A tensor's values, row-major, if they are f16 in the file.
    pub fn f16(&self, tensor: &StoredTensor) -> Option<Vec<f16>> {
        tensor.to_f16(&self.parts)
    }

    /// The text metadata of a safetensors file.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// How the file is built.
    pub fn container(&self) -> Container {
        self.container
    }

    /// The number formats in the file, each once.
    pub fn dtypes(&self) -> BTreeSet<Dtype> {
        self.tensors.values().map(StoredTensor::dtype).collect()
    }

    /// The Python objects that were passed over, the first few of them.
    pub fn objects(&self) -> &[PickledObject] {
        &self.objects
    }
}

fn unreadable(name: &str, tensor: &StoredTensor) -> FileError {
    FileError::Dtype {
        name: name.into(),
        dtype: tensor.dtype().to_string(),
    }
}
