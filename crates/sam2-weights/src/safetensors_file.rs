//! The index of a safetensors file.

use std::collections::BTreeMap;

use safetensors::tensor::Metadata;

use crate::index::{Index, Stored, contiguous};
use crate::sniff::MAX_HEADER;
use crate::{CheckpointError, Dtype};

/// The tensors and the text metadata of a safetensors file. If it is not `whole`, the data may still be missing.
pub(crate) fn read(bytes: &[u8], whole: bool) -> Result<(Index, BTreeMap<String, String>), CheckpointError> {
    let cut = || CheckpointError::corrupt("it ends inside its header");
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(cut)?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(CheckpointError::corrupt(format!(
            "its header claims {length} bytes"
        )));
    }
    let header = rest.get(..length as usize).ok_or_else(cut)?;
    // Not `SafeTensors::read_metadata`: it refuses a file that is cut short without naming a tensor.
    let header: Metadata = serde_json::from_slice(header)
        .map_err(|error| CheckpointError::corrupt(format!("its header: {error}")))?;
    let data = 8 + length as usize;
    let mut index = Index::new();
    for (name, info) in header.tensors() {
        let dtype = match info.dtype {
            safetensors::Dtype::F32 => Dtype::F32,
            safetensors::Dtype::F16 => Dtype::F16,
            safetensors::Dtype::BF16 => Dtype::Bf16,
            other => {
                return Err(CheckpointError::Dtype {
                    name,
                    dtype: format!("{other:?}").to_lowercase(),
                });
            }
        };
        let (start, end) = info.data_offsets;
        if data.checked_add(end).is_none_or(|end| whole && end > bytes.len()) {
            let (needed, available) = ((data as u64).saturating_add(end as u64), bytes.len() as u64);
            return Err(CheckpointError::Truncated {
                name,
                needed,
                available,
            });
        }
        let strides = contiguous(&info.shape);
        let stored = Stored::new(
            &name,
            dtype,
            info.shape.clone(),
            strides,
            0,
            data + start..data + end,
        )?;
        index.insert(name, stored);
    }
    let surplus = bytes.len().saturating_sub(data + header.data_len());
    if surplus > 0 {
        return Err(CheckpointError::corrupt(format!(
            "{surplus} bytes follow the last tensor"
        )));
    }
    Ok((
        index,
        header
            .metadata()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect(),
    ))
}
