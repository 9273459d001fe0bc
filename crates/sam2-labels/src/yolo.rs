//! YOLO segmentation labels: a text file for each picture.

use crate::join_rings::join_rings;
use crate::mask::{check_places, to_polygons};
use crate::{Classes, Label, LabeledPicture, LabelsError, ReadPicture, Ring, Size, fill_even_odd};

/// Reads a picture's labels: a line for each object, its class's number and its outline in parts of the picture's sides,
/// with a score at the end where a model wrote it. Outlines are filled by the even-odd rule.
///
/// Lines that are boxes, or no outline, are passed over with a warning. A class without a name is its number.
///
/// # Errors
/// An outline is much too far out of the picture.
pub fn read_yolo(text: &str, size: Size, classes: &Classes) -> Result<ReadPicture, LabelsError> {
    let (mut labels, mut warnings) = (Vec::new(), Vec::new());
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    for (index, line) in lines.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let mut pass_over = |why: &str| warnings.push(format!("line {} is passed over: {why}", index + 1));
        let Some((number, values)) = numbers(line) else {
            pass_over("it is not a class's number and coordinates");
            continue;
        };
        match values.len() {
            4 | 5 => pass_over("it is a box"),
            0..4 => pass_over("it has fewer than three points"),
            _ => {
                let (points, score) = values.as_chunks::<2>();
                let sides = [size.width() as f64, size.height() as f64];
                let ring: Ring = points.iter().map(|[x, y]| [x * sides[0], y * sides[1]]).collect();
                check_places(&ring, &format!("line {}", index + 1))?;
                let category = classes.get(&number).cloned();
                labels.push(Label {
                    score: score.first().copied(),
                    ..Label::new(
                        fill_even_odd(&[vec![ring]], size),
                        category.unwrap_or_else(|| number.to_string()),
                    )
                });
            }
        }
    }
    let picture = LabeledPicture::new(size, labels);
    Ok(ReadPicture { picture, warnings })
}

/// A class's number, and the values after it.
fn numbers(line: &str) -> Option<(usize, Vec<f64>)> {
    let words = line.split(|character: char| character.is_whitespace() || character == ',');
    let words = words.filter(|word| !word.is_empty());
    let finite = |word: &str| word.parse::<f64>().ok().filter(|value| value.is_finite());
    let mut values: Vec<f64> = words.map(finite).collect::<Option<_>>()?;
    let class = values
        .first()
        .filter(|class| **class >= 0.0 && class.fract() == 0.0);
    let class = *class? as usize;
    values.remove(0);
    Some((class, values))
}

/// A picture's labels, a line each. Parts and holes are joined to one outline by lines there and back. An empty mask has no
/// line. A category that is none of the classes may be its number as text. `tolerance` is that of [`to_polygons`].
///
/// # Errors
/// A category is no class, a mask is not of its picture's size, or the tolerance is no distance.
pub fn write_yolo(
    picture: &LabeledPicture,
    classes: &Classes,
    tolerance: f64,
) -> Result<String, LabelsError> {
    picture.check()?;
    let mut text = String::new();
    for label in &picture.labels {
        let category = label.category.as_str();
        let known = classes
            .iter()
            .find(|(_, name)| *name == category)
            .map(|(number, _)| *number);
        let is_number = !category.is_empty() && category.bytes().all(|byte| byte.is_ascii_digit());
        let as_text = || category.parse().ok().filter(|_| is_number);
        let number = known.or_else(as_text).ok_or_else(|| LabelsError::NoClass {
            category: category.into(),
            classes: classes.values().cloned().collect::<Vec<_>>().join(", "),
        })?;
        let Some(ring) = join_rings(&to_polygons(&label.mask, tolerance)?) else {
            continue;
        };
        text += &number.to_string();
        for [x, y] in ring {
            for part in [x / picture.size.width() as f64, y / picture.size.height() as f64] {
                // A hundredth of a pixel in a side of 10,000.
                let part = format!("{part:.6}");
                text += " ";
                text += part.trim_end_matches('0').trim_end_matches('.');
            }
        }
        text += "\n";
    }
    Ok(text)
}
