//! Reads TIFF files with values of more than 8 bits, including floats, as microscopes, satellites and scanners write
//! them.

use std::io::{Cursor, Read, Seek};

use anyhow::{Context, Result, ensure};
use image::metadata::Orientation;
use sam2_predict::PictureRef;
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use crate::output::note;
use crate::picture::{Raw, Samples};

const DAMAGED: &str = "the TIFF is cut or damaged: get the whole file again";

/// The first page's width and height, and how it is turned.
///
/// # Errors
/// The file is damaged.
pub fn header(file: impl Read + Seek) -> Result<(u32, u32, Orientation)> {
    let mut decoder = Decoder::new(file).context(DAMAGED)?;
    let (width, height) = decoder.dimensions().context(DAMAGED)?;
    Ok((width, height, orientation(&mut decoder)))
}

fn number(decoder: &mut Decoder<impl Read + Seek>, tag: Tag) -> Option<u16> {
    decoder.find_tag(tag).ok().flatten()?.into_u16().ok()
}

fn orientation(decoder: &mut Decoder<impl Read + Seek>) -> Orientation {
    number(decoder, Tag::Orientation)
        .and_then(|orientation| Orientation::from_exif(u8::try_from(orientation).ok()?))
        .unwrap_or(Orientation::NoTransforms)
}

/// The first page; `None` if it has 8 bits or fewer, or colours that need conversion. Prints a remark on standard error
/// if there are more pages.
///
/// # Errors
/// The file is cut short or damaged, or the picture is too large.
pub fn decode(bytes: &[u8]) -> Result<Option<Raw>> {
    let mut decoder = Decoder::new(Cursor::new(bytes))
        .context(DAMAGED)?
        .with_limits(Limits::unlimited());
    if decoder.more_images() {
        note!("sam2: this TIFF has several pages: the first is read");
    }
    let (width, height) = decoder.dimensions().context(DAMAGED)?;
    PictureRef::check_size(width as usize, height as usize)?;
    let (channels, bits) = match decoder.colortype().context(DAMAGED)? {
        ColorType::Gray(bits) => (1, bits),
        ColorType::GrayA(bits) => (2, bits),
        ColorType::RGB(bits) => (3, bits),
        ColorType::RGBA(bits) => (4, bits),
        _ => return Ok(None),
    };
    if bits <= 8 {
        return Ok(None);
    }
    let planar = number(&mut decoder, Tag::PlanarConfiguration) == Some(2);
    ensure!(
        channels == 1 || !planar,
        "this TIFF keeps its channels apart: save it with interleaved channels, or as PNG"
    );
    let orientation = orientation(&mut decoder);
    fn floats<T: Copy>(values: &[T], float: impl Fn(T) -> f32) -> Samples {
        Samples::F32(values.iter().map(|&value| float(value)).collect())
    }
    let white_is_zero = number(&mut decoder, Tag::PhotometricInterpretation) == Some(0);
    let mut values = decoder.read_image().context(DAMAGED)?;
    if white_is_zero {
        as_stored(&mut values);
    }
    let samples = match values {
        DecodingResult::U8(values) => Samples::U8(values),
        DecodingResult::U16(values) => Samples::U16(values),
        DecodingResult::U32(values) => floats(&values, |value| value as f32),
        DecodingResult::U64(values) => floats(&values, |value| value as f32),
        DecodingResult::F16(values) => floats(&values, |value| value.to_f32()),
        DecodingResult::F32(values) => Samples::F32(values),
        DecodingResult::F64(values) => floats(&values, |value| value as f32),
        DecodingResult::I8(values) => floats(&values, f32::from),
        DecodingResult::I16(values) => floats(&values, f32::from),
        DecodingResult::I32(values) => floats(&values, |value| value as f32),
        DecodingResult::I64(values) => floats(&values, |value| value as f32),
    };
    Ok(Some(Raw {
        width,
        height,
        channels,
        samples,
        white_is_zero,
        orientation,
    }))
}

/// The reader turns values of which the largest is black over as if they used all their bits: which they use would no
/// longer show.
fn as_stored(values: &mut DecodingResult) {
    match values {
        DecodingResult::U16(values) => values.iter_mut().for_each(|value| *value = !*value),
        DecodingResult::U32(values) => values.iter_mut().for_each(|value| *value = !*value),
        DecodingResult::U64(values) => values.iter_mut().for_each(|value| *value = !*value),
        DecodingResult::F32(values) => values.iter_mut().for_each(|value| *value = 1.0 - *value),
        DecodingResult::F64(values) => values.iter_mut().for_each(|value| *value = 1.0 - *value),
        _ => {} // It refuses others.
    }
}
