//! A picture's pixels, and how they become the network's input
//! (`sam2.utils.transforms.SAM2Transforms`, the tensor path).

use burn::tensor::{Device, Tensor, TensorData};
use sam2_resample::antialiased;

use super::ground::{ground, laid_on};
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
    /// Red, green, blue, alpha, not premultiplied. A picture that is not opaque is laid on a [`ground`].
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
    /// Of a picture that is not opaque.
    ground: Option<u8>,
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
            ground: match format {
                PixelFormat::Rgb => None,
                PixelFormat::Rgba => ground(bytes),
            },
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

    /// The grey level on which it is laid; none for an opaque picture.
    pub fn ground(&self) -> Option<u8> {
        self.ground
    }

    /// On another ground, such as that of a video's earlier frames; an opaque picture has none.
    #[must_use]
    pub fn with_ground(mut self, ground: u8) -> Self {
        self.ground = self.ground.map(|_| ground);
        self
    }

    /// The bytes of a part: left, top, right, bottom, the last two not included, inside the picture.
    pub(crate) fn crop(&self, [x0, y0, x1, y1]: [usize; 4]) -> Vec<u8> {
        let channels = self.format.channels();
        let rows = self.bytes.chunks_exact(self.width * channels);
        let rows = rows.skip(y0).take(y1 - y0);
        rows.flat_map(|row| &row[x0 * channels..x1 * channels])
            .copied()
            .collect()
    }

    /// The picture of a part, whose bytes are of [`Self::crop`]; on the same ground.
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

    /// Its colours, on the ground, through a filter.
    pub(crate) fn resized<T>(&self, resize: impl Resize<T>) -> Vec<T> {
        let from = [self.height, self.width];
        let channels = self.format.channels();
        let pixel = |y: usize, x: usize| &self.bytes[(y * self.width + x) * channels..];
        match self.ground {
            None => resize.of(from, |y, x| {
                let pixel = &pixel(y, x)[..3];
                [pixel[0], pixel[1], pixel[2]]
            }),
            Some(ground) => resize.of(from, |y, x| {
                let pixel = &pixel(y, x)[..4];
                laid_on(ground, [pixel[0], pixel[1], pixel[2], pixel[3]])
            }),
        }
    }

    /// The network's input, `[1, 3, side, side]`: squashed to a square by an antialiased bilinear filter,
    /// then normalised. Computed in f32 straight from the bytes, in memory of the network's side.
    pub fn to_tensor(&self, side: usize, device: &Device) -> Tensor<4> {
        normalised(self.resized(Antialiased(side)), side, device)
    }
}

/// A filter that is compiled once for opaque pictures and once for others.
pub(crate) trait Resize<T> {
    /// Planes of red, green and blue. `pixel(y, x)` gives the picture's, which is of `from`, `[height, width]`.
    fn of(self, from: [usize; 2], pixel: impl Fn(usize, usize) -> [u8; 3]) -> Vec<T>;
}

/// To so many pixels a side.
struct Antialiased(usize);

impl Resize<f32> for Antialiased {
    fn of(self, from: [usize; 2], pixel: impl Fn(usize, usize) -> [u8; 3]) -> Vec<f32> {
        antialiased(from, [self.0; 2], pixel)
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
