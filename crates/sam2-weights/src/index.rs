//! Where each tensor lies in the file.

use std::collections::BTreeMap;

use crate::{CheckpointError, Dtype};

/// Tensors by name.
pub(crate) type Index = BTreeMap<String, Stored>;

/// One tensor in the file's bytes. Built by [`Stored::new`] only, so every element is known to lie inside.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Elements (not bytes) from one index of each dimension to the next.
    strides: Vec<usize>,
    /// Byte of the first element.
    start: usize,
}

impl Stored {
    /// A tensor that begins `offset` elements into the bytes `region` of the file.
    pub fn new(
        name: &str,
        dtype: Dtype,
        shape: Vec<usize>,
        strides: Vec<usize>,
        offset: usize,
        region: std::ops::Range<usize>,
    ) -> Result<Self, CheckpointError> {
        let overflow = || CheckpointError::corrupt(format!("tensor `{name}` has impossible sizes {shape:?}"));
        if shape.len() != strides.len() || shape.len() > 8 {
            return Err(overflow());
        }
        let numel = checked_product(&shape).ok_or_else(overflow)?;
        let mut last = offset;
        for (&size, &stride) in shape.iter().zip(&strides) {
            let step = size.saturating_sub(1).checked_mul(stride).ok_or_else(overflow)?;
            last = last.checked_add(step).ok_or_else(overflow)?;
        }
        let end = if numel == 0 { Some(0) } else { last.checked_add(1) };
        let needed = end
            .and_then(|end| end.checked_mul(dtype.size()))
            .ok_or_else(overflow)?;
        if needed > region.len() {
            let (needed, available) = (needed as u64, region.len() as u64);
            return Err(CheckpointError::Truncated {
                name: name.into(),
                needed,
                available,
            });
        }
        // A stride of 0 repeats elements; no checkpoint does so at length, and a hostile one would be huge.
        if numel > region.len() / dtype.size() {
            return Err(overflow());
        }
        let first = if numel == 0 { 0 } else { offset * dtype.size() };
        Ok(Self {
            dtype,
            strides,
            start: region.start + first,
            shape,
        })
    }

    /// One of the rows of a matrix, as `[1, columns]`.
    pub fn row(&self, index: usize) -> Option<Self> {
        let (&[rows, columns], &[row_stride, stride]) = (self.shape.as_slice(), self.strides.as_slice())
        else {
            return None;
        };
        (index < rows).then(|| Self {
            shape: vec![1, columns],
            strides: vec![columns, stride],
            start: self.start + index * row_stride * self.dtype.size(),
            dtype: self.dtype,
        })
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// The values, row-major.
    pub fn to_f32(&self, file: &[u8]) -> Vec<f32> {
        let (size, numel) = (self.dtype.size(), self.numel());
        if numel == 0 {
            return Vec::new();
        }
        if self.strides == contiguous(&self.shape) {
            let bytes = &file[self.start..self.start + numel * size];
            return match self.dtype {
                // A format each, so that the loop inside has no branch.
                Dtype::F32 => bytes.chunks_exact(4).map(|b| Dtype::F32.read(b)).collect(),
                Dtype::F16 => bytes.chunks_exact(2).map(|b| Dtype::F16.read(b)).collect(),
                Dtype::Bf16 => bytes.chunks_exact(2).map(|b| Dtype::Bf16.read(b)).collect(),
            };
        }
        let mut place = vec![0; self.shape.len()];
        let mut values = Vec::with_capacity(numel);
        for _ in 0..numel {
            let element: usize = place
                .iter()
                .zip(&self.strides)
                .map(|(i, stride)| i * stride)
                .sum();
            let at = self.start + element * size;
            values.push(self.dtype.read(&file[at..at + size]));
            for (i, &length) in place.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < length {
                    break;
                }
                *i = 0;
            }
        }
        values
    }
}

/// Row-major strides.
pub(crate) fn contiguous(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i].saturating_mul(shape[i]);
    }
    strides
}

pub(crate) fn checked_product(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
}
