//! The values of a PNG as they stand in the file.

use std::io::Cursor;

use png::{ColorType, Transformations};

use crate::json::checked_size;
use crate::{LabelsError, Size};

/// A PNG's first samples of its pixels, row by row: indices of a palette, or grey.
pub struct Samples {
    pub size: Size,
    pub values: Vec<u16>,
}

impl Samples {
    /// # Errors
    /// The bytes are no PNG, its colours are no palette's, or it is too large.
    pub fn read(bytes: &[u8], format: &'static str) -> Result<Self, LabelsError> {
        let wrong = |reason: String| LabelsError::Format { format, reason };
        let unread = |error: png::DecodingError| wrong(format!("it is no PNG that can be read ({error})"));
        let mut decoder = png::Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(Transformations::IDENTITY);
        let mut reader = decoder.read_info().map_err(unread)?;
        let info = reader.info();
        // A few bytes may claim a picture that would take all memory.
        let size = checked_size("the PNG", info.width.into(), info.height.into())?;
        let channels = match info.color_type {
            ColorType::Indexed | ColorType::Grayscale => 1,
            ColorType::GrayscaleAlpha => 2,
            ColorType::Rgb | ColorType::Rgba => {
                let reason = "its pixels are colours, and not indices of a palette or grey levels";
                return Err(wrong(reason.into()));
            }
        };
        let bits = info.bit_depth as usize;
        let bytes = reader.output_buffer_size().unwrap_or_default();
        let mut packed = vec![0; bytes];
        let line = reader.next_frame(&mut packed).map_err(unread)?.line_size;
        let value = |row: &[u8], x: usize| match bits {
            16 => {
                let at = 2 * channels * x;
                u16::from_be_bytes([row[at], row[at + 1]])
            }
            8 => u16::from(row[channels * x]),
            _ => {
                let bit = x * bits;
                u16::from(row[bit / 8] >> (8 - bits - bit % 8)) & ((1 << bits) - 1)
            }
        };
        let rows = packed.chunks_exact(line).take(size.height());
        let values = rows.flat_map(|row| (0..size.width()).map(move |x| value(row, x)));
        Ok(Self {
            size,
            values: values.collect(),
        })
    }
}
