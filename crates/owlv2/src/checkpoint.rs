//! OWLv2's checkpoints: transformers' names, in a safetensors or PyTorch file.

use std::collections::BTreeSet;

use burn::tensor::TensorData;
use sam2_checkpoint::{
    Container, Dtype, FileError, PackedTensor, Packing, StoredTensor, TensorFile, write_safetensors,
};
use sam2_ops::{ParameterSpec, TensorSource, WeightsError};

use crate::config::{TextConfig, VisionConfig};
use crate::{ConfigError, Owlv2Config};

/// The width of a head in every published OWLv2, since a file without its configuration does not say it.
const HEAD_WIDTH: usize = 64;

/// Why a file cannot be used as a detector.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CheckpointError {
    /// The file itself cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tensors belong to another model.
    #[error(
        "this is not a detector ({found}): expected OWLv2 in transformers' names (`owlv2.vision_model.…`), such as the model.safetensors of google/owlv2-base-patch16-ensemble"
    )]
    NotADetector {
        /// What was found instead.
        found: String,
    },
    /// The configuration cannot be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor does not match the configuration.
    #[error(transparent)]
    Mismatch(#[from] WeightsError),
}

impl CheckpointError {
    /// A stable code for programs: `WEIGHTS_CORRUPT`, `WEIGHTS_UNSAFE`, `WEIGHTS_UNSUPPORTED` or `WEIGHTS_MISMATCH`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::NotADetector { .. } => "WEIGHTS_UNSUPPORTED",
            Self::Config(error) => error.code(),
            Self::Mismatch(_) => "WEIGHTS_MISMATCH",
        }
    }
}

/// The tensors of a detector in a file. The file's bytes are kept as they are, and a tensor is converted only when it is
/// taken.
#[derive(Debug)]
pub struct Checkpoint {
    file: TensorFile,
}

impl Checkpoint {
    /// Finds a detector's tensors in a safetensors or PyTorch file.
    ///
    /// # Errors
    /// The bytes are not such a file, or belong to another model.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, CheckpointError> {
        let file = TensorFile::read(bytes)?;
        let has = |beginning: &str| file.tensors().keys().any(|name| name.starts_with(beginning));
        if has("owlv2.vision_model.") && has("box_head.") && has("objectness_head.") {
            return Ok(Self { file });
        }
        let sam = [
            "image_encoder.",
            "model.image_encoder.",
            "vision_encoder.",
            "sam_mask_decoder.",
        ];
        let found = if sam.into_iter().any(has) {
            "its tensors are those of SAM 2".to_owned()
        } else if has("owlvit.vision_model.") {
            "its tensors are those of the first OWL-ViT, which has no objectness".to_owned()
        } else {
            match file.tensors().keys().next() {
                Some(name) => format!(
                    "its first tensor is `{}`",
                    name.chars().take(80).collect::<String>()
                ),
                None => "it has no tensors".to_owned(),
            }
        };
        Err(CheckpointError::NotADetector { found })
    }

    /// The configuration: transformers' `config.json` in the file's metadata, or by the sizes of its tensors.
    ///
    /// # Errors
    /// The configuration cannot be run, or a tensor that says a size is missing.
    pub fn config(&self) -> Result<Owlv2Config, CheckpointError> {
        if let Some(text) = self.file.metadata().get("config") {
            return Ok(Owlv2Config::from_json(text)?);
        }
        let shape = |name: &str, dimensions: usize| {
            let stored = self.file.tensors().get(name).map(StoredTensor::shape);
            match stored {
                Some(shape) if shape.len() == dimensions => Ok(shape),
                Some(shape) => Err(WeightsError::Shape {
                    name: name.into(),
                    expected: vec![0; dimensions],
                    found: shape.to_vec(),
                }),
                None => Err(WeightsError::Missing {
                    name: name.into(),
                    shape: vec![0; dimensions],
                }),
            }
        };
        let layers = |tower: &str| {
            let norms = self.file.tensors().keys().filter(|name| {
                name.starts_with(&format!("owlv2.{tower}.encoder.layers."))
                    && name.ends_with(".layer_norm1.weight")
            });
            norms.count()
        };
        let hidden = |tower: &str| -> Result<usize, WeightsError> {
            Ok(shape(&format!("owlv2.{tower}.encoder.layers.0.mlp.fc1.weight"), 2)?[0])
        };
        let patches = shape("owlv2.vision_model.embeddings.patch_embedding.weight", 4)?;
        let positions = shape("owlv2.vision_model.embeddings.position_embedding.weight", 2)?;
        let tokens = shape("owlv2.text_model.embeddings.token_embedding.weight", 2)?;
        let context = shape("owlv2.text_model.embeddings.position_embedding.weight", 2)?;
        let projection = shape("owlv2.text_projection.weight", 2)?;
        let config = Owlv2Config {
            vision_config: VisionConfig {
                hidden_size: patches[0],
                intermediate_size: hidden("vision_model")?,
                num_hidden_layers: layers("vision_model"),
                num_attention_heads: patches[0] / HEAD_WIDTH,
                image_size: positions[0].saturating_sub(1).isqrt().saturating_mul(patches[3]),
                patch_size: patches[3],
            },
            text_config: TextConfig {
                vocab_size: tokens[0],
                hidden_size: tokens[1],
                intermediate_size: hidden("text_model")?,
                num_hidden_layers: layers("text_model"),
                num_attention_heads: tokens[1] / HEAD_WIDTH,
                max_position_embeddings: context[0],
            },
            projection_dim: projection[0],
        };
        config.validate()?;
        Ok(config)
    }

    /// Whether the file says its configuration, so that no `config.json` is needed.
    pub fn has_config(&self) -> bool {
        self.file.metadata().contains_key("config")
    }

    /// Whether the file has the text tower, which only words need.
    pub fn has_text(&self) -> bool {
        self.file.tensors().keys().any(|name| is_text(name))
    }

    /// Compares every tensor with the configuration. The text tower may be missing as a whole.
    ///
    /// # Errors
    /// A tensor is missing, or has another shape or a format that is not read.
    pub fn check(&self, config: &Owlv2Config) -> Result<(), CheckpointError> {
        let has_text = self.has_text();
        for spec in crate::parameters(config) {
            if is_text(&spec.name) && !has_text {
                continue;
            }
            let stored = self.find(&spec.name, &spec.shape)?;
            if stored.dtype().size().is_none() {
                return Err(FileError::Dtype {
                    name: spec.name,
                    dtype: stored.dtype().to_string(),
                }
                .into());
            }
        }
        Ok(())
    }

    /// The file's format.
    pub fn container(&self) -> Container {
        self.file.container()
    }

    /// The number formats in the file, each once.
    pub fn dtypes(&self) -> BTreeSet<Dtype> {
        self.file.dtypes()
    }

    /// The number of parameters of `config` that the file has.
    pub fn parameter_count(&self, config: &Owlv2Config) -> usize {
        let has_text = self.has_text();
        let specs = crate::parameters(config).into_iter();
        specs
            .filter(|spec| has_text || !is_text(&spec.name))
            .map(|spec| spec.shape.iter().product::<usize>())
            .sum()
    }

    /// Writes a safetensors file of the detector's tensors, with its configuration in the metadata, so that it needs no
    /// `config.json`. Without the text tower it finds ready-made labels and examples only.
    ///
    /// # Errors
    /// The errors of [`Self::check`], the text tower is wanted and missing, or a value is too large for the format.
    pub fn pack(
        &self,
        config: &Owlv2Config,
        with_text: bool,
        packing: Packing,
    ) -> Result<Vec<u8>, CheckpointError> {
        self.check(config)?;
        let metadata = [
            ("format", "sam2-web".to_owned()),
            ("model", "owlv2".to_owned()),
            ("config", config.to_json()),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
        let specs = crate::parameters(config).into_iter();
        let tensors: Vec<PackedTensor> = specs
            .filter(|spec| with_text || !is_text(&spec.name))
            .map(|spec| {
                let axis = output_axis(&spec);
                packing.tensor(spec.name, spec.shape, axis)
            })
            .collect();
        write_safetensors(&metadata, &tensors, |name, shape| {
            Ok(self.file.f32(name, self.find(name, shape)?)?)
        })
    }

    fn find(&self, name: &str, shape: &[usize]) -> Result<&StoredTensor, WeightsError> {
        let stored = self
            .file
            .tensors()
            .get(name)
            .ok_or_else(|| WeightsError::Missing {
                name: name.into(),
                shape: shape.to_vec(),
            })?;
        match stored.shape() == shape {
            true => Ok(stored),
            false => Err(WeightsError::Shape {
                name: name.into(),
                expected: shape.to_vec(),
                found: stored.shape().to_vec(),
            }),
        }
    }
}

/// The dimension of the output channel of a matrix, of a token in the table of tokens; `None` for any other tensor, positions
/// among them.
fn output_axis(spec: &ParameterSpec) -> Option<usize> {
    let is_matrix = spec.name.ends_with(".weight") && spec.shape.len() >= 2;
    (is_matrix && !spec.name.ends_with("position_embedding.weight")).then_some(0)
}

/// Whether a tensor belongs to the text tower.
fn is_text(name: &str) -> bool {
    name.starts_with("owlv2.text_")
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
