//! A checkpoint: the file's bytes and an index into them.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::TensorData;
use sam2::parameters::is_memory;
use sam2::{Sam2Config, TensorSource, Version, WeightsError};

use crate::index::{Index, Stored};
use crate::sniff::{Kind, sniff};
use crate::{CheckpointError, Dtype, PackedDtype, detect, pack, safetensors_file, torch_file, transformers};

/// How the file is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A header of JSON, then the tensors.
    Safetensors,
    /// PyTorch's `.pt`: a ZIP with a pickle.
    Torch,
}

/// Whose names the tensors have in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// facebookresearch/sam2.
    Official,
    /// Hugging Face transformers.
    Transformers,
}

/// Weights as they came, with every tensor's place known under its official name.
///
/// The bytes are kept as they are; a tensor becomes f32 only when it is taken, so the peak of memory is the
/// file and one tensor beside what the taker keeps.
#[derive(Debug)]
pub struct Checkpoint {
    bytes: Vec<u8>,
    index: Index,
    metadata: BTreeMap<String, String>,
    container: Container,
    naming: Naming,
}

impl Checkpoint {
    /// Reads the index of an official `.pt` or of a safetensors file with official or transformers names.
    ///
    /// # Errors
    /// [`CheckpointError`] for what is no such file, is damaged or cut short, or wants to be executed.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, CheckpointError> {
        Self::read(bytes.into(), true)
    }

    /// What a safetensors file's beginning tells of it, while the rest is on its way: its configuration and its number
    /// formats, from the bytes up to where the header ends. None for any other file, and where [`Checkpoint::config`]
    /// would fail.
    pub fn outline(beginning: impl Into<Vec<u8>>) -> Option<(Sam2Config, Vec<Dtype>)> {
        let checkpoint = Self::read(beginning.into(), false).ok()?;
        Some((checkpoint.config().ok()?, checkpoint.dtypes()))
    }

    fn read(bytes: Vec<u8>, whole: bool) -> Result<Self, CheckpointError> {
        let (container, (index, metadata)) = match sniff(&bytes)? {
            Kind::Safetensors => (Container::Safetensors, safetensors_file::read(&bytes, whole)?),
            Kind::Zip => (Container::Torch, (torch_file::read(&bytes)?, BTreeMap::new())),
        };
        let begins = |prefix: &str| index.keys().any(|name| name.starts_with(prefix));
        let naming = match (begins("image_encoder."), begins("vision_encoder.")) {
            (true, false) => Naming::Official,
            (false, true) => Naming::Transformers,
            _ => {
                let example = index
                    .keys()
                    .next()
                    .cloned()
                    .unwrap_or_else(|| "no tensor at all".into());
                return Err(CheckpointError::UnknownNames { example });
            }
        };
        let index = match naming {
            Naming::Official => index,
            Naming::Transformers => transformers::to_official(index)?,
        };
        Ok(Self {
            bytes,
            index,
            metadata,
            container,
            naming,
        })
    }

    /// The configuration: from the file's metadata, or an official variant recognised by its sizes.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] for metadata that cannot be run, [`CheckpointError::UnknownVariant`] for sizes
    /// that no official variant has.
    pub fn config(&self) -> Result<Sam2Config, CheckpointError> {
        let Some(text) = self.metadata.get("config") else {
            return detect::detect(&self.index);
        };
        let tree: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            CheckpointError::corrupt(format!("the metadata's `config` is no JSON: {error}"))
        })?;
        let mut config = Sam2Config::from_official(&tree)?;
        if let (Some(name), "custom") = (self.metadata.get("name"), config.name.as_str()) {
            config.name = name.chars().filter(|c| !c.is_control()).take(64).collect();
        }
        Ok(config)
    }

    /// Compares every tensor with the configuration. The memory part may be absent as a whole.
    ///
    /// # Errors
    /// [`WeightsError::Missing`], [`WeightsError::Shape`] (in [`CheckpointError::Mismatch`]) or
    /// [`CheckpointError::Surplus`], naming the tensor.
    pub fn check(&self, config: &Sam2Config) -> Result<(), CheckpointError> {
        let mut known = BTreeSet::new();
        for spec in config.parameters() {
            match self.index.get(&spec.name) {
                Some(stored) if stored.shape == spec.shape => {}
                Some(stored) => {
                    let found = stored.shape.clone();
                    return Err(WeightsError::Shape {
                        name: spec.name,
                        expected: spec.shape,
                        found,
                    }
                    .into());
                }
                None if is_memory(&spec.name) && !self.has_memory() => {}
                None => {
                    return Err(WeightsError::Missing {
                        name: spec.name,
                        shape: spec.shape,
                    }
                    .into());
                }
            }
            known.insert(spec.name);
        }
        match self.index.iter().find(|(name, _)| !known.contains(*name)) {
            Some((name, stored)) => Err(CheckpointError::Surplus {
                name: name.clone(),
                shape: stored.shape.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Whether the part that only video needs is there.
    pub fn has_memory(&self) -> bool {
        self.index.keys().any(|name| is_memory(name))
    }

    /// Only the part that video needs, in memory of its own: what is kept where the rest is already on the device.
    pub fn into_memory(self) -> Self {
        let kept: Vec<_> = self
            .index
            .into_iter()
            .filter(|(name, _)| is_memory(name))
            .collect();
        let mut bytes = Vec::with_capacity(kept.iter().map(|(_, stored)| stored.extent()).sum());
        let index = kept
            .into_iter()
            .map(|(name, stored)| (name, stored.copied(&self.bytes, &mut bytes)))
            .collect();
        Self { bytes, index, ..self }
    }

    /// How the file is built.
    pub fn container(&self) -> Container {
        self.container
    }

    /// Whose names the tensors have in the file.
    pub fn naming(&self) -> Naming {
        self.naming
    }

    /// The number formats in the file, each once.
    pub fn dtypes(&self) -> Vec<Dtype> {
        let set: BTreeSet<Dtype> = self.index.values().map(|stored| stored.dtype).collect();
        set.into_iter().collect()
    }

    /// Number of tensors, counted as the official names them.
    pub fn tensor_count(&self) -> usize {
        self.index.len()
    }

    /// Number of parameters: the values of all tensors but the position encoding's fixed random matrix.
    pub fn parameter_count(&self) -> usize {
        let learned = |(name, _): &(&String, _)| *name != transformers::GAUSSIAN;
        self.index
            .iter()
            .filter(learned)
            .map(|(_, stored)| stored.numel())
            .sum()
    }

    /// SAM 2 or SAM 2.1, read off the tensors of the memory part. A file without one counts as 2.1: the two
    /// releases do the same with a picture.
    pub fn version(&self) -> Version {
        detect::version(&self.index)
    }

    /// The text metadata of a safetensors file: `config`, `name`, `version`, `format` where the project wrote it.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Checks the tensors against `config` and packs those that are there; see [`pack`].
    ///
    /// # Errors
    /// As [`Checkpoint::check`] and [`pack`].
    pub fn pack(&mut self, config: &Sam2Config, dtype: PackedDtype) -> Result<Vec<u8>, CheckpointError> {
        self.check(config)?;
        let has_memory = self.has_memory();
        pack(self, config, has_memory, dtype)
    }
}

impl TensorSource for Checkpoint {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        let stored = self.find(name, shape)?;
        Ok(TensorData::new(stored.to_f32(&self.bytes), stored.shape.clone()))
    }

    fn take_as_kept(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        match self.find(name, shape)?.as_f16(&self.bytes) {
            Some(data) => Ok(data),
            None => self.take(name, shape),
        }
    }
}

impl Checkpoint {
    fn find(&self, name: &str, shape: &[usize]) -> Result<&Stored, WeightsError> {
        let stored = self.index.get(name).ok_or_else(|| WeightsError::Missing {
            name: name.into(),
            shape: shape.to_vec(),
        })?;
        if stored.shape != shape {
            let (expected, found) = (shape.to_vec(), stored.shape.clone());
            return Err(WeightsError::Shape {
                name: name.into(),
                expected,
                found,
            });
        }
        Ok(stored)
    }
}
