//! Writes safetensors files with official names and the configuration in the metadata.

use burn::tensor::TensorData;
use sam2_checkpoint::{FileError, PackedDtype, write_safetensors};

use super::CheckpointError;
use crate::parameters::is_memory;
use crate::{Sam2Config, TensorSource};

/// Writes a safetensors file of all tensors of `config`, those of the memory only if `with_memory`.
///
/// Its metadata has `config` (the official tree as JSON), `name`, `version` and `format`. Tensors are taken and written
/// one by one, so the memory needed is that of the result and of one tensor.
///
/// # Errors
/// The source's error as [`CheckpointError::Mismatch`], and [`FileError::Overflow`] for a finite value that would be
/// infinite in f16.
pub fn pack(
    source: &mut dyn TensorSource,
    config: &Sam2Config,
    with_memory: bool,
    dtype: PackedDtype,
) -> Result<Vec<u8>, CheckpointError> {
    let metadata = [
        ("format", "sam2-web".to_owned()),
        ("name", config.name.clone()),
        ("version", config.version.to_string()),
        ("config", config.to_official().to_string()),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    let tensors: Vec<_> = config
        .parameters()
        .into_iter()
        .filter(|spec| with_memory || !is_memory(&spec.name))
        .map(|spec| (spec.name, spec.shape))
        .collect();
    write_safetensors(&metadata, &tensors, dtype, |name, shape| {
        values(name, source.take(name, shape)?)
    })
}

fn values(name: &str, data: TensorData) -> Result<Vec<f32>, CheckpointError> {
    let dtype = data.dtype();
    data.try_into_vec::<f32>().map_err(|_| {
        FileError::Dtype {
            name: name.into(),
            dtype: format!("{dtype:?}").to_lowercase(),
        }
        .into()
    })
}
