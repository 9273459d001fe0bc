//! labelme's JSON: a file for each picture.

use std::collections::HashMap;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sam2_predict::Rle;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::json::{Coordinate, Fields, points_of, size_of};
use crate::mask::{Part, bounding_box, check_places, to_polygons, union};
use crate::samples::Samples;
use crate::{Id, Label, LabeledPicture, LabelsError, ReadPicture, Ring, Size, fill_even_odd};

/// The base64 of pictures: some tools leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A picture's labels, to be written as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelmeFile {
    /// Of labelme.
    pub version: String,
    /// None.
    pub flags: Map<String, Value>,
    /// The objects, or parts of them.
    pub shapes: Vec<LabelmeShape>,
    /// The name of the picture's file.
    pub image_path: String,
    /// None: the picture is a file of its own.
    pub image_data: Option<String>,
    /// In pixels.
    pub image_height: usize,
    /// In pixels.
    pub image_width: usize,
}

/// A polygon, or a mask within a box.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelmeShape {
    /// The name of its class.
    pub label: String,
    /// Of the polygon; of a mask the first and the last pixel of its box.
    pub points: Vec<[Coordinate; 2]>,
    /// The same for the parts of one object.
    pub group_id: Option<Id>,
    /// None.
    pub description: String,
    /// `polygon` or `mask`.
    pub shape_type: &'static str,
    /// None.
    pub flags: Map<String, Value>,
    /// A PNG in base64, of the box between the points.
    pub mask: Option<String>,
}

/// Reads a picture's labelme JSON: polygons, rectangles, circles and masks. Shapes of one label and one `group_id` are one
/// object, with that as its id. Overlaps within an outline are filled by the even-odd rule.
///
/// Lines and points, and polygons of fewer than three points, are passed over with a warning.
///
/// Where the file has neither `imageWidth` and `imageHeight` nor the picture itself, the picture has the size `given`.
/// `embedded` says the size of a picture that is in the file, from its bytes.
///
/// # Errors
/// The file is no such file, a picture in it is none, or the size is missing.
pub fn read_labelme(
    file: &Value,
    embedded: impl Fn(&[u8]) -> Option<Size>,
    given: Option<Size>,
) -> Result<ReadPicture, LabelsError> {
    let Some(shapes) = file.get("shapes").and_then(Value::as_array) else {
        return Err(LabelsError::Format {
            format: "labelme",
            reason: "it has no list of shapes".into(),
        });
    };
    let file_name = file.get("imagePath").and_then(Value::as_str).map(str::to_owned);
    let mut size = size_of(file.get("imageWidth"), file.get("imageHeight"))?;
    if size.is_none()
        && let Some(data) = file
            .get("imageData")
            .and_then(Value::as_str)
            .filter(|data| !data.is_empty())
    {
        size = embedded(&from_base64(data)?);
    }
    let size = size.or(given).ok_or_else(|| LabelsError::NoSize {
        picture: file_name.clone(),
    })?;
    let (mut labels, mut warnings): (Vec<Label>, Vec<String>) = (Vec::new(), Vec::new());
    let mut groups: HashMap<(String, Id), usize> = HashMap::new();
    for (index, shape) in shapes.iter().enumerate() {
        let name = format!("shape number {}", index + 1);
        let mask = match shape.as_object() {
            Some(shape) => read_shape(shape, size, &name)?,
            None => Err("it is no object".into()),
        };
        let mask = match mask {
            Ok(mask) => mask,
            Err(why) => {
                warnings.push(format!("{name} is passed over: {why}"));
                continue;
            }
        };
        let id_of = |name: &str| shape.get(name).and_then(Id::of);
        let category = id_of("label").map_or("object".into(), |label| label.to_string());
        let id = id_of("group_id");
        if let Some(group) = &id {
            let key = (category.clone(), group.clone());
            if let Some(&known) = groups.get(&key) {
                labels[known].mask = union(&[&labels[known].mask, &mask]);
                continue;
            }
            groups.insert(key, labels.len());
        }
        labels.push(Label {
            id,
            ..Label::new(mask, category)
        });
    }
    let picture = LabeledPicture {
        file_name,
        ..LabeledPicture::new(size, labels)
    };
    Ok(ReadPicture { picture, warnings })
}

/// A picture's labels as labelme JSON: polygons, those of one object with one `group_id`; masks where there are holes, which
/// labelme's polygons cannot have. An empty mask has no shape. `tolerance` is that of [`to_polygons`].
///
/// # Errors
/// A mask is not of its picture's size, or the tolerance is no distance.
pub fn write_labelme(picture: &LabeledPicture, tolerance: f64) -> Result<LabelmeFile, LabelsError> {
    picture.check()?;
    let ids: Vec<&Id> = picture
        .labels
        .iter()
        .filter_map(|label| label.id.as_ref())
        .collect();
    let mut free = (1..).map(Id::from).filter(|id| !ids.contains(&id));
    let mut shapes = Vec::new();
    for label in &picture.labels {
        let polygons = to_polygons(&label.mask, tolerance)?;
        let has_holes = polygons.iter().any(|rings| rings.len() > 1);
        let mut group_id = label.id.clone();
        if group_id.is_none() && polygons.len() > 1 && !has_holes {
            group_id = free.next();
        }
        let shape = LabelmeShape {
            label: label.category.clone(),
            points: Vec::new(),
            group_id,
            description: String::new(),
            shape_type: "polygon",
            flags: Map::new(),
            mask: None,
        };
        let points = |ring: &[[f64; 2]]| ring.iter().map(|point| point.map(Coordinate)).collect();
        if has_holes {
            let [x0, y0, x1, y1] = bounding_box(&label.mask)
                .unwrap_or_default()
                .map(|edge| edge as f64);
            shapes.push(LabelmeShape {
                shape_type: "mask",
                points: points(&[[x0, y0], [x1, y1]]),
                mask: Some(BASE64.encode(cropped(&label.mask))),
                ..shape
            });
        } else {
            shapes.extend(polygons.iter().flatten().map(|ring| LabelmeShape {
                points: points(ring),
                ..shape.clone()
            }));
        }
    }
    Ok(LabelmeFile {
        version: "5.5.0".into(),
        flags: Map::new(),
        shapes,
        image_path: picture.file_name.clone().unwrap_or_default(),
        image_data: None,
        image_height: picture.size.height(),
        image_width: picture.size.width(),
    })
}

/// A shape's mask; or why it has none.
///
/// # Errors
/// The PNG of a mask is none, or an outline is much too far out.
fn read_shape(shape: &Fields, size: Size, name: &str) -> Result<Result<Rle, String>, LabelsError> {
    let text = |field: &str| shape.get(field).and_then(Value::as_str);
    // Older files do not say the type.
    let kind = match shape.get("shape_type") {
        None | Some(Value::Null) => "polygon",
        Some(kind) => kind.as_str().unwrap_or("shape of an unknown kind"),
    };
    let Some(points) = points_of(shape.get("points")) else {
        return Ok(Err("its points are no pairs of numbers".into()));
    };
    check_places(&points, name)?;
    let filled = |ring: Ring| fill_even_odd(&[vec![ring]], size);
    Ok(Ok(match (kind, points.as_slice(), text("mask")) {
        ("polygon", [_, _, _, ..], _) | ("rectangle", [_, _, _, _], _) => filled(points),
        ("polygon", _, _) => {
            let s = if points.len() == 1 { "" } else { "s" };
            return Ok(Err(format!("it is a polygon of {} point{s}", points.len())));
        }
        ("rectangle", [[x0, y0], [x1, y1], ..], _) => filled(
            [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
                .map(|[x, y]| [*x, *y])
                .to_vec(),
        ),
        ("circle", [middle, edge, ..], _) => circle(*middle, *edge, size),
        ("mask", [first, ..], Some(png)) => placed(png, *first, size)?,
        _ => return Ok(Err(format!("a {kind} of {} points is no area", points.len()))),
    }))
}

fn circle([x, y]: [f64; 2], edge: [f64; 2], size: Size) -> Rle {
    let radius = f64::hypot(edge[0] - x, edge[1] - y);
    let clamp = |at: f64, side: usize| at.clamp(0.0, side as f64) as usize;
    let rows = clamp((y - radius).floor(), size.height())..clamp((y + radius).ceil(), size.height());
    let column = |at: f64| clamp((at - 0.5).ceil(), size.width());
    let mut part = Part::empty(
        column(x - radius).saturating_sub(1)..(column(x + radius) + 1).min(size.width()),
        rows.clone(),
    );
    for row in rows {
        let rest = radius.powi(2) - (row as f64 + 0.5 - y).powi(2);
        let half = rest.max(0.0).sqrt();
        part.set(row, column(x - half)..column(x + half));
    }
    part.to_mask(size)
}

/// A mask's PNG at its place in the picture; set is what is not 0.
fn placed(base64: &str, first: [f64; 2], size: Size) -> Result<Rle, LabelsError> {
    let crop = Samples::read(&from_base64(base64)?, "labelme")?;
    let [left, top] = first.map(|place| (place + 0.5).floor() as i64);
    let inside = |first: i64, length: usize, side: usize| {
        let clamp = |at: i64| at.clamp(0, side as i64) as usize;
        clamp(first)..clamp(first + length as i64)
    };
    let columns = inside(left, crop.size.width(), size.width());
    let rows = inside(top, crop.size.height(), size.height());
    let mut part = Part::empty(columns.clone(), rows.clone());
    for y in rows {
        let row = (y as i64 - top) as usize * crop.size.width();
        for x in columns.clone() {
            if crop.values[row + (x as i64 - left) as usize] != 0 {
                part.set(y, x..x + 1);
            }
        }
    }
    Ok(part.to_mask(size))
}

/// A PNG of the part of the picture where the mask is: 1 is set.
fn cropped(mask: &Rle) -> Vec<u8> {
    let part = Part::of(mask);
    let mut file = Vec::new();
    let (width, height) = (part.columns.len() as u32, part.rows.len() as u32);
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("a mask with holes has pixels");
    writer
        .write_image_data(&part.pixels)
        .expect("the pixels are as many as the header says");
    writer.finish().expect("a vector takes every byte");
    file
}

fn from_base64(text: &str) -> Result<Vec<u8>, LabelsError> {
    let data = match text.strip_prefix("data:") {
        Some(url) => url.split_once(',').map_or("", |(_, data)| data),
        None => text,
    };
    let data: Vec<u8> = data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(data).map_err(|error| LabelsError::Format {
        format: "labelme",
        reason: format!("a picture in it is no base64 ({error})"),
    })
}
