//! A picture's pixels, and their conversion to the network's input (`sam2.utils.transforms.SAM2Transforms`, for tensors).

use burn::tensor::{Device, Tensor, TensorData};
use sam2_resample::{Line, antialiased};

use super::ground::{ground, laid_on};
use crate::PredictError;

/// The number of pixels of the largest supported picture: 64 Mi, such as 8192 x 8192.
pub const MAX_PIXELS: usize = 64 << 20;

/// The mean of ImageNet's red, green and blue.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// The standard deviation of ImageNet's red, green and blue.
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// The layout of pixels in memory, with a byte for each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, alpha, not premultiplied. A picture that is not opaque is blended with a background
    /// ([`ground`]).
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

/// A borrowed picture: its rows from the top, without padding between them, in sRGB values.
#[derive(Clone, Copy, Debug)]
pub struct PictureRef<'a> {
    bytes: &'a [u8],
    format: PixelFormat,
    width: usize,
    height: usize,
    /// The background's grey level; `None` for an opaque picture.
    ground: Option<u8>,
}

impl<'a> PictureRef<'a> {
    /// A picture of `width` x `height` pixels.
    ///
    /// # Errors
    /// The picture is empty or too large, or the number of bytes does not match its size.
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
            ground: match format {
                PixelFormat::Rgb => None,
                PixelFormat::Rgba => ground(bytes),
            },
        })
    }

    /// Checks that a picture of this size is supported, for callers that have not decoded it yet.
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

    /// The width, in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The height, in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The grey level of the picture's background; `None` for an opaque picture.
    pub fn ground(&self) -> Option<u8> {
        self.ground
    }

    /// The picture with another background, such as that of a video's earlier frames. An opaque picture does not change.
    #[must_use]
    pub fn with_ground(mut self, ground: u8) -> Self {
        self.ground = self.ground.map(|_| ground);
        self
    }

    /// The bytes of a part of the picture: left, top, right, bottom, the last two exclusive.
    pub(crate) fn crop(&self, [x0, y0, x1, y1]: [usize; 4]) -> Vec<u8> {
        let channels = self.format.channels();
        let rows = self.bytes.chunks_exact(self.width * channels);
        let rows = rows.skip(y0).take(y1 - y0);
        rows.flat_map(|row| &row[x0 * channels..x1 * channels])
            .copied()
            .collect()
    }

    /// The picture of a part, from the bytes of [`Self::crop`], with the same background.
    pub(crate) fn part<'b>(
        &self,
        bytes: &'b [u8],
        [x0, y0, x1, y1]: [usize; 4],
    ) -> Result<PictureRef<'b>, PredictError> {
        let part = PictureRef::new(bytes, self.format, x1 - x0, y1 - y0)?;
        Ok(match self.ground {
            Some(ground) => part.with_ground(ground),
            None => part,
        })
    }

    /// Reads a line inside the picture: its red values, then the green, then the blue ones, from 0 to 255 and blended with the
    /// background. `values` has as many numbers.
    pub fn read<T: From<u8>>(&self, line: Line, values: &mut [T]) {
        let (first, step) = match line {
            Line::Row(y) => (y * self.width, 1),
            Line::Column(x) => (x, self.width),
        };
        let channels = self.format.channels();
        let length = values.len() / 3;
        let (red, rest) = values.split_at_mut(length);
        let (green, blue) = rest.split_at_mut(length);
        let pixels = self.bytes[first * channels..].chunks(step * channels);
        for (((pixel, red), green), blue) in pixels.zip(red).zip(green).zip(blue) {
            let color = match self.ground {
                None => [pixel[0], pixel[1], pixel[2]],
                Some(ground) => laid_on(ground, [pixel[0], pixel[1], pixel[2], pixel[3]]),
            };
            [*red, *green, *blue] = color.map(T::from);
        }
    }

    /// The network's input, `[1, 3, side, side]`: the picture, resized to a square by an antialiased bilinear filter and
    /// normalised. It is computed in f32 directly from the bytes, with memory for the network's resolution only.
    pub fn to_tensor(&self, side: usize, device: &Device) -> Tensor<4> {
        let read = |line, values: &mut [f32]| self.read(line, values);
        let values = antialiased(3, [self.height, self.width], [side; 2], &read);
        normalised(values, side, device)
    }
}

/// Normalises planes of red, green and blue from 0 to 255 for the network: `[1, 3, side, side]`.
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
