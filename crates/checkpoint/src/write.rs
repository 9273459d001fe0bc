//! Writing safetensors.

use std::collections::BTreeMap;

use half::f16;
use serde_json::{Map, Value, json};

use crate::FileError;

/// The number format of packed weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedDtype {
    /// Half the size; each value is rounded to the nearest, ties to even.
    F16,
    /// As computed with.
    F32,
}

/// A safetensors file of `tensors` (name and row-major shape), in that order, with the text `metadata`.
///
/// `values` gives each tensor's values when it is written, so that nothing but the result and one tensor is held.
///
/// # Errors
/// What `values` gives, [`FileError::Corrupt`] if they are not as many as the shape asks for, and
/// [`FileError::Overflow`] for a finite value that f16 would turn into infinity.
pub fn write_safetensors<E: From<FileError>>(
    metadata: &BTreeMap<String, String>,
    tensors: &[(String, Vec<usize>)],
    dtype: PackedDtype,
    mut values: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
) -> Result<Vec<u8>, E> {
    let (size, dtype_name) = match dtype {
        PackedDtype::F16 => (2, "F16"),
        PackedDtype::F32 => (4, "F32"),
    };
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += shape.iter().product::<usize>() * size;
        let info = json!({ "dtype": dtype_name, "shape": shape, "data_offsets": [start, end] });
        header.insert(name.clone(), info);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // The data begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut file = Vec::with_capacity(8 + header.len() + end);
    file.extend((header.len() as u64).to_le_bytes());
    file.extend(header);
    for (name, shape) in tensors {
        let values = values(name, shape)?;
        if values.len() != shape.iter().product::<usize>() {
            return Err(FileError::corrupt(format!(
                "tensor `{name}` of shape {shape:?} came with {} values",
                values.len()
            ))
            .into());
        }
        for value in values {
            match dtype {
                PackedDtype::F32 => file.extend(value.to_le_bytes()),
                PackedDtype::F16 => {
                    let half = f16::from_f32(value);
                    if half.is_infinite() && value.is_finite() {
                        return Err(FileError::Overflow {
                            name: name.clone(),
                            value,
                        }
                        .into());
                    }
                    file.extend(half.to_le_bytes());
                }
            }
        }
    }
    Ok(file)
}
