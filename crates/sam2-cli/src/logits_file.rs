//! A safetensors file of low-resolution logits that is written frame by frame. The number and the shapes of the tensors
//! are known from the start, so the header is written first and no logits are kept in memory.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

/// The file while it is being written. It has another name until it is complete.
pub struct LogitsFile {
    path: PathBuf,
    part: PathBuf,
    writer: BufWriter<File>,
}

impl LogitsFile {
    /// A file of tensors `logits.<object>.<frame>` `[side, side]`, which are written in the order of `names`.
    pub fn create(path: &Path, names: impl Iterator<Item = (u32, usize)>, side: usize) -> Result<Self> {
        let bytes = side * side * size_of::<f32>();
        let tensors = names
            .enumerate()
            .map(|(i, (object, frame))| {
                let info = TensorInfo {
                    dtype: Dtype::F32,
                    shape: vec![side, side],
                    data_offsets: (i * bytes, (i + 1) * bytes),
                };
                (format!("logits.{object}.{frame}"), info)
            })
            .collect();
        let mut header = serde_json::to_vec(&Metadata::new(None, tensors)?)?;
        // Readers expect the data to begin at a multiple of eight bytes.
        header.resize(header.len().next_multiple_of(8), b' ');

        let part = path.with_extension("safetensors.part");
        let file = File::create(&part).with_context(|| format!("cannot write {}", part.display()))?;
        let mut writer = BufWriter::new(file);
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        Ok(Self {
            path: path.to_owned(),
            part,
            writer,
        })
    }

    /// Writes the next tensor.
    pub fn write(&mut self, logits: &[f32]) -> Result<()> {
        let cannot = || format!("cannot write {}", self.part.display());
        for value in logits {
            self.writer.write_all(&value.to_le_bytes()).with_context(cannot)?;
        }
        Ok(())
    }

    /// Completes the file after the last tensor.
    pub fn finish(self) -> Result<()> {
        let cannot = || format!("cannot write {}", self.path.display());
        let file = self.writer.into_inner().with_context(cannot)?;
        drop(file);
        fs::rename(&self.part, &self.path).with_context(cannot)
    }
}
