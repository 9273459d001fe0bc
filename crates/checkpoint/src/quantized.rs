//! 8-bit tensors: whole numbers with scales.
//!
//! A safetensors file that has them says `"quantization": "q8"` in its metadata. Each of its I8 tensors `NAME` then
//! comes with a tensor `NAME.scale` (f16, or another float) of as many dimensions, which are all 1 but at most one, that
//! has the tensor's size. A value is its whole number times its scale, so a scale belongs to one index of that dimension:
//! to a matrix's output channel. The scales are not tensors of their own to a reader of the file.
//!
//! In a file without the mark an I8 tensor is a format that is not read.

use std::collections::BTreeMap;

use half::f16;

use crate::{Dtype, FileError, StoredTensor};

/// The key of the metadata, and its value for the layout above.
pub(crate) const MARK: (&str, &str) = ("quantization", "q8");
/// The largest whole number that is written. The smallest is its negative, so that zero needs no offset.
const LARGEST: f32 = 127.0;
/// The largest scale, with which every whole number has a value in f16.
const LARGEST_SCALE: f32 = 65504.0 / 128.0;

/// The name of a tensor's scales.
pub(crate) fn scale_name(name: &str) -> String {
    format!("{name}.scale")
}

/// The shape of the scales of a tensor whose output channel is the dimension `axis`.
pub(crate) fn scale_shape(shape: &[usize], axis: usize) -> Vec<usize> {
    let size = |(dimension, &size)| if dimension == axis { size } else { 1 };
    shape.iter().enumerate().map(size).collect()
}

/// Whether a file's metadata has the mark.
///
/// # Errors
/// [`FileError::Unsupported`] for a mark of another kind.
pub(crate) fn is_marked(metadata: &BTreeMap<String, String>) -> Result<bool, FileError> {
    match metadata.get(MARK.0).map(String::as_str) {
        None => Ok(false),
        Some(kind) if kind == MARK.1 => Ok(true),
        Some(other) => Err(FileError::Unsupported {
            what: format!(
                "its tensors are quantised as `{}`, expected `{}`",
                crate::error::short(other),
                MARK.1
            ),
            advice: "Take the unquantised weights, and write them by `sam2 convert --dtype q8`".into(),
        }),
    }
}

/// Takes the scales out of a marked file's tensors and gives them to the 8-bit tensors they belong to. The scales'
/// values are checked too, unless `bytes` is `None` because they are still missing.
///
/// # Errors
/// [`FileError::Scale`] for an 8-bit tensor without scales, or with scales of another shape, of whole numbers, or that are
/// not finite, negative or too large.
pub(crate) fn attach_scales(
    tensors: &mut BTreeMap<String, StoredTensor>,
    bytes: Option<&[Vec<u8>]>,
) -> Result<(), FileError> {
    let quantized = tensors.iter().filter(|(_, stored)| stored.dtype() == Dtype::Q8);
    let names: Vec<String> = quantized.map(|(name, _)| name.clone()).collect();
    for name in names {
        let wrong = |reason: String| FileError::Scale {
            name: name.clone(),
            reason,
        };
        let scale = scale_name(&name);
        let Some(scales) = tensors.remove(&scale) else {
            return Err(wrong(format!("there is no `{scale}`")));
        };
        if matches!(scales.dtype(), Dtype::Q8 | Dtype::Other(_)) {
            return Err(wrong(format!("`{scale}` is {}, expected f16", scales.dtype())));
        }
        let stored = tensors.get_mut(&name).expect("its name is from there");
        if !fits(scales.shape(), stored.shape()) {
            return Err(wrong(format!(
                "`{scale}` has shape {:?}, expected ones and one of the sizes {:?} at its place",
                scales.shape(),
                stored.shape()
            )));
        }
        let values = bytes.and_then(|bytes| scales.to_f32(bytes)).unwrap_or_default();
        if let Some(value) = values
            .iter()
            .find(|scale| !(0.0..=LARGEST_SCALE).contains(*scale))
        {
            return Err(wrong(format!(
                "`{scale}` holds {value}, expected numbers from 0 to {LARGEST_SCALE}"
            )));
        }
        stored.set_scales(scales);
    }
    Ok(())
}

/// Whether scales of the shape `scales` belong to a tensor of `shape`.
fn fits(scales: &[usize], shape: &[usize]) -> bool {
    let others = scales.iter().zip(shape).filter(|(scale, _)| **scale != 1);
    scales.len() == shape.len()
        && others.clone().count() <= 1
        && others.into_iter().all(|(scale, size)| scale == size)
}

/// The whole numbers of `values`, row-major of `shape`, and the scales of its dimension `axis`.
///
/// A scale is the smallest f16 with which the largest value of its channel is at most 127. Each value becomes the nearest
/// multiple, so it changes by half a scale at most.
///
/// # Errors
/// A value that is not finite, or larger than 127 times the largest scale.
pub(crate) fn quantize(values: &[f32], shape: &[usize], axis: usize) -> Result<(Vec<i8>, Vec<f16>), f32> {
    let channels = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    let channel = |i: usize| i / inner % channels;
    let mut largest = vec![0.0f32; channels];
    for (i, value) in values.iter().enumerate() {
        if value.is_nan() || value.abs() > LARGEST_SCALE * LARGEST {
            return Err(*value);
        }
        let largest = &mut largest[channel(i)];
        *largest = largest.max(value.abs());
    }
    let scales: Vec<f16> = largest
        .iter()
        .map(|largest| rounded_up(largest / LARGEST))
        .collect();
    let whole = values.iter().enumerate().map(|(i, value)| {
        let scale = scales[channel(i)].to_f32();
        if scale == 0.0 {
            0
        } else {
            (value / scale).round_ties_even() as i8
        }
    });
    Ok((whole.collect(), scales))
}

/// The smallest f16 that is not below `value`, which is not negative.
fn rounded_up(value: f32) -> f16 {
    let nearest = f16::from_f32(value);
    match nearest.to_f32() < value {
        true => f16::from_bits(nearest.to_bits() + 1),
        false => nearest,
    }
}

/// The values of whole numbers, row-major of `shape`, whose `scales` have the shape `scale_shape`.
pub(crate) fn dequantize<T>(
    whole: &[u8],
    shape: &[usize],
    scales: &[f32],
    scale_shape: &[usize],
    as_stored: impl Fn(f32) -> T,
) -> Vec<T> {
    // With one scale for everything, any dimension is its dimension.
    let axis = scale_shape.iter().position(|size| *size != 1);
    let inner = axis.map_or(whole.len(), |axis| shape[axis + 1..].iter().product());
    let mut values = Vec::with_capacity(whole.len());
    for (channel, scale) in whole.chunks(inner.max(1)).zip(scales.iter().cycle()) {
        values.extend(
            channel
                .iter()
                .map(|whole| as_stored(f32::from(*whole as i8) * scale)),
        );
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_within_half_a_scale_on_any_axis() {
        let shape = [3, 4, 2];
        let values: Vec<f32> = (0..24u8).map(|i| (f32::from(i) - 11.0).powi(3) / 700.0).collect();
        for axis in 0..3 {
            let (whole, scales) = quantize(&values, &shape, axis).unwrap();
            assert_eq!(scales.len(), shape[axis]);
            let scales: Vec<f32> = scales.iter().map(|scale| scale.to_f32()).collect();
            let whole: Vec<u8> = whole.iter().map(|whole| *whole as u8).collect();
            let found = dequantize(&whole, &shape, &scales, &scale_shape(&shape, axis), |v| v);
            let inner: usize = shape[axis + 1..].iter().product();
            for (i, (found, value)) in found.iter().zip(&values).enumerate() {
                let scale = scales[i / inner % shape[axis]];
                assert!(
                    (found - value).abs() <= scale / 2.0,
                    "{axis} {i}: {found} for {value}"
                );
            }
            // The channel's largest value uses the whole range.
            let used = whole.iter().map(|whole| (*whole as i8).unsigned_abs()).max();
            assert_eq!(used, Some(127));
        }
    }

    #[test]
    fn a_channel_of_zeros_and_of_tiny_values_stays_finite() {
        let (whole, scales) = quantize(&[0.0, 0.0, 1e-9, -1e-9], &[2, 2], 0).unwrap();
        assert_eq!((&whole[..2], scales[0]), (&[0, 0][..], f16::ZERO));
        // The smallest f16 is far above these values.
        assert_eq!((&whole[2..], scales[1].to_bits()), (&[0, 0][..], 1));
    }

    #[test]
    fn what_f16_does_not_hold_is_refused() {
        for value in [65504.0, 65520.0, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(quantize(&[1.0, value], &[1, 2], 0), Err(value));
        }
        assert!(quantize(&[f32::NAN], &[1, 1], 0).unwrap_err().is_nan());
        let (_, scales) = quantize(&[64992.0], &[1, 1], 0).unwrap();
        assert!(scales[0].to_f32() <= LARGEST_SCALE);
    }
}
