//! Finds the tensors of a safetensors file.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype as Kind, Metadata};

use crate::error::short;
use crate::file::{MAX_NAME, MAX_TENSORS};
use crate::quantized::{attach_scales, is_marked};
use crate::sniff::MAX_HEADER;
use crate::tensor::contiguous;
use crate::{Container, Dtype, FileError, StoredTensor, TensorFile};

/// Reads the header. Unless the file is `whole`, the tensors' bytes may still be missing.
///
/// # Errors
/// [`FileError`] for a damaged header, for 8-bit tensors without proper scales, and if the file is `whole` but cut short.
pub(crate) fn read(bytes: Vec<u8>, whole: bool) -> Result<TensorFile, FileError> {
    let cut = || FileError::corrupt("it ends inside its header");
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(cut)?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(FileError::corrupt(format!("its header claims {length} bytes")));
    }
    let header = rest.get(..length as usize).ok_or_else(cut)?;
    // Not `SafeTensors::read_metadata`: it refuses a file that is cut short without naming a tensor.
    let header: Metadata = serde_json::from_slice(header)
        .map_err(|error| FileError::corrupt(format!("its header: {}", short(&error.to_string()))))?;
    let data = 8 + length as usize;
    let tensors = header.tensors();
    if tensors.len() > MAX_TENSORS {
        return Err(FileError::corrupt(format!(
            "it has {} tensors, more than {MAX_TENSORS}",
            tensors.len()
        )));
    }
    let metadata: BTreeMap<String, String> = header
        .metadata()
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let quantized = is_marked(&metadata)?;
    let mut index = BTreeMap::new();
    for (name, info) in tensors {
        if name.len() > MAX_NAME {
            return Err(FileError::corrupt(format!(
                "a tensor's name has {} bytes, more than {MAX_NAME}",
                name.len()
            )));
        }
        let (start, end) = info.data_offsets;
        let end_in_file = data.checked_add(end).filter(|end| !whole || *end <= bytes.len());
        let Some(end) = end_in_file else {
            let (needed, available) = ((data as u64).saturating_add(end as u64), bytes.len() as u64);
            return Err(FileError::Truncated {
                name,
                needed,
                available,
            });
        };
        let dtype = match info.dtype {
            Kind::I8 if quantized => Dtype::Q8,
            kind => dtype(kind),
        };
        let (shape, strides) = (info.shape.clone(), contiguous(&info.shape));
        let stored = StoredTensor::new(&name, dtype, shape, strides, 0, data + start..end)?;
        index.insert(name, stored);
    }
    let surplus = bytes.len().saturating_sub(data + header.data_len());
    if surplus > 0 {
        return Err(FileError::corrupt(format!(
            "{surplus} bytes follow the last tensor"
        )));
    }
    let parts = vec![bytes];
    if quantized {
        attach_scales(&mut index, whole.then_some(&parts))?;
    }
    Ok(TensorFile {
        tensors: index,
        metadata,
        container: Container::Safetensors,
        objects: Vec::new(),
        parts,
    })
}

fn dtype(kind: Kind) -> Dtype {
    match kind {
        Kind::F64 => Dtype::F64,
        Kind::F32 => Dtype::F32,
        Kind::F16 => Dtype::F16,
        Kind::BF16 => Dtype::Bf16,
        Kind::BOOL => Dtype::Other("bool"),
        Kind::U8 => Dtype::Other("uint8"),
        Kind::I8 => Dtype::Other("int8"),
        Kind::U16 => Dtype::Other("uint16"),
        Kind::I16 => Dtype::Other("int16"),
        Kind::U32 => Dtype::Other("uint32"),
        Kind::I32 => Dtype::Other("int32"),
        Kind::U64 => Dtype::Other("uint64"),
        Kind::I64 => Dtype::Other("int64"),
        Kind::F8_E4M3 | Kind::F8_E5M2 => Dtype::Other("float8"),
        // New versions of the library may add formats.
        _ => Dtype::Other("a rare number format"),
    }
}
