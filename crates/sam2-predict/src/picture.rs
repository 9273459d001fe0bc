//! A picture's pixels, and how they become the network's input
//! (`sam2.utils.transforms.SAM2Transforms`, the tensor path).

use burn::tensor::{Device, Tensor, TensorData};

use crate::PredictError;

/// The largest picture that is taken, in pixels: 64 Mi, such as 8192 x 8192.
pub const MAX_PIXELS: usize = 64 << 20;

/// ImageNet's, red, green, blue.
pub(crate) const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
pub(crate) const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// How pixels lie in memory, a byte a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, alpha; alpha is not looked at, as in the official code.
    Rgba,
}

impl PixelFormat {
    fn channels(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// A borrowed picture, rows from the top, no padding between them; sRGB values as they are.
#[derive(Clone, Copy, Debug)]
pub struct PictureRef<'a> {
    bytes: &'a [u8],
    format: PixelFormat,
    width: usize,
    height: usize,
}

impl<'a> PictureRef<'a> {
    /// # Errors
    /// The picture is empty, too large, or not of as many bytes as its size asks for.
    pub fn new(
        bytes: &'a [u8],
        format: PixelFormat,
        width: usize,
        height: usize,
    ) -> Result<Self, PredictError> {
        Self::check_size(width, height)?;
        let expected = width * height * format.channels();
        if bytes.len() != expected {
            return Err(PredictError::PictureBytes {
                width,
                height,
                expected,
                found: bytes.len(),
            });
        }
        Ok(Self {
            bytes,
            format,
            width,
            height,
        })
    }

    /// Whether a picture of this size would be taken, for callers that have not decoded it yet.
    ///
    /// # Errors
    /// The picture is empty or too large.
    pub fn check_size(width: usize, height: usize) -> Result<(), PredictError> {
        if width == 0 || height == 0 {
            return Err(PredictError::EmptyPicture { width, height });
        }
        match width.checked_mul(height) {
            Some(pixels) if pixels <= MAX_PIXELS => Ok(()),
            _ => Err(PredictError::PictureTooLarge { width, height }),
        }
    }

    /// In pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// In pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// One channel's values: 0 for red, 1 for green, 2 for blue.
    pub(crate) fn channel(&self, channel: usize) -> impl Iterator<Item = u8> {
        self.bytes
            .iter()
            .skip(channel)
            .step_by(self.format.channels())
            .copied()
    }

    /// The network's input, `[1, 3, side, side]`: squashed to a square by an antialiased bilinear filter,
    /// then normalised. Computed in f32 straight from the bytes, without an f32 copy of the whole picture.
    pub fn to_tensor(&self, side: usize, device: &Device) -> Tensor<4> {
        let columns = Filter::new(self.width, side);
        let rows = Filter::new(self.height, side);
        let channels = self.format.channels();

        // Rows first squeezed horizontally, planes of red, green and blue one after the other.
        let mut squeezed = vec![0f32; 3 * self.height * side];
        let plane = self.height * side;
        for (y, row) in self.bytes.chunks_exact(self.width * channels).enumerate() {
            for x in 0..side {
                let (start, weights) = columns.taps(x);
                let mut sum = [0f32; 3];
                for (pixel, weight) in row[start * channels..].chunks_exact(channels).zip(weights) {
                    for c in 0..3 {
                        sum[c] += f32::from(pixel[c]) * weight;
                    }
                }
                for c in 0..3 {
                    squeezed[c * plane + y * side + x] = sum[c];
                }
            }
        }

        let mut values = vec![0f32; 3 * side * side];
        for (c, out) in values.chunks_exact_mut(side * side).enumerate() {
            let plane = &squeezed[c * plane..(c + 1) * plane];
            for (y, out) in out.chunks_exact_mut(side).enumerate() {
                let (start, weights) = rows.taps(y);
                for (row, weight) in plane[start * side..].chunks_exact(side).zip(weights) {
                    for (value, pixel) in out.iter_mut().zip(row) {
                        *value += pixel * weight;
                    }
                }
                for value in out {
                    *value = (*value / 255.0 - MEAN[c]) / STD[c];
                }
            }
        }
        Tensor::from_data(TensorData::new(values, [1, 3, side, side]), device)
    }
}

/// A triangle filter as wide as the reduction, so that every source pixel counts
/// (`F.interpolate(mode="bilinear", antialias=True)`); plain bilinear where the picture grows.
struct Filter {
    starts: Vec<usize>,
    weights: Vec<f32>,
    /// Room for weights an output pixel; those beyond the source are zero.
    width: usize,
}

impl Filter {
    fn new(input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        let support = scale.max(1.0);
        let width = 2 * support.ceil() as usize + 1;
        let (mut starts, mut weights) = (Vec::with_capacity(output), vec![0f32; output * width]);
        for (i, taps) in weights.chunks_exact_mut(width).enumerate() {
            let centre = (i as f64 + 0.5) * scale;
            let start = ((centre - support + 0.5) as i64).max(0) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let triangle = |j: usize| (1.0 - ((j as f64 - centre + 0.5) / support).abs()).max(0.0);
            let total: f64 = (start..end).map(triangle).sum();
            for (tap, j) in taps.iter_mut().zip(start..end) {
                *tap = (triangle(j) / total) as f32;
            }
            starts.push(start);
        }
        Self {
            starts,
            weights,
            width,
        }
    }

    fn taps(&self, i: usize) -> (usize, &[f32]) {
        (
            self.starts[i],
            &self.weights[i * self.width..(i + 1) * self.width],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked_before_bytes() {
        assert!(matches!(
            PictureRef::check_size(0, 5),
            Err(PredictError::EmptyPicture { .. })
        ));
        assert!(matches!(
            PictureRef::check_size(12_000, 9_000),
            Err(PredictError::PictureTooLarge { .. })
        ));
        assert!(matches!(
            PictureRef::check_size(usize::MAX, 2),
            Err(PredictError::PictureTooLarge { .. })
        ));
        assert!(PictureRef::check_size(8192, 8192).is_ok());
        let bytes = [0; 11];
        assert!(matches!(
            PictureRef::new(&bytes, PixelFormat::Rgb, 2, 2),
            Err(PredictError::PictureBytes {
                expected: 12,
                found: 11,
                ..
            })
        ));
    }

    #[test]
    fn filters_keep_constants_and_cover_the_source() {
        for (input, output) in [(1, 7), (5, 5), (7, 3), (1000, 64), (3, 512)] {
            let filter = Filter::new(input, output);
            let mut covered = vec![false; input];
            for i in 0..output {
                let (start, weights) = filter.taps(i);
                assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                for (j, &weight) in weights.iter().enumerate() {
                    assert!(weight == 0.0 || start + j < input);
                    if weight > 0.0 {
                        covered[start + j] = true;
                    }
                }
            }
            assert!(covered.into_iter().all(|c| c), "{input} -> {output}");
        }
    }
}
