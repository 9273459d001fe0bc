//! The position of one tensor in a file's bytes.

use std::ops::Range;

use half::f16;

use crate::quantized::dequantize;
use crate::{Dtype, FileError};

/// The most dimensions of a tensor.
pub(crate) const MAX_DIMENSIONS: usize = 8;

/// One tensor in the bytes of a [`TensorFile`](crate::TensorFile). It has been checked that every element is inside them.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    /// The distance, in elements, from one index of each dimension to the next.
    strides: Vec<usize>,
    /// The index of the file that contains it, if several were joined.
    part: usize,
    /// The bytes from the first element to the end of the last; empty if the format is not read.
    range: Range<usize>,
    group: usize,
    /// The scales of whole numbers ([`Dtype::Q8`]): of as many dimensions, all 1 but at most one.
    scales: Option<Box<StoredTensor>>,
}

impl StoredTensor {
    /// A tensor that begins `offset` elements after the start of the file's bytes `region`.
    ///
    /// # Errors
    /// [`FileError`] if it is not inside `region`, or its sizes are impossible.
    pub(crate) fn new(
        name: &str,
        dtype: Dtype,
        shape: Vec<usize>,
        strides: Vec<usize>,
        offset: usize,
        region: Range<usize>,
    ) -> Result<Self, FileError> {
        let impossible = || FileError::corrupt(format!("tensor `{name}` has impossible sizes {shape:?}"));
        if shape.len() != strides.len() || shape.len() > MAX_DIMENSIONS {
            return Err(impossible());
        }
        let numel = checked_product(&shape).ok_or_else(impossible)?;
        let mut last = offset;
        for (&size, &stride) in shape.iter().zip(&strides) {
            let step = size.saturating_sub(1).checked_mul(stride);
            last = step
                .and_then(|step| last.checked_add(step))
                .ok_or_else(impossible)?;
        }
        let Some(size) = dtype.size() else {
            return Ok(Self {
                dtype,
                shape,
                strides,
                part: 0,
                range: region.start..region.start,
                group: 0,
                scales: None,
            });
        };
        let end = if numel == 0 { Some(0) } else { last.checked_add(1) };
        let needed = end.and_then(|end| end.checked_mul(size)).ok_or_else(impossible)?;
        if needed > region.len() {
            return Err(FileError::Truncated {
                name: name.into(),
                needed: needed as u64,
                available: region.len() as u64,
            });
        }
        // A stride of 0 repeats elements. A malicious file could use it to describe a huge tensor.
        if numel > region.len() / size {
            return Err(impossible());
        }
        let first = if numel == 0 { 0 } else { offset * size };
        Ok(Self {
            dtype,
            strides,
            part: 0,
            range: region.start + first..region.start + needed,
            group: 0,
            scales: None,
            shape,
        })
    }

    /// The number format.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// A number that is equal for the tensors of one dict of a pickle, and for all tensors of a safetensors file.
    pub fn group(&self) -> usize {
        self.group
    }

    pub(crate) fn in_group(self, group: usize) -> Self {
        Self { group, ..self }
    }

    /// The same tensor after its file was joined to one of `parts` files.
    pub(crate) fn after(self, parts: usize) -> Self {
        Self {
            part: self.part + parts,
            scales: self.scales.map(|scales| Box::new(scales.after(parts))),
            ..self
        }
    }

    /// Gives the tensor, of whole numbers, its scales.
    pub(crate) fn set_scales(&mut self, scales: StoredTensor) {
        self.scales = Some(Box::new(scales));
    }

    /// The scales of whole numbers.
    pub(crate) fn scales(&self) -> Option<&StoredTensor> {
        self.scales.as_deref()
    }

    /// One row of a matrix, as `[1, columns]`; `None` if the tensor is not a matrix or has no such row.
    pub fn row(&self, index: usize) -> Option<Self> {
        let (&[rows, columns], &[row_stride, stride]) = (self.shape.as_slice(), self.strides.as_slice())
        else {
            return None;
        };
        if index >= rows || columns == 0 {
            return None;
        }
        let range = match self.dtype.size() {
            Some(size) => {
                let start = self.range.start + index * row_stride * size;
                start..start + ((columns - 1) * stride + 1) * size
            }
            None => self.range.clone(),
        };
        // Scales of rows have one for each of them, other scales belong to every row.
        let scales = match self.scales.as_deref() {
            Some(scales) if scales.shape[0] == rows => Some(Box::new(scales.row(index)?)),
            _ => self.scales.clone(),
        };
        Some(Self {
            shape: vec![1, columns],
            strides: vec![columns, stride],
            range,
            scales,
            ..self.clone()
        })
    }

    /// The values, row-major; `None` if the format is not read.
    pub(crate) fn to_f32(&self, parts: &[Vec<u8>]) -> Option<Vec<f32>> {
        match self.dtype {
            Dtype::Q8 => self.scaled(parts, |value| value),
            _ => self.dtype.read(&self.row_major(parts)?),
        }
    }

    /// The values of whole numbers, row-major, each as `as_stored` makes it.
    fn scaled<T>(&self, parts: &[Vec<u8>], as_stored: impl Fn(f32) -> T) -> Option<Vec<T>> {
        let scales = self.scales()?;
        let values = scales.to_f32(parts)?;
        Some(dequantize(
            &self.row_major(parts)?,
            &self.shape,
            &values,
            scales.shape(),
            as_stored,
        ))
    }

    /// The values, row-major, those of whole numbers rounded to f16; `None` if they are wider than f16.
    pub(crate) fn to_f16(&self, parts: &[Vec<u8>]) -> Option<Vec<f16>> {
        match self.dtype {
            Dtype::F16 => {}
            Dtype::Q8 => return self.scaled(parts, f16::from_f32),
            _ => return None,
        }
        let bytes = self.row_major(parts)?;
        Some(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|bytes| f16::from_le_bytes(*bytes))
                .collect(),
        )
    }

    /// The bytes of the values, row-major. They are copied if the tensor is a view that skips values.
    pub(crate) fn row_major<'a>(&self, parts: &'a [Vec<u8>]) -> Option<std::borrow::Cow<'a, [u8]>> {
        let size = self.dtype.size()?;
        // The bytes are missing if `parts` belong to another file.
        let bytes = parts.get(self.part)?.get(self.range.clone())?;
        if self.numel() == 0 || self.strides == contiguous(&self.shape) {
            return Some(bytes.into());
        }
        let mut gathered = Vec::with_capacity(self.numel() * size);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..self.numel() {
            let element: usize = index
                .iter()
                .zip(&self.strides)
                .map(|(i, stride)| i * stride)
                .sum();
            gathered.extend_from_slice(bytes.get(element * size..(element + 1) * size)?);
            for (i, &length) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < length {
                    break;
                }
                *i = 0;
            }
        }
        Some(gathered.into())
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

fn checked_product(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
}
