//! Writes safetensors files with official names and the configuration in the metadata.

use burn::tensor::TensorData;
use sam2_checkpoint::{FileError, Packing, write_safetensors};

use super::CheckpointError;
use crate::parameters::is_memory;
use crate::{ParameterSpec, Sam2Config, TensorSource};

/// The dimension of the output channel of a matrix that is written in 8 bits; `None` for any other tensor. Positions,
/// embeddings and tokens are no matrices, and a depthwise convolution has few values to a channel.
fn output_axis(spec: &ParameterSpec) -> Option<usize> {
    let is_matrix = spec.name.ends_with(".weight") && spec.shape.len() >= 2;
    // `[channels, 1, kernel, kernel]`.
    let is_depthwise = spec.shape.len() == 4 && spec.shape[1] == 1;
    // PyTorch's `ConvTranspose2d` has `[input, output, kernel, kernel]`; the others have the output first.
    let is_transposed = spec.name.starts_with("sam_mask_decoder.output_upscaling.");
    (is_matrix && !is_depthwise).then_some(usize::from(is_transposed))
}

/// Writes a safetensors file of all tensors of `config`, those of the memory only if `with_memory`.
///
/// Its metadata has `config` (the official tree as JSON), `name`, `version` and `format`. Tensors are taken and written
/// one by one, so the memory needed is that of the result and of one tensor.
///
/// # Errors
/// The source's error as [`CheckpointError::Mismatch`], and [`FileError::Overflow`] for a finite value that would be
/// infinite in f16, or that 8 bits cannot hold.
pub fn pack(
    source: &mut dyn TensorSource,
    config: &Sam2Config,
    with_memory: bool,
    packing: Packing,
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
        .map(|spec| {
            let axis = output_axis(&spec);
            packing.tensor(spec.name, spec.shape, axis)
        })
        .collect();
    write_safetensors(&metadata, &tensors, |name, shape| {
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
