//! A safetensors file of low-resolution logits that is written frame by frame: their number and shapes are known from
//! the start, so the header comes first and nothing is held.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

/// Being written, under another name until it is whole.
pub struct LogitsFile {
    path: PathBuf,
    part: PathBuf,
    writer: BufWriter<File>,
}

impl LogitsFile {
    /// For tensors `logits.<object>.<frame>` `[side, side]`, written in the order of `names`.
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
        // Numbers start at a multiple of eight.
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

    /// The next tensor.
    pub fn write(&mut self, logits: &[f32]) -> Result<()> {
        let cannot = || format!("cannot write {}", self.part.display());
        for value in logits {
            self.writer.write_all(&value.to_le_bytes()).with_context(cannot)?;
        }
        Ok(())
    }

    /// After the last tensor.
    pub fn finish(self) -> Result<()> {
        let cannot = || format!("cannot write {}", self.path.display());
        let file = self.writer.into_inner().with_context(cannot)?;
        drop(file);
        fs::rename(&self.part, &self.path).with_context(cannot)
    }
}
