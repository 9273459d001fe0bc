//! SAM 2's checkpoints: the tensors of a file that belong to the network, and the network's configuration.
//!
//! The files themselves are read by [`sam2_checkpoint`], which gives names no meaning.

mod detect;
mod error;
mod names;
mod pack;
mod remark;
mod transformers;

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::TensorData;
use sam2_checkpoint::{Container, Dtype, FileError, StoredTensor, TensorFile};

pub use error::CheckpointError;
pub use names::Naming;
pub use pack::pack;
pub use remark::Remark;
pub use sam2_checkpoint::Packing;

use crate::config::MAX_CONFIG;
use crate::parameters::is_memory;
use crate::{Sam2Config, TensorSource, Version, WeightsError};

/// The ends of the names of a batch normalisation's statistics.
const STATISTICS: [&str; 3] = [MEAN, ".running_var", COUNTER];
const MEAN: &str = ".running_mean";
const COUNTER: &str = ".num_batches_tracked";

/// Tensors by official name.
type Tensors = BTreeMap<String, StoredTensor>;

/// The tensors of SAM 2 in a file, by their official names.
///
/// The file's bytes are kept as they are. A tensor is converted to f32 only when it is taken, so the memory needed is
/// that of the file and of one tensor, besides what the caller keeps.
#[derive(Debug)]
pub struct Checkpoint {
    file: TensorFile,
    tensors: Tensors,
    naming: Naming,
    chosen: Option<Remark>,
    beside: Vec<String>,
}

impl Checkpoint {
    /// Finds SAM 2's tensors in a PyTorch or safetensors file, under official or transformers names. Training tools may
    /// have added a prefix to the names, and other tensors.
    ///
    /// # Errors
    /// [`CheckpointError`] if the bytes are not such a file, are damaged or cut short, contain code, or belong to another
    /// model.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, CheckpointError> {
        Self::new(TensorFile::read(bytes)?)
    }

    /// Finds SAM 2's tensors in a checkpoint that is split into several files.
    ///
    /// # Errors
    /// The errors of [`Checkpoint::from_bytes`], and [`FileError::Unsupported`] if two files contain the same tensor.
    pub fn from_parts(parts: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, CheckpointError> {
        let mut parts = parts.into_iter().map(TensorFile::read);
        let mut file = parts.next().unwrap_or_else(|| TensorFile::read(Vec::new()))?;
        for part in parts {
            file.join(part?)?;
        }
        Self::new(file)
    }

    /// Reads the configuration and the number formats from the beginning of a safetensors file, up to the end of its
    /// header, while the rest is still being loaded. `None` for any other file, and if [`Checkpoint::config`] or
    /// [`Checkpoint::check`] would fail.
    pub fn outline(beginning: impl Into<Vec<u8>>) -> Option<(Sam2Config, Vec<Dtype>)> {
        let checkpoint = Self::new(TensorFile::read_beginning(beginning).ok()?).ok()?;
        let config = checkpoint.config().ok()?;
        checkpoint.check(&config).ok()?;
        Some((config, checkpoint.dtypes()))
    }

    fn new(mut file: TensorFile) -> Result<Self, CheckpointError> {
        let mut found = names::find(&file)?;
        for (name, halves) in found.halves {
            let whole = file.stack(&name, halves)?;
            found.tensors.insert(name, whole);
        }
        Ok(Self {
            tensors: found.tensors,
            naming: found.naming,
            chosen: found.chosen,
            beside: found.beside,
            file,
        })
    }

    /// The configuration, from the file's metadata or of the official variant whose sizes the tensors have.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] if the metadata describe a network that cannot be run,
    /// [`CheckpointError::UnknownVariant`] if no official variant has these sizes, and [`CheckpointError::Incomplete`]
    /// if a part of the image model is missing.
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
            serde_json::from_str(text).map_err(|error| corrupt(format!("is not JSON: {error}")))?;
        let mut config = Sam2Config::from_official(&tree)?;
        if let (Some(name), "custom") = (metadata.get("name"), config.name.as_str()) {
            config.name = name.chars().filter(|c| !c.is_control()).take(64).collect();
        }
        Ok(config)
    }

    /// Compares every tensor with the configuration, and returns remarks for the user. The memory may be missing as a
    /// whole, and the file may contain tensors that belong to no SAM 2.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] for a configuration that cannot be run, or an error that names the tensor or the part:
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
            // A counter of the training, beside the statistics that it counts.
            .filter(|(name, _)| {
                let statistics = name.strip_suffix(COUNTER).map(|module| format!("{module}{MEAN}"));
                !statistics.is_some_and(|name| known.contains(name.as_str()))
            })
            .collect();
        // If a tensor of SAM 2 is left over, the file contains a different network than the configuration's.
        let mut others = Sam2Config::named("tiny", Version::V2_1)?.parameters();
        others.extend(Sam2Config::named("edgetam", Version::V2_0)?.parameters());
        let patterns: BTreeSet<String> = specs
            .iter()
            .chain(&others)
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
        let ignored = (!names.is_empty()).then_some(Remark::Ignored { names });
        Ok(self.chosen.iter().cloned().chain(ignored).collect())
    }

    /// Checks that the file has at least one tensor of each module that pictures need.
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

    /// Whether the file contains the memory, which only video needs.
    pub fn has_memory(&self) -> bool {
        self.tensors.keys().any(|name| is_memory(name))
    }

    /// A checkpoint of the memory alone, copied so that the rest of the file can be freed once it is on the device.
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

    /// The file's format.
    pub fn container(&self) -> Container {
        self.file.container()
    }

    /// The naming scheme of the tensors in the file.
    pub fn naming(&self) -> Naming {
        self.naming
    }

    /// The number formats of the tensors, each once, without those that cannot be read.
    pub fn dtypes(&self) -> Vec<Dtype> {
        let formats = self.tensors.values().map(StoredTensor::dtype);
        let set: BTreeSet<Dtype> = formats.filter(|dtype| dtype.size().is_some()).collect();
        set.into_iter().collect()
    }

    /// The number of tensors, by official names.
    pub fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    /// The number of parameters: the values of all tensors except the position encoding's fixed random matrix and the
    /// statistics of batch normalisations.
    pub fn parameter_count(&self) -> usize {
        let fixed =
            |name: &str| name == transformers::GAUSSIAN || STATISTICS.iter().any(|end| name.ends_with(end));
        let learned = |(name, _): &(&String, _)| !fixed(name);
        let tensors = self.tensors.iter().filter(learned);
        tensors.map(|(_, stored)| stored.numel()).sum()
    }

    /// SAM 2 or SAM 2.1, by the tensors of the memory. A file without a memory counts as 2.1, since the releases do not
    /// differ on pictures.
    pub fn version(&self) -> Version {
        detect::version(&self.tensors)
    }

    /// The text metadata of a safetensors file. A file that [`pack`] wrote has `config`, `name`, `version` and `format`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        self.file.metadata()
    }

    /// Checks the tensors against `config` and packs them with [`pack`], with the memory if the file contains it.
    ///
    /// # Errors
    /// The errors of [`Checkpoint::check`] and [`pack`].
    pub fn pack(&mut self, config: &Sam2Config, packing: Packing) -> Result<Vec<u8>, CheckpointError> {
        self.check(config)?;
        let has_memory = self.has_memory();
        pack(self, config, has_memory, packing)
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
        // `check` has already refused such a format with an error that names it.
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
