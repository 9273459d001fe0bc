//! SAM 2's checkpoints: which tensors of a file are the network's, and what configuration they are of.
//!
//! Files themselves are read by [`sam2_checkpoint`], which knows no names.

mod detect;
mod error;
mod names;
mod pack;
mod remark;
mod transformers;

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::TensorData;
use sam2_checkpoint::{Container, Dtype, FileError, PackedDtype, StoredTensor, TensorFile};

pub use error::CheckpointError;
pub use names::Naming;
pub use pack::pack;
pub use remark::Remark;

use crate::config::MAX_CONFIG;
use crate::parameters::is_memory;
use crate::{Sam2Config, TensorSource, Version, WeightsError};

/// Tensors by official name.
type Tensors = BTreeMap<String, StoredTensor>;

/// Weights as they came, with every tensor's place known under its official name.
///
/// The bytes are kept as they are; a tensor becomes f32 only when it is taken, so the peak of memory is the
/// file and one tensor beside what the taker keeps.
#[derive(Debug)]
pub struct Checkpoint {
    file: TensorFile,
    tensors: Tensors,
    naming: Naming,
    chosen: Option<Remark>,
    beside: Vec<String>,
}

impl Checkpoint {
    /// Finds SAM 2's tensors in a PyTorch or safetensors file, under official or transformers names, whatever a training
    /// tool has put before them or beside them.
    ///
    /// # Errors
    /// [`CheckpointError`] for what is no such file, is damaged or cut short, wants to be executed, or is of another model.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, CheckpointError> {
        Self::new(TensorFile::read(bytes)?)
    }

    /// The same of a checkpoint that is in several files.
    ///
    /// # Errors
    /// As [`Checkpoint::from_bytes`], and where two of them have one tensor.
    pub fn from_parts(parts: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, CheckpointError> {
        let mut parts = parts.into_iter().map(TensorFile::read);
        let mut file = parts.next().unwrap_or_else(|| TensorFile::read(Vec::new()))?;
        for part in parts {
            file.join(part?)?;
        }
        Self::new(file)
    }

    /// What a safetensors file's beginning tells of it, while the rest is on its way: its configuration and its number
    /// formats, from the bytes up to where the header ends. None for any other file, and where [`Checkpoint::config`]
    /// or [`Checkpoint::check`] would fail.
    pub fn outline(beginning: impl Into<Vec<u8>>) -> Option<(Sam2Config, Vec<Dtype>)> {
        let checkpoint = Self::new(TensorFile::read_beginning(beginning).ok()?).ok()?;
        let config = checkpoint.config().ok()?;
        checkpoint.check(&config).ok()?;
        Some((config, checkpoint.dtypes()))
    }

    fn new(file: TensorFile) -> Result<Self, CheckpointError> {
        let found = names::find(&file)?;
        Ok(Self {
            tensors: found.tensors,
            naming: found.naming,
            chosen: found.chosen,
            beside: found.beside,
            file,
        })
    }

    /// The configuration: from the file's metadata, or an official variant recognised by its sizes.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] for metadata that cannot be run, [`CheckpointError::UnknownVariant`] for sizes
    /// that no official variant has, [`CheckpointError::Incomplete`] without the image encoder.
    pub fn config(&self) -> Result<Sam2Config, CheckpointError> {
        let metadata = self.file.metadata();
        let Some(text) = metadata.get("config") else {
            self.check_parts(&Sam2Config::named("tiny", self.version())?)?;
            return detect::detect(&self.tensors);
        };
        let corrupt = |reason: String| FileError::Corrupt {
            reason: format!("the metadata's `config` {reason}"),
        };
        if text.len() > MAX_CONFIG {
            return Err(corrupt(format!("has {} bytes, more than {MAX_CONFIG}", text.len())).into());
        }
        let tree: serde_json::Value =
            serde_json::from_str(text).map_err(|error| corrupt(format!("is no JSON: {error}")))?;
        let mut config = Sam2Config::from_official(&tree)?;
        if let (Some(name), "custom") = (metadata.get("name"), config.name.as_str()) {
            config.name = name.chars().filter(|c| !c.is_control()).take(64).collect();
        }
        Ok(config)
    }

    /// Compares every tensor with the configuration, and says what a user should know. The memory part may be absent as a
    /// whole; tensors that are no part of any SAM 2 may be there.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] for a configuration that cannot be run; else, naming the tensor or part,
    /// [`CheckpointError::Incomplete`], [`WeightsError::Missing`] or [`WeightsError::Shape`] (in
    /// [`CheckpointError::Mismatch`]), [`FileError::Dtype`] or [`CheckpointError::Surplus`].
    pub fn check(&self, config: &Sam2Config) -> Result<Vec<Remark>, CheckpointError> {
        config.validate()?;
        self.check_parts(config)?;
        let specs = config.parameters();
        let mut known = BTreeSet::new();
        for spec in &specs {
            match self.find(&spec.name, &spec.shape) {
                Ok(stored) if stored.dtype().size().is_none() => {
                    return Err(FileError::Dtype {
                        name: spec.name.clone(),
                        dtype: stored.dtype().to_string(),
                    }
                    .into());
                }
                Ok(_) => {}
                Err(WeightsError::Missing { .. }) if is_memory(&spec.name) && !self.has_memory() => {}
                Err(error) => return Err(error.into()),
            }
            known.insert(spec.name.as_str());
        }
        let surplus: Vec<(&String, &StoredTensor)> = self
            .tensors
            .iter()
            .filter(|(name, _)| !known.contains(name.as_str()))
            .collect();
        // With a tensor of SAM 2 too many, the network would be another one than the file's.
        let whole = Sam2Config::named("tiny", Version::V2_1)?.parameters();
        let patterns: BTreeSet<String> = specs
            .iter()
            .chain(&whole)
            .map(|spec| names::pattern(&spec.name))
            .collect();
        if let Some((name, stored)) = surplus
            .iter()
            .find(|(name, _)| patterns.contains(&names::pattern(name)))
        {
            return Err(CheckpointError::Surplus {
                name: (*name).clone(),
                shape: stored.shape().to_vec(),
            });
        }
        let surplus = surplus.into_iter().map(|(name, _)| name.clone());
        let names: Vec<String> = surplus.chain(self.beside.iter().cloned()).collect();
        let passed_over = (!names.is_empty()).then_some(Remark::PassedOver { names });
        Ok(self.chosen.iter().cloned().chain(passed_over).collect())
    }

    /// Whether every part of the network that pictures need is there at all.
    fn check_parts(&self, config: &Sam2Config) -> Result<(), CheckpointError> {
        let part = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
        let found: BTreeSet<String> = self.tensors.keys().map(|name| part(name)).collect();
        let wanted = config
            .parameters()
            .into_iter()
            .filter(|spec| !is_memory(&spec.name));
        let wanted: BTreeSet<String> = wanted
            .filter(|spec| spec.name.contains('.'))
            .map(|spec| part(&spec.name))
            .collect();
        let missing: Vec<String> = wanted
            .difference(&found)
            .map(|part| format!("`{part}`"))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let found: Vec<String> = found.iter().map(|part| format!("`{part}`")).take(8).collect();
        Err(CheckpointError::Incomplete {
            missing: missing.join(", "),
            found: found.join(", "),
        })
    }

    /// Whether the part that only video needs is there.
    pub fn has_memory(&self) -> bool {
        self.tensors.keys().any(|name| is_memory(name))
    }

    /// Only the part that video needs, in memory of its own: what is kept where the rest is already on the device.
    ///
    /// # Errors
    /// [`FileError::Dtype`] for a tensor that [`Checkpoint::check`] would have refused.
    pub fn into_memory(self, config: &Sam2Config) -> Result<Self, CheckpointError> {
        let specs = config.parameters();
        let kept = specs
            .iter()
            .filter(|spec| is_memory(&spec.name))
            .filter_map(|spec| {
                let (name, stored) = self.tensors.get_key_value(&spec.name)?;
                (stored.shape() == spec.shape).then_some((name.as_str(), stored))
            });
        let file = self.file.subset(kept)?;
        Ok(Self {
            tensors: file.tensors().clone(),
            file,
            ..self
        })
    }

    /// How the file is built.
    pub fn container(&self) -> Container {
        self.file.container()
    }

    /// Whose names the tensors have in the file.
    pub fn naming(&self) -> Naming {
        self.naming
    }

    /// The number formats of the tensors that can be read, each once.
    pub fn dtypes(&self) -> Vec<Dtype> {
        let formats = self.tensors.values().map(StoredTensor::dtype);
        let set: BTreeSet<Dtype> = formats.filter(|dtype| dtype.size().is_some()).collect();
        set.into_iter().collect()
    }

    /// Number of tensors, counted as the official names them.
    pub fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    /// Number of parameters: the values of all tensors but the position encoding's fixed random matrix.
    pub fn parameter_count(&self) -> usize {
        let learned = |(name, _): &(&String, _)| *name != transformers::GAUSSIAN;
        let tensors = self.tensors.iter().filter(learned);
        tensors.map(|(_, stored)| stored.numel()).sum()
    }

    /// SAM 2 or SAM 2.1, read off the tensors of the memory part. A file without one counts as 2.1: the two
    /// releases do the same with a picture.
    pub fn version(&self) -> Version {
        detect::version(&self.tensors)
    }

    /// The text metadata of a safetensors file: `config`, `name`, `version`, `format` where the project wrote it.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        self.file.metadata()
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

    fn find(&self, name: &str, shape: &[usize]) -> Result<&StoredTensor, WeightsError> {
        let stored = self.tensors.get(name).ok_or_else(|| WeightsError::Missing {
            name: name.into(),
            shape: shape.to_vec(),
        })?;
        if stored.shape() != shape {
            return Err(WeightsError::Shape {
                name: name.into(),
                expected: shape.to_vec(),
                found: stored.shape().to_vec(),
            });
        }
        Ok(stored)
    }
}

impl TensorSource for Checkpoint {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        let values = self.file.f32(name, self.find(name, shape)?);
        // `check` says so with the format's name.
        let values = values.map_err(|_| WeightsError::Missing {
            name: name.into(),
            shape: shape.to_vec(),
        })?;
        Ok(TensorData::new(values, shape.to_vec()))
    }

    fn take_as_kept(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        match self.file.f16(self.find(name, shape)?) {
            Some(values) => Ok(TensorData::new(values, shape.to_vec())),
            None => self.take(name, shape),
        }
    }
}
