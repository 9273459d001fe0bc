//! Reads pictures as a viewer shows them: the first frame of an animation, rotated by the EXIF orientation, and with
//! values of more than 8 bits stretched to the range that they use.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use image::codecs::png::PngDecoder;
use image::metadata::Orientation;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};
use sam2_predict::{PictureRef, PixelFormat};

use crate::tiff_samples;

/// What is read, in a help's words. Not AVIF: `image` has only the C library dav1d for it, and its port rav1d only C's
/// interface.
pub const KINDS: &str = "JPEG, PNG, WebP, BMP, GIF or TIFF";

/// The values of black and white in a picture of more than 8 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    low: f64,
    high: f64,
}

/// Parses the argument of `--range`.
pub fn parse_range(text: &str) -> Result<Range, String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[low, high]) if low < high && low.is_finite() && high.is_finite() => Ok(Range { low, high }),
        _ => Err(format!("expected LOW,HIGH such as 0,4095, got `{text}`")),
    }
}

/// A picture with 8 bits for each channel, in its upright orientation.
pub struct Picture {
    image: DynamicImage,
    /// The range from which values were stretched; `None` if they had 8 bits.
    pub range: Option<Range>,
}

impl Picture {
    /// Reads a file. Without a `range`, it is found from the values.
    ///
    /// # Errors
    /// The file does not have one of the formats [`KINDS`], is cut short or damaged, or the picture is too large.
    pub fn read(path: &Path, range: Option<Range>) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        decode(&bytes)
            .and_then(|raw| raw.into_picture(range))
            .with_context(|| path.display().to_string())
    }

    /// `[width, height]`.
    pub fn size(&self) -> [usize; 2] {
        [self.image.width() as usize, self.image.height() as usize]
    }

    /// The picture for the predictors.
    pub fn as_ref(&self) -> Result<PictureRef<'_>> {
        let format = match self.image.color().has_alpha() {
            true => PixelFormat::Rgba,
            false => PixelFormat::Rgb,
        };
        let [width, height] = self.size();
        Ok(PictureRef::new(self.image.as_bytes(), format, width, height)?)
    }
}

/// The values of a file before they are stretched.
pub struct Raw {
    pub width: u32,
    pub height: u32,
    /// The number of channels: 1 for grey, 2 for grey with alpha, 3 for RGB, and 4 for RGB with alpha.
    pub channels: usize,
    pub samples: Samples,
    /// Whether the largest value is black.
    pub white_is_zero: bool,
    pub orientation: Orientation,
}

/// The values, row by row.
pub enum Samples {
    /// Values of 8 bits or fewer, stretched to 8.
    U8(Vec<u8>),
    /// Values of more than 8 bits, up to 16.
    U16(Vec<u16>),
    /// Any other values.
    F32(Vec<f32>),
}

/// Decodes a picture.
///
/// # Errors
/// The bytes do not have one of the formats [`KINDS`], are cut short or damaged, or the picture is too large.
pub fn decode(bytes: &[u8]) -> Result<Raw> {
    let format = format_of(bytes)?;
    if format == ImageFormat::Tiff
        && let Some(raw) = tiff_samples::decode(bytes)?
    {
        return Ok(raw);
    }
    ensure!(
        format != ImageFormat::Jpeg || ends_as_jpeg(bytes),
        "the file is cut: its end is missing. Get the whole file again"
    );
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format)
        .into_decoder()
        .map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    // The size is checked before any pixel is decoded, because a small file may claim to be a huge picture.
    PictureRef::check_size(width as usize, height as usize)?;
    // Metadata that cannot be read are ignored.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = match first_apng_frame(bytes, format)? {
        Some(frame) => frame,
        None => DynamicImage::from_decoder(decoder).map_err(damaged)?,
    };
    Ok(Raw::new(image, orientation))
}

/// The size of a file's picture as it is upright, from its header: no pixel is decoded.
///
/// # Errors
/// The file does not have one of the formats [`KINDS`], or is damaged, or the picture is too large.
pub fn upright_size(path: &Path) -> Result<[usize; 2]> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    upright_size_in(BufReader::new(file)).with_context(|| path.display().to_string())
}

/// The same of a file's bytes.
pub fn upright_size_in(mut file: impl BufRead + Seek) -> Result<[usize; 2]> {
    let mut start = Vec::new();
    file.by_ref().take(64).read_to_end(&mut start)?;
    file.rewind()?;
    let (width, height, orientation) = match format_of(&start)? {
        ImageFormat::Tiff => tiff_samples::header(file)?,
        format => {
            let mut decoder = ImageReader::with_format(file, format)
                .into_decoder()
                .map_err(damaged)?;
            let (width, height) = decoder.dimensions();
            let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
            (width, height, orientation)
        }
    };
    let size = [width as usize, height as usize];
    PictureRef::check_size(size[0], size[1])?;
    Ok(match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => [size[1], size[0]],
        _ => size,
    })
}

fn format_of(bytes: &[u8]) -> Result<ImageFormat> {
    // TIFF with 64-bit offsets.
    if bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+") {
        return Ok(ImageFormat::Tiff);
    }
    let unread = match image::guess_format(bytes) {
        Ok(format) if format.reading_enabled() => return Ok(format),
        _ if bytes.get(4..8) == Some(b"ftyp") => {
            let brands = &bytes[8..bytes.len().min(64)];
            match brands
                .windows(4)
                .any(|brand| brand == b"avif" || brand == b"avis")
            {
                true => "AVIF",
                false => "a video, or a picture as HEIC",
            }
        }
        Ok(format) => &format!("{format:?}"),
        Err(_) => bail!("not a picture that can be read: give {KINDS}"),
    };
    bail!("{unread} is not read: convert it to PNG first (`magick FILE out.png`), or give {KINDS}")
}

/// An animation's first frame: a PNG's default image need not be one, and then it is never shown.
fn first_apng_frame(bytes: &[u8], format: ImageFormat) -> Result<Option<DynamicImage>> {
    if format != ImageFormat::Png {
        return Ok(None);
    }
    let decoder = PngDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    if !decoder.is_apng().map_err(damaged)? {
        return Ok(None);
    }
    let frame = decoder.apng().map_err(damaged)?.into_frames().next();
    let frame = frame.context("the animation has no frames")?.map_err(damaged)?;
    Ok(Some(DynamicImage::ImageRgba8(frame.into_buffer())))
}

fn damaged(error: ImageError) -> anyhow::Error {
    anyhow::Error::new(error).context("the file is cut or damaged, or of a kind that is not read: get the whole file again, or convert it to PNG")
}

/// Whether a JPEG has its end marker. Decoders silently fill missing pixels with grey.
fn ends_as_jpeg(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END: u8 = 0xD9;
    let mut at = 2;
    let mut in_scan = false;
    while let Some(&[lead, marker]) = bytes.get(at..at + 2).and_then(|pair| pair.first_chunk()) {
        match (lead, marker) {
            (0xFF, END) => return true,
            // Stuffing, restarts and fill bytes, and everything in a scan that is not a marker.
            (0xFF, 0x00 | 0x01 | 0xD0..=0xD8) if in_scan => at += 2,
            (0xFF, 0x01 | 0xD0..=0xD8) => at += 2,
            (0xFF, 0xFF) => at += 1,
            (0xFF, marker) => {
                let Some(length) = bytes.get(at + 2..at + 4) else {
                    return false;
                };
                in_scan = marker == START_OF_SCAN;
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
            _ => at += 1,
        }
    }
    false
}

impl Raw {
    fn new(image: DynamicImage, orientation: Orientation) -> Self {
        let (width, height) = (image.width(), image.height());
        let channels = usize::from(image.color().channel_count());
        let samples = match image {
            DynamicImage::ImageLuma16(image) => Samples::U16(image.into_raw()),
            DynamicImage::ImageLumaA16(image) => Samples::U16(image.into_raw()),
            DynamicImage::ImageRgb16(image) => Samples::U16(image.into_raw()),
            DynamicImage::ImageRgba16(image) => Samples::U16(image.into_raw()),
            DynamicImage::ImageRgb32F(image) => Samples::F32(image.into_raw()),
            DynamicImage::ImageRgba32F(image) => Samples::F32(image.into_raw()),
            bytes => Samples::U8(bytes.into_bytes()),
        };
        Self {
            width,
            height,
            channels,
            samples,
            white_is_zero: false,
            orientation,
        }
    }

    fn into_picture(self, range: Option<Range>) -> Result<Picture> {
        let (channels, orientation) = (self.channels, self.orientation);
        let (mut bytes, range) = match self.samples {
            Samples::U8(bytes) => (bytes, None),
            Samples::U16(values) => {
                let range = range.unwrap_or_else(|| Range::of_u16(&values, channels));
                (
                    stretch(&values, channels, range, f64::from(u16::MAX)),
                    Some(range),
                )
            }
            Samples::F32(values) => {
                let range = range.unwrap_or_else(|| Range::of_f32(&values, channels));
                (stretch(&values, channels, range, 1.0), Some(range))
            }
        };
        if self.white_is_zero {
            bytes.iter_mut().for_each(|byte| *byte = 255 - *byte);
        }
        let image =
            from_bytes(self.width, self.height, channels, bytes).context("the picture is incomplete")?;
        // This makes no copy if the picture has this format already.
        let mut image = match image.color().has_alpha() {
            true => DynamicImage::ImageRgba8(image.into_rgba8()),
            false => DynamicImage::ImageRgb8(image.into_rgb8()),
        };
        image.apply_orientation(orientation);
        Ok(Picture { image, range })
    }
}

fn from_bytes(width: u32, height: u32, channels: usize, bytes: Vec<u8>) -> Option<DynamicImage> {
    Some(match channels {
        1 => DynamicImage::ImageLuma8(image::GrayImage::from_raw(width, height, bytes)?),
        2 => DynamicImage::ImageLumaA8(image::GrayAlphaImage::from_raw(width, height, bytes)?),
        3 => DynamicImage::ImageRgb8(image::RgbImage::from_raw(width, height, bytes)?),
        _ => DynamicImage::ImageRgba8(image::RgbaImage::from_raw(width, height, bytes)?),
    })
}

/// The colours, without alpha.
fn colours<T: Copy>(samples: &[T], channels: usize) -> impl Iterator<Item = T> {
    let colours = channels - usize::from(channels.is_multiple_of(2));
    samples
        .chunks_exact(channels)
        .flat_map(move |pixel| pixel[..colours].iter().copied())
}

impl Range {
    /// The range from 0 to the largest number with the bits of the largest value, because cameras and microscopes write
    /// 12 bits into 16.
    fn of_u16(samples: &[u16], channels: usize) -> Self {
        let largest = colours(samples, channels).max().unwrap_or(0);
        let bits = (u16::BITS - largest.leading_zeros()).max(8);
        Self {
            low: 0.0,
            high: f64::from((1u32 << bits) - 1),
        }
    }

    /// The range from 0, or the smallest value if that is negative, to the largest value.
    fn of_f32(samples: &[f32], channels: usize) -> Self {
        let finite = || colours(samples, channels).filter(|value| value.is_finite());
        Self {
            low: f64::from(finite().fold(0.0, f32::min)),
            high: f64::from(finite().fold(0.0, f32::max)),
        }
    }
}

/// Converts values to 8 bits: colours from a range, and alpha from 0 to `opaque`.
fn stretch<T: Copy + Into<f64>>(samples: &[T], channels: usize, range: Range, opaque: f64) -> Vec<u8> {
    let alpha = channels.is_multiple_of(2).then(|| channels - 1);
    let colour = |value: f64| (value - range.low) / (range.high - range.low);
    let byte = |(i, &value): (usize, &T)| {
        let value = value.into();
        let share = if Some(i % channels) == alpha {
            value / opaque
        } else {
            colour(value)
        };
        // NaN and values of an empty range are black.
        (share * 255.0).round().clamp(0.0, 255.0) as u8
    };
    samples.iter().enumerate().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_stretched_to_what_they_use() {
        let twelve = [0u16, 4095, 2048];
        let range = Range::of_u16(&twelve, 1);
        assert_eq!(
            range,
            Range {
                low: 0.0,
                high: 4095.0
            }
        );
        assert_eq!(stretch(&twelve, 1, range, 65_535.0), [0, 255, 128]);
        assert_eq!(Range::of_u16(&[1, 65_535], 1).high, 65_535.0);
        assert_eq!(Range::of_u16(&[0, 0, 9], 1).high, 255.0);
        // Alpha is not stretched to the range of the colours.
        let with_alpha = [1000u16, 65_535, 500, 0];
        let range = Range::of_u16(&with_alpha, 2);
        assert_eq!(range.high, 1023.0);
        assert_eq!(stretch(&with_alpha, 2, range, 65_535.0), [249, 255, 125, 0]);
        let floats = [f32::NAN, -1.0, 3.0, f32::INFINITY];
        let range = Range::of_f32(&floats, 1);
        assert_eq!(range, Range { low: -1.0, high: 3.0 });
        assert_eq!(stretch(&floats, 1, range, 1.0), [0, 0, 255, 255]);
        assert_eq!(stretch(&[0.0f32], 1, Range::of_f32(&[0.0], 1), 1.0), [0]);
    }

    /// As a page sees them too: its tests read the same files.
    #[test]
    fn pictures_of_every_kind_are_seen_as_they_are_to_be_seen() {
        #[derive(serde::Deserialize)]
        struct Expected {
            size: [usize; 2],
            within: u8,
            pixels: std::collections::BTreeMap<String, [u8; 4]>,
            only: Option<String>,
        }
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/pictures"));
        let text = fs::read(folder.join("expected.json")).unwrap();
        let all: std::collections::BTreeMap<String, Expected> = serde_json::from_slice(&text).unwrap();
        for (name, expected) in &all {
            let read = Picture::read(&folder.join(name), None);
            if expected.only.as_deref() == Some("page") {
                let error = read.err().map(|error| format!("{error:#}")).unwrap_or_default();
                assert!(
                    error.contains("AVIF is not read: convert it to PNG"),
                    "{name}: {error}"
                );
                continue;
            }
            let picture = read.unwrap();
            assert_eq!(picture.size(), expected.size, "{name}");
            assert_eq!(upright_size(&folder.join(name)).unwrap(), expected.size, "{name}");
            let rgba = picture.image.to_rgba8();
            for (at, right) in &expected.pixels {
                let (x, y) = at.split_once(',').unwrap();
                let found = rgba.get_pixel(x.parse().unwrap(), y.parse().unwrap()).0;
                // Colours that alpha hides are none.
                let visible = if right[3] == 0 { 3..4 } else { 0..4 };
                let worst = visible.map(|i| found[i].abs_diff(right[i])).max();
                assert!(
                    worst <= Some(expected.within),
                    "{name} at {at}: {found:?}, not {right:?}"
                );
            }
        }
        assert!(all.len() > 30);
    }

    #[test]
    fn ranges_are_two_numbers() {
        assert_eq!(
            parse_range("0, 4095"),
            Ok(Range {
                low: 0.0,
                high: 4095.0
            })
        );
        for wrong in ["", "5", "5,5", "9,1", "a,b", "0,inf", "1,2,3"] {
            assert!(parse_range(wrong).is_err(), "{wrong}");
        }
    }
}
