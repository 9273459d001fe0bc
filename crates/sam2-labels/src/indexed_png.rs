//! PNGs whose pixels are the labels' indices.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::mask::{of_runs, runs};
use crate::samples::Samples;
use crate::{Classes, Id, Label, LabeledPicture, LabelsError, ReadPicture};

/// Where PASCAL VOC has a border that is of no object.
pub const VOC_BORDER: u16 = 255;

/// A label in each pixel is one of so many; 0 is none.
const MOST_LABELS: usize = 255;

/// Reads a PNG whose pixels are the labels' indices: of a palette (DAVIS, PASCAL VOC, YouTube-VOS) or grey levels of up to
/// 16 bits. Each index but 0 is a label, and its id. `classes` are names by index; without one it is the index as text.
///
/// Indices of `ignore` are no label, and passed over with a warning.
///
/// # Errors
/// The bytes are no such PNG, or it is too large.
pub fn read_indexed_png(bytes: &[u8], classes: &Classes, ignore: &[u16]) -> Result<ReadPicture, LabelsError> {
    let Samples { size, values } = Samples::read(bytes, "indexed PNG")?;
    let (width, height) = (size.width(), size.height());
    let mut set: BTreeMap<u16, Vec<Range<usize>>> = BTreeMap::new();
    for x in 0..width {
        let column = values.iter().skip(x).step_by(width);
        for (y, &index) in column.enumerate().filter(|(_, index)| **index != 0) {
            let at = x * height + y;
            let runs = set.entry(index).or_default();
            match runs.last_mut() {
                Some(run) if run.end == at => run.end += 1,
                _ => runs.push(at..at + 1),
            }
        }
    }
    let (mut labels, mut warnings) = (Vec::new(), Vec::new());
    for (index, runs) in set {
        if ignore.contains(&index) {
            warnings.push(format!("index {index} is passed over, as a border"));
            continue;
        }
        let category = classes.get(&usize::from(index)).cloned();
        labels.push(Label {
            id: Some(Id::from(i64::from(index))),
            ..Label::new(of_runs(size, runs), category.unwrap_or_else(|| index.to_string()))
        });
    }
    let picture = LabeledPicture::new(size, labels);
    Ok(ReadPicture { picture, warnings })
}

/// A PNG with a palette, whose pixels are the labels' indices, in the colours of DAVIS and PASCAL VOC. A label's index is
/// its id where that is a whole number from 1 to 255, the first time; else the next free one. Where masks lie over one
/// another, the later label is on top.
///
/// # Errors
/// There are more than 255 labels, or a mask is not of its picture's size.
pub fn write_indexed_png(picture: &LabeledPicture) -> Result<Vec<u8>, LabelsError> {
    picture.check()?;
    let count = picture.labels.len();
    if count > MOST_LABELS {
        return Err(LabelsError::TooManyLabels { count });
    }
    let (width, height) = (picture.size.width(), picture.size.height());
    let mut pixels = vec![0; width * height];
    for (label, index) in picture.labels.iter().zip(indices(&picture.labels)) {
        for at in runs(&label.mask).flatten() {
            pixels[at % height * width + at / height] = index;
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette((0..=255).flat_map(voc_color).collect::<Vec<u8>>());
    let mut writer = encoder.write_header().expect("a vector takes every byte");
    writer
        .write_image_data(&pixels)
        .expect("the pixels are as many as the header says");
    writer.finish().expect("a vector takes every byte");
    Ok(file)
}

/// Each label's index.
fn indices(labels: &[Label]) -> Vec<u8> {
    let index = |label: &Label| {
        u8::try_from(label.id.as_ref()?.as_u64()?)
            .ok()
            .filter(|index| *index > 0)
    };
    let mut owner: HashMap<u8, usize> = HashMap::new();
    for (i, label) in labels.iter().enumerate() {
        if let Some(index) = index(label) {
            owner.entry(index).or_insert(i);
        }
    }
    let mut free = (1..=u8::MAX).filter(|index| !owner.contains_key(index));
    let own = |i: usize| index(&labels[i]).filter(|index| owner[index] == i);
    let indices = (0..labels.len()).map(|i| own(i).or_else(|| free.next()));
    indices
        .map(|index| index.expect("there are no more labels than indices"))
        .collect()
}

/// PASCAL VOC's colours, which have the index's bits spread over red, green and blue, the lowest in the highest.
fn voc_color(index: u8) -> [u8; 3] {
    let mut color = [0; 3];
    for bit in 0..8 {
        color[bit % 3] |= (index >> bit & 1) << (7 - bit / 3);
    }
    color
}
