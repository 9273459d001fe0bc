//! Files of mask prompts.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result};
use image::{DynamicImage, GrayImage};
use sam2_predict::{VideoError, object_in_mask_picture};

use crate::picture::{Raw, Samples, decode};

/// Reads the object from a mask's file, as 0 or 1 for each pixel. The object is where a value is at least half of the
/// file's largest (see [`object_in_mask_picture`]). In a palette of colours, every index except 0 is the object.
///
/// # Errors
/// The file is not a picture, or no pixel is on the object.
pub fn read(path: &Path) -> Result<GrayImage> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    object(&bytes).with_context(|| path.display().to_string())
}

fn object(bytes: &[u8]) -> Result<GrayImage> {
    let raw = decode(bytes)?;
    let indices = palette_labels(bytes)?;
    let Raw {
        width,
        height,
        channels,
        ..
    } = raw;
    let object = match (&indices, &raw.samples) {
        (Some(indices), _) => {
            let object: Vec<u8> = indices.iter().map(|&index| u8::from(index != 0)).collect();
            object.contains(&1).then_some(object)
        }
        (None, Samples::U8(values)) => object_in_mask_picture(values, channels),
        (None, Samples::U16(values)) => object_in_mask_picture(values, channels),
        (None, Samples::F32(values)) => object_in_mask_picture(values, channels),
    };
    let object = object.ok_or(VideoError::EmptyMask)?;
    let object = GrayImage::from_raw(width, height, object).context("the mask is incomplete")?;
    let mut object = DynamicImage::ImageLuma8(object);
    object.apply_orientation(raw.orientation);
    Ok(object.into_luma8())
}

/// The indices of a PNG whose palette gives objects different colours; `None` for any other picture. If the palette is
/// grey or has transparent entries, the colours themselves are the mask.
fn palette_labels(bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let Ok(mut reader) = decoder.read_info() else {
        return Ok(None); // not a PNG
    };
    let info = reader.info();
    let (Some(palette), None, None) = (&info.palette, &info.trns, &info.animation_control) else {
        return Ok(None);
    };
    if info.color_type != png::ColorType::Indexed {
        return Ok(None);
    }
    let palette = palette.to_vec();
    let (width, bits) = (info.width as usize, info.bit_depth as usize);
    let mut packed = vec![0; reader.output_buffer_size().context("the mask is too large")?];
    let line = reader
        .next_frame(&mut packed)
        .context("the file is cut or damaged")?
        .line_size;
    let index = |row: &[u8], x: usize| {
        let bit = x * bits;
        row[bit / 8] >> (8 - bits - bit % 8) & (0xFF >> (8 - bits)) as u8
    };
    let rows = packed.chunks_exact(line);
    let indices: Vec<u8> = rows
        .flat_map(|row| (0..width).map(move |x| index(row, x)))
        .collect();

    let mut used = [false; 256];
    indices.iter().for_each(|&index| used[usize::from(index)] = true);
    let mut entries = palette
        .as_chunks::<3>()
        .0
        .iter()
        .zip(used)
        .filter(|(_, used)| *used);
    let grey = entries.all(|([red, green, blue], _)| red == green && green == blue);
    Ok((!grey).then_some(indices))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG of two rows of four pixels.
    fn indexed(depth: png::BitDepth, palette: &[u8], rows: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 4, 2);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(depth);
        encoder.set_palette(palette.to_vec());
        encoder.write_header().unwrap().write_image_data(rows).unwrap();
        file
    }

    #[test]
    fn a_palette_of_colours_names_objects() {
        let (white_ground, davis) = ([255, 255, 255, 200, 0, 0], [0, 0, 0, 128, 0, 0]);
        for palette in [white_ground, davis] {
            let bytes = indexed(png::BitDepth::One, &palette, &[0b0110_0000, 0b0001_0000]);
            assert_eq!(object(&bytes).unwrap().into_raw(), [0, 1, 1, 0, 0, 0, 0, 1]);
            let bytes = indexed(png::BitDepth::Eight, &palette, &[0, 1, 1, 0, 0, 0, 0, 1]);
            assert_eq!(object(&bytes).unwrap().into_raw(), [0, 1, 1, 0, 0, 0, 0, 1]);
        }
        let several = [0, 0, 0, 128, 0, 0, 0, 128, 0, 64, 0, 0];
        let bytes = indexed(png::BitDepth::Two, &several, &[0b00_01_10_11, 0]);
        assert_eq!(object(&bytes).unwrap().into_raw(), [0, 1, 1, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_grey_palette_is_a_grey_picture() {
        // The object is white, which is the first entry.
        let bytes = indexed(
            png::BitDepth::One,
            &[255, 255, 255, 0, 0, 0],
            &[0b0110_0000, 0b1111_0000],
        );
        assert_eq!(object(&bytes).unwrap().into_raw(), [1, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn an_empty_mask_is_refused() {
        let bytes = indexed(png::BitDepth::One, &[0, 0, 0, 128, 0, 0], &[0, 0]);
        assert!(
            object(&bytes)
                .unwrap_err()
                .to_string()
                .contains("the mask is empty")
        );
    }
}
