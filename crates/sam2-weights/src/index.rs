//! Where each tensor lies in the file.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::TensorData;
use half::f16;

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
    /// Bytes from the first element to the end of the last.
    place: Range<usize>,
}

impl Stored {
    /// A tensor that begins `offset` elements into the bytes `region` of the file.
    pub fn new(
        name: &str,
        dtype: Dtype,
        shape: Vec<usize>,
        strides: Vec<usize>,
        offset: usize,
        region: Range<usize>,
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
            place: region.start + first..region.start + needed,
            shape,
        })
    }

    /// One of the rows of a matrix, as `[1, columns]`; none of an empty one.
    pub fn row(&self, index: usize) -> Option<Self> {
        let (&[rows, columns], &[row_stride, stride]) = (self.shape.as_slice(), self.strides.as_slice())
        else {
            return None;
        };
        if index >= rows || columns == 0 {
            return None;
        }
        let size = self.dtype.size();
        let start = self.place.start + index * row_stride * size;
        Some(Self {
            shape: vec![1, columns],
            strides: vec![columns, stride],
            place: start..start + ((columns - 1) * stride + 1) * size,
            dtype: self.dtype,
        })
    }

    /// The same tensor, its bytes of `file` appended to `bytes`.
    pub fn copied(&self, file: &[u8], bytes: &mut Vec<u8>) -> Self {
        let start = bytes.len();
        bytes.extend_from_slice(&file[self.place.clone()]);
        Self {
            place: start..bytes.len(),
            ..self.clone()
        }
    }

    /// Bytes from the first element to the end of the last.
    pub fn extent(&self) -> usize {
        self.place.len()
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// Row-major f16 values, if that is what lies in the file.
    pub fn as_f16(&self, file: &[u8]) -> Option<TensorData> {
        if self.dtype != Dtype::F16 || self.strides != contiguous(&self.shape) {
            return None;
        }
        let values = file[self.place.clone()].as_chunks().0;
        let values: Vec<f16> = values.iter().map(|bytes| f16::from_le_bytes(*bytes)).collect();
        Some(TensorData::new(values, self.shape.clone()))
    }

    /// The values, row-major.
    pub fn to_f32(&self, file: &[u8]) -> Vec<f32> {
        let (size, numel) = (self.dtype.size(), self.numel());
        if numel == 0 {
            return Vec::new();
        }
        if self.strides == contiguous(&self.shape) {
            let bytes = &file[self.place.clone()];
            return match self.dtype {
                // A format each, so that the loop inside has no branch.
                Dtype::F32 => all::<4>(bytes, |b| Dtype::F32.read(b)),
                Dtype::F16 => all::<2>(bytes, |b| Dtype::F16.read(b)),
                Dtype::Bf16 => all::<2>(bytes, |b| Dtype::Bf16.read(b)),
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
            let at = self.place.start + element * size;
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

/// Values of `SIZE` bytes each.
fn all<const SIZE: usize>(bytes: &[u8], read: impl Fn(&[u8]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<SIZE>().0.iter().map(|b| read(b)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_view_is_the_view() {
        let file: Vec<u8> = (0..40u16).flat_map(|n| (n as f32).to_le_bytes()).collect();
        // Columns 1 and 2 of a matrix of 3 x 5 that begins at the file's second number, transposed.
        let view = Stored::new("view", Dtype::F32, vec![2, 3], vec![1, 5], 1, 4..file.len()).unwrap();
        let mut bytes = vec![7; 3];
        let copy = view.copied(&file, &mut bytes);
        assert_eq!(bytes.len(), 3 + 4 * 12);
        assert_eq!(copy.to_f32(&bytes), [2.0, 7.0, 12.0, 3.0, 8.0, 13.0]);
        assert_eq!(copy.to_f32(&bytes), view.to_f32(&file));
    }
}
