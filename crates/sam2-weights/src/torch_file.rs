//! The index of a `.pt` file: a ZIP with `NAME/data.pkl` and the storages `NAME/data/0`, `NAME/data/1`, …

use std::collections::HashMap;
use std::ops::Range;

use crate::index::{Index, Stored};
use crate::pickle::{Pickle, Tensor, Value};
use crate::{CheckpointError, Dtype};

/// The tensors of an official `.pt` (`{"model": state_dict}`) or of a plain state dict.
pub(crate) fn read(bytes: &[u8]) -> Result<Index, CheckpointError> {
    let entries = entries(bytes)?;
    let pickle_path = entries
        .keys()
        .filter(|path| *path == "data.pkl" || path.ends_with("/data.pkl"))
        .min_by_key(|path| path.len())
        .ok_or_else(|| CheckpointError::NotWeights {
            found: "a ZIP file without a PyTorch checkpoint in it".into(),
        })?;
    let folder = &pickle_path[..pickle_path.len() - "data.pkl".len()];
    if let Some(order) = entries.get(&format!("{folder}byteorder"))
        && !bytes[order.clone()].starts_with(b"little")
    {
        return Err(CheckpointError::Unsupported {
            what: "its numbers are big-endian".into(),
            advice: "Save it on a little-endian machine".into(),
        });
    }
    let pickle = Pickle::read(&bytes[entries[pickle_path].clone()])?;
    let root = pickle.root();
    let state = pickle
        .entry(root, "model")
        .filter(|model| matches!(model, Value::Dict(_)))
        .unwrap_or(root);
    let Value::Dict(state) = state else {
        return Err(no_state_dict("a single value"));
    };
    let mut index = Index::new();
    for (key, value) in state {
        let Value::Str(name) = pickle.get(*key) else {
            return Err(no_state_dict("a key that is no text"));
        };
        let Value::Tensor(tensor) = pickle.get(*value) else {
            return Err(no_state_dict(&format!("`{name}`, which is no tensor")));
        };
        index.insert(name.clone(), stored(name, tensor, folder, &entries)?);
    }
    Ok(index)
}

fn stored(
    name: &str,
    tensor: &Tensor,
    folder: &str,
    entries: &HashMap<String, Range<usize>>,
) -> Result<Stored, CheckpointError> {
    let dtype = match tensor.storage.kind.as_str() {
        "Float" => Dtype::F32,
        "Half" => Dtype::F16,
        "BFloat16" => Dtype::Bf16,
        other => {
            return Err(CheckpointError::Dtype {
                name: name.into(),
                dtype: other.to_lowercase(),
            });
        }
    };
    let path = format!("{folder}data/{}", tensor.storage.key);
    let region = entries.get(&path).ok_or_else(|| {
        CheckpointError::corrupt(format!("`{path}`, the data of tensor `{name}`, is not in it"))
    })?;
    Stored::new(
        name,
        dtype,
        tensor.shape.clone(),
        tensor.strides.clone(),
        tensor.offset,
        region.clone(),
    )
}

/// The bytes of each file in the ZIP, by path.
fn entries(bytes: &[u8]) -> Result<HashMap<String, Range<usize>>, CheckpointError> {
    let damaged = |error: rawzip::Error| CheckpointError::corrupt(format!("its ZIP directory: {error}"));
    let archive = rawzip::ZipArchive::from_slice(bytes).map_err(|_| {
        CheckpointError::corrupt(
            "the ZIP directory that stands at the end is not there: the file is cut short",
        )
    })?;
    let mut found = HashMap::new();
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        let path = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
        if entry.compression_method() != rawzip::CompressionMethod::STORE {
            return Err(CheckpointError::Unsupported {
                what: format!("`{path}` in it is compressed"),
                advice: "PyTorch never compresses: use the file as torch.save wrote it".into(),
            });
        }
        let (start, end) = archive
            .get_entry(entry.wayfinder())
            .map_err(damaged)?
            .compressed_data_range();
        match (usize::try_from(start), usize::try_from(end)) {
            (Ok(start), Ok(end)) if start <= end && end <= bytes.len() => found.insert(path, start..end),
            _ => {
                return Err(CheckpointError::corrupt(format!(
                    "`{path}` in it lies beyond its end"
                )));
            }
        };
    }
    Ok(found)
}

fn no_state_dict(found: &str) -> CheckpointError {
    CheckpointError::Unsupported {
        what: format!(
            "it holds {found}, expected the official layout {{\"model\": state_dict}} or a state dict"
        ),
        advice: "Use the official file, or save model.state_dict() alone".into(),
    }
}
