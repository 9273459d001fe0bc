//! Writing: safetensors with official names, and the configuration in the metadata.

use half::f16;
use sam2::parameters::is_memory;
use sam2::{Sam2Config, TensorSource};
use serde_json::{Map, Value, json};

use crate::CheckpointError;

/// The number format of packed weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedDtype {
    /// Half the size; each value is rounded to the nearest, ties to even.
    F16,
    /// As computed with.
    F32,
}

/// A safetensors file of everything that `config` asks for, the memory part only `with_memory`.
///
/// Its metadata has `config` (the official tree as JSON), `name`, `version` and `format`. Tensors are taken and
/// written one by one, so nothing but the result and one tensor is held.
///
/// # Errors
/// What the source gives ([`CheckpointError::Mismatch`]), and [`CheckpointError::Overflow`] for a finite value
/// that f16 would turn into infinity.
pub fn pack(
    source: &mut dyn TensorSource,
    config: &Sam2Config,
    with_memory: bool,
    dtype: PackedDtype,
) -> Result<Vec<u8>, CheckpointError> {
    let (size, dtype_name) = match dtype {
        PackedDtype::F16 => (2, "F16"),
        PackedDtype::F32 => (4, "F32"),
    };
    let specs: Vec<_> = config
        .parameters()
        .into_iter()
        .filter(|spec| with_memory || !is_memory(&spec.name))
        .collect();
    let mut header = Map::new();
    header.insert(
        "__metadata__".into(),
        json!({
            "format": "sam2-web",
            "name": config.name,
            "version": config.version.to_string(),
            "config": config.to_official().to_string(),
        }),
    );
    let mut end = 0;
    for spec in &specs {
        let start = end;
        end += spec.shape.iter().product::<usize>() * size;
        let info = json!({ "dtype": dtype_name, "shape": spec.shape, "data_offsets": [start, end] });
        header.insert(spec.name.clone(), info);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // The data begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut file = Vec::with_capacity(8 + header.len() + end);
    file.extend((header.len() as u64).to_le_bytes());
    file.extend(header);
    for spec in &specs {
        let data = source.take(&spec.name, &spec.shape)?;
        let values = data.as_slice::<f32>().map_err(|_| CheckpointError::Dtype {
            name: spec.name.clone(),
            dtype: format!("{:?}", data.dtype()).to_lowercase(),
        })?;
        for &value in values {
            match dtype {
                PackedDtype::F32 => file.extend(value.to_le_bytes()),
                PackedDtype::F16 => {
                    let half = f16::from_f32(value);
                    if half.is_infinite() && value.is_finite() {
                        return Err(CheckpointError::Overflow {
                            name: spec.name.clone(),
                            value,
                        });
                    }
                    file.extend(half.to_le_bytes());
                }
            }
        }
    }
    Ok(file)
}
