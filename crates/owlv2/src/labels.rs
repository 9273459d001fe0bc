//! Embeddings of labels, made beforehand and kept in a file, so that a program with fixed labels needs no text tower.

use std::collections::BTreeMap;

use sam2_checkpoint::{FileError, PackedDtype, PackedTensor, TensorFile, write_safetensors};

use crate::DetectError;

/// The name of the tensor of embeddings in a file.
const TENSOR: &str = "label_embeddings";
/// The key of the metadata with the labels, a JSON list of texts.
const LABELS: &str = "labels";

/// Labels and their embeddings of one model: of texts, or of an example.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelEmbeddings {
    labels: Vec<String>,
    /// `[labels, d]`.
    values: Vec<f32>,
}

/// Why a file's label embeddings cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LabelsError {
    /// The file itself cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file has other tensors.
    #[error("this is no file of label embeddings ({reason}): make one by `sam2 embed-labels`")]
    NotLabels {
        /// What is wrong.
        reason: String,
    },
}

impl LabelsError {
    /// A stable code for programs: `WEIGHTS_CORRUPT`, `WEIGHTS_UNSAFE` or `WEIGHTS_UNSUPPORTED`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::NotLabels { .. } => "WEIGHTS_UNSUPPORTED",
        }
    }
}

impl LabelEmbeddings {
    /// The embeddings `[labels, d]` of labels.
    ///
    /// # Errors
    /// There are no labels, or the number of values is not a multiple of theirs.
    pub fn new(labels: Vec<String>, values: Vec<f32>) -> Result<Self, DetectError> {
        if labels.is_empty() {
            return Err(DetectError::NoLabels);
        }
        if values.is_empty() || !values.len().is_multiple_of(labels.len()) {
            return Err(DetectError::Width {
                expected: values.len().div_ceil(labels.len()).max(1),
                found: values.len() / labels.len(),
            });
        }
        Ok(Self { labels, values })
    }

    /// The labels.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The embeddings, `[labels, d]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The width d of an embedding.
    pub fn width(&self) -> usize {
        self.values.len() / self.labels.len()
    }

    /// Reads a file of [`Self::to_bytes`].
    ///
    /// # Errors
    /// The bytes are no such file, are damaged or cut short, or hold a value that is not finite.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, LabelsError> {
        let not = |reason: String| LabelsError::NotLabels { reason };
        let file = TensorFile::read(bytes)?;
        let missing = || not(format!("it has no tensor `{TENSOR}`"));
        let tensor = file.tensors().get(TENSOR).ok_or_else(missing)?;
        let labels = file.metadata().get(LABELS);
        let labels = labels.ok_or_else(|| not(format!("its metadata have no `{LABELS}`")))?;
        let labels: Vec<String> = serde_json::from_str(labels)
            .map_err(|error| not(format!("its `{LABELS}` are no list of texts: {error}")))?;
        match tensor.shape() {
            &[count, width] if count == labels.len() && count > 0 && width > 0 => {}
            shape => {
                return Err(not(format!(
                    "it has {} labels, and embeddings of shape {shape:?}",
                    labels.len()
                )));
            }
        }
        let values = file.f32(TENSOR, tensor)?;
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(Self { labels, values }),
            false => Err(not("it holds a value that is not finite".into())),
        }
    }

    /// A safetensors file: the tensor `label_embeddings` `[labels, d]` in f16, and the labels in the metadata. (1,203 labels of
    /// `google/owlv2-base-patch16-ensemble` are 1.2 MB.)
    ///
    /// # Errors
    /// A value is too large for f16.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FileError> {
        let metadata = [
            ("format", "sam2-web".to_owned()),
            (LABELS, serde_json::json!(self.labels).to_string()),
        ];
        let metadata: BTreeMap<_, _> = metadata.map(|(key, value)| (key.to_owned(), value)).into();
        let tensor = PackedTensor {
            name: TENSOR.into(),
            shape: vec![self.labels.len(), self.width()],
            dtype: PackedDtype::F16,
        };
        write_safetensors(&metadata, &[tensor], |_, _| Ok(self.values.clone()))
    }
}
