//! Recognises the format of a file by its first bytes.

use crate::FileError;

pub(crate) enum Kind {
    Safetensors,
    Zip,
}

/// The longest safetensors header that is read, in bytes. That of a thousand tensors has about 120 KB.
pub(crate) const MAX_HEADER: u64 = 16 << 20;

/// Recognises the two supported formats.
///
/// # Errors
/// [`FileError`] that says what any other file seems to be.
pub(crate) fn sniff(bytes: &[u8]) -> Result<Kind, FileError> {
    if bytes.is_empty() {
        return Err(FileError::corrupt("it is empty"));
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Ok(Kind::Zip);
    }
    if let Some((length, rest)) = bytes.split_first_chunk::<8>()
        && u64::from_le_bytes(*length) <= MAX_HEADER
        && rest.first() == Some(&b'{')
    {
        return Ok(Kind::Safetensors);
    }
    // The magic number 0x1950a86a20f9469cfc6c, pickled: torch.save before 1.6. Any other pickle is as unreadable.
    if bytes.len() > 2 && bytes[0] == 0x80 && bytes[1] <= 5 {
        return Err(FileError::Unsupported {
            what: "it is a pickle without the ZIP around it, as PyTorch wrote before version 1.6".into(),
            advice: "Load it in a newer PyTorch and save model.state_dict() again, or use the original file"
                .into(),
        });
    }
    let start = &bytes[..bytes.len().min(64)];
    let text = String::from_utf8_lossy(start)
        .trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t'])
        .to_lowercase();
    let found = match () {
        () if text.starts_with("version https://git-lfs") => {
            "a Git LFS pointer (a note in place of the file: run `git lfs pull`)".into()
        }
        () if text.starts_with("<!doctype") || text.starts_with("<html") => {
            "a web page (HTML), as servers send when a file is not there".into()
        }
        () if text.starts_with("<?xml") => "an XML text, as servers send when a file is not there".into(),
        () if start.starts_with(&[0x1f, 0x8b]) => "a gzip file (unpack it first)".into(),
        () if start.starts_with(b"\x28\xb5\x2f\xfd") => "a zstd file (unpack it first)".into(),
        () if text.starts_with('{')
            && String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).contains("\"weight_map\"") =>
        {
            "the index of a checkpoint in several files (give the files themselves)".into()
        }
        () if text.starts_with('{') => "a JSON text".into(),
        () => format!(
            "an unknown kind of file (it begins with the bytes {:02x?})",
            &bytes[..bytes.len().min(8)]
        ),
    };
    Err(FileError::NotWeights { found })
}
