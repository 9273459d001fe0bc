//! A picture's pixels, and how they become the network's input
//! (`sam2.utils.transforms.SAM2Transforms`, the tensor path).

use burn::tensor::{Device, Tensor, TensorData};
use sam2_resample::antialiased;

use crate::PredictError;

/// The largest picture that is taken, in pixels: 64 Mi, such as 8192 x 8192.
pub const MAX_PIXELS: usize = 64 << 20;

/// ImageNet's, red, green, blue.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

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

    /// Red, green and blue of the pixel in row `y`, column `x`.
    pub(crate) fn rgb(&self, y: usize, x: usize) -> [u8; 3] {
        let at = (y * self.width + x) * self.format.channels();
        let pixel = &self.bytes[at..at + 3];
        [pixel[0], pixel[1], pixel[2]]
    }

    /// The network's input, `[1, 3, side, side]`: squashed to a square by an antialiased bilinear filter,
    /// then normalised. Computed in f32 straight from the bytes, in memory of the network's side.
    pub fn to_tensor(&self, side: usize, device: &Device) -> Tensor<4> {
        let pixel = |y, x| self.rgb(y, x);
        let values = antialiased([self.height, self.width], [side, side], pixel);
        normalised(values, side, device)
    }
}

/// Planes of red, green and blue from 0 to 255 as the network takes them: `[1, 3, side, side]`.
pub(crate) fn normalised(mut values: Vec<f32>, side: usize, device: &Device) -> Tensor<4> {
    for (c, plane) in values.chunks_exact_mut(side * side).enumerate() {
        for value in plane {
            *value = (*value / 255.0 - MEAN[c]) / STD[c];
        }
    }
    Tensor::from_data(TensorData::new(values, [1, 3, side, side]), device)
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
}
