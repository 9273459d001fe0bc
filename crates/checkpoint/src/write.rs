//! Writes safetensors files.

use std::collections::BTreeMap;

use half::f16;
use serde_json::{Map, Value, json};

use crate::FileError;
use crate::quantized::{MARK, quantize, scale_name, scale_shape};

/// The number format of a written tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedDtype {
    /// Single precision, in which networks are computed.
    F32,
    /// Half precision: each value is rounded to the nearest f16, ties to even. The file has half the size.
    F16,
    /// Whole numbers from -127 to 127 with an f16 scale for each index of the dimension `axis`, a matrix's output
    /// channel: a quarter of the size. The scales of `NAME` are a tensor `NAME.scale`.
    Q8 {
        /// The dimension of the output channel.
        axis: usize,
    },
}

/// A tensor to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedTensor {
    /// The tensor's name.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Its number format.
    pub dtype: PackedDtype,
}

/// Writes a safetensors file of `tensors` with the text `metadata`.
///
/// `values` returns the values of a tensor, row-major. It is called when the tensor is written, in the order of `tensors`,
/// so the memory needed is that of the result and of one tensor.
///
/// # Errors
/// The errors of `values`, [`FileError::Corrupt`] if the number of values does not match the shape, and
/// [`FileError::Overflow`] for a finite value that would be infinite in f16, and for one that 8 bits cannot hold.
pub fn write_safetensors<E: From<FileError>>(
    metadata: &BTreeMap<String, String>,
    tensors: &[PackedTensor],
    mut values: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
) -> Result<Vec<u8>, E> {
    let (mut file, places) = layout(metadata.clone(), tensors);
    for tensor in tensors {
        let PackedTensor { name, shape, dtype } = tensor;
        let values = values(name, shape)?;
        if values.len() != shape.iter().product::<usize>() {
            return Err(FileError::corrupt(format!(
                "tensor `{name}` of shape {shape:?} came with {} values",
                values.len()
            ))
            .into());
        }
        let too_large = |value: f32, dtype| FileError::Overflow {
            name: name.clone(),
            value,
            dtype,
        };
        match *dtype {
            PackedDtype::F32 => put(&mut file, places[name], values.iter().map(|v| v.to_le_bytes())),
            PackedDtype::F16 => {
                let infinite = |v: &&f32| f16::from_f32(**v).is_infinite() && v.is_finite();
                if let Some(value) = values.iter().find(infinite) {
                    return Err(too_large(*value, "f16").into());
                }
                let halves = values.iter().map(|v| f16::from_f32(*v).to_le_bytes());
                put(&mut file, places[name], halves);
            }
            PackedDtype::Q8 { axis } => {
                let quantized = quantize(&values, shape, axis);
                let (whole, scales) = quantized.map_err(|value| too_large(value, "q8"))?;
                put(&mut file, places[name], whole.iter().map(|v| v.to_le_bytes()));
                let scale = places[&scale_name(name)];
                put(&mut file, scale, scales.iter().map(|v| v.to_le_bytes()));
            }
        }
    }
    Ok(file)
}

/// A file whose values are still zeros, and the place of each tensor in it, scales included.
fn layout(
    mut metadata: BTreeMap<String, String>,
    tensors: &[PackedTensor],
) -> (Vec<u8>, BTreeMap<String, usize>) {
    let mut stored: Vec<(String, Vec<usize>, &str, usize)> = Vec::new();
    for PackedTensor { name, shape, dtype } in tensors {
        match *dtype {
            PackedDtype::F32 => stored.push((name.clone(), shape.clone(), "F32", 4)),
            PackedDtype::F16 => stored.push((name.clone(), shape.clone(), "F16", 2)),
            PackedDtype::Q8 { axis } => {
                metadata.insert(MARK.0.into(), MARK.1.into());
                stored.push((name.clone(), shape.clone(), "I8", 1));
                stored.push((scale_name(name), scale_shape(shape, axis), "F16", 2));
            }
        }
    }
    // Wider numbers first, so that each begins at a multiple of its size, as readers in Python need it.
    stored.sort_by_key(|(.., size)| std::cmp::Reverse(*size));
    let (mut header, mut places, mut end) = (Map::new(), BTreeMap::new(), 0);
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    for (name, shape, dtype, size) in stored {
        let start = end;
        end += shape.iter().product::<usize>() * size;
        let info = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        header.insert(name.clone(), info);
        places.insert(name, start);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // Readers expect the data to begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    let data = 8 + header.len();
    let mut file = Vec::with_capacity(data + end);
    file.extend((header.len() as u64).to_le_bytes());
    file.extend(header);
    file.resize(data + end, 0);
    places.values_mut().for_each(|place| *place += data);
    (file, places)
}

/// Writes values of `SIZE` bytes each from the byte `place` on.
fn put<const SIZE: usize>(file: &mut [u8], place: usize, values: impl Iterator<Item = [u8; SIZE]>) {
    for (bytes, value) in file[place..].chunks_exact_mut(SIZE).zip(values) {
        bytes.copy_from_slice(&value);
    }
}
