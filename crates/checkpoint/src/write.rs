//! Writes safetensors files.

use std::collections::BTreeMap;

use half::f16;
use serde_json::{Map, Value, json};

use crate::FileError;

/// The number format of written weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedDtype {
    /// Half precision: each value is rounded to the nearest f16, ties to even. The file has half the size.
    F16,
    /// Single precision, in which networks are computed.
    F32,
}

/// Writes a safetensors file of `tensors` (name and shape), in that order, with the text `metadata`.
///
/// `values` returns the values of a tensor, row-major. It is called when the tensor is written, so the memory needed is
/// that of the result and of one tensor.
///
/// # Errors
/// The errors of `values`, [`FileError::Corrupt`] if the number of values does not match the shape, and
/// [`FileError::Overflow`] for a finite value that would be infinite in f16.
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
    // Readers expect the data to begin at a multiple of eight bytes.
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
