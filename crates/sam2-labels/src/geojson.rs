//! GeoJSON, in pixels or in a map's coordinates.

use serde::Serialize;
use serde_json::Value;

use crate::json::{Coordinate, Fields, points_of};
use crate::mask::{check_places, to_polygons};
use crate::{Id, Label, LabeledPicture, LabelsError, Polygon, ReadPicture, Size, fill_even_odd};

/// From pixels to the map: `x' = a x + b y + c` and `y' = d x + e y + f`, as rasterio's `transform` is. (GDAL's
/// `GetGeoTransform` has the same numbers as `[c, a, b, f, d, e]`.) Pixel (0, 0) begins at (c, f).
pub type Affine = [f64; 6];

/// Coordinates are pixels, `y` downwards.
pub const PIXELS: Affine = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];

/// A picture's labels, to be written as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GeoJsonFile {
    /// `FeatureCollection`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The labels.
    pub features: Vec<Feature>,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Feature {
    /// `Feature`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The label's number or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// None of an empty mask.
    pub geometry: Option<Geometry>,
    /// What is known of the label.
    pub properties: Properties,
}

/// The outlines of a label and of its holes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Geometry {
    /// `MultiPolygon`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Rings of polygons; the last point of a ring is its first.
    pub coordinates: Vec<Vec<Vec<[Coordinate; 2]>>>,
}

/// What is known of a label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Properties {
    /// The name of its class.
    pub category: String,
    /// Many objects as one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub crowd: bool,
    /// How sure a model was, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// Reads GeoJSON: a collection, a feature, or a bare geometry. Each feature is a label; its category is the property
/// `category`, `classification` (also QuPath's, which has a `name`), `class`, `label` or `name`, in this order. Overlaps are
/// filled by the even-odd rule, and a feature without a geometry is an empty mask. `transform` goes from pixels to the
/// file's coordinates.
///
/// Points and lines, and rings of fewer than three points, are passed over with a warning.
///
/// # Errors
/// The file is no GeoJSON, the transform has no inverse, or a point is much too far out.
pub fn read_geojson(file: &Value, size: Size, transform: Affine) -> Result<ReadPicture, LabelsError> {
    let to_pixels = inverse(transform)?;
    let (mut labels, mut warnings) = (Vec::new(), Vec::new());
    for (index, feature) in features_of(file)?.into_iter().enumerate() {
        let name = format!("feature number {}", index + 1);
        let mut warn = |why: &str| warnings.push(format!("{name}: {why}"));
        if !feature.is_object() {
            warn("it is no object");
            continue;
        }
        // A bare geometry is a feature without properties.
        let geometry = if is_area(feature) {
            Some(feature)
        } else {
            feature.get("geometry")
        };
        let mut polygons: Vec<Polygon> = Vec::new();
        for rings in areas_of(geometry, &mut warn) {
            let mut polygon = Polygon::new();
            for ring in rings {
                match points_of(Some(ring)).filter(|points| points.len() >= 3) {
                    Some(points) => {
                        polygon.push(points.iter().map(|&point| apply(to_pixels, point)).collect())
                    }
                    None => warn("a ring that is not three points or more is passed over"),
                }
            }
            if !polygon.is_empty() {
                polygons.push(polygon);
            }
        }
        if polygons.is_empty() && geometry != Some(&Value::Null) {
            continue;
        }
        for ring in polygons.iter().flatten() {
            check_places(ring, &name)?;
        }
        let empty = Fields::new();
        let properties = feature
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        labels.push(Label {
            id: feature.get("id").and_then(Id::of),
            crowd: properties.get("crowd") == Some(&Value::Bool(true)),
            score: properties.get("score").and_then(Value::as_f64),
            ..Label::new(fill_even_odd(&polygons, size), category_of(properties))
        });
    }
    let picture = LabeledPicture::new(size, labels);
    Ok(ReadPicture { picture, warnings })
}

/// A picture's labels as GeoJSON: a feature each, with its category as a property. Outlines go counterclockwise, as RFC 7946
/// asks for. `transform` goes from pixels to the map, such as a GeoTIFF's. `tolerance` is that of [`to_polygons`], in pixels.
///
/// # Errors
/// The transform has no inverse, a mask is not of its picture's size, or the tolerance is no distance.
pub fn write_geojson(
    picture: &LabeledPicture,
    transform: Affine,
    tolerance: f64,
) -> Result<GeoJsonFile, LabelsError> {
    picture.check()?;
    inverse(transform)?; // refuses what cannot be read again
    let feature = |label: &Label| {
        let mut coordinates = Vec::new();
        for rings in to_polygons(&label.mask, tolerance)? {
            let rings = rings.iter().enumerate().map(|(i, ring)| {
                let mut points: Vec<[f64; 2]> = ring.iter().map(|&point| apply(transform, point)).collect();
                if turns_left(&points) != (i == 0) {
                    points.reverse();
                }
                let closed = points.iter().chain(points.first());
                closed.map(|point| point.map(Coordinate)).collect()
            });
            coordinates.push(rings.collect());
        }
        Ok(Feature {
            kind: "Feature",
            id: label.id.clone(),
            geometry: (!coordinates.is_empty()).then_some(Geometry {
                kind: "MultiPolygon",
                coordinates,
            }),
            properties: Properties {
                category: label.category.clone(),
                crowd: label.crowd,
                score: label.score,
            },
        })
    };
    Ok(GeoJsonFile {
        kind: "FeatureCollection",
        features: picture
            .labels
            .iter()
            .map(feature)
            .collect::<Result<_, LabelsError>>()?,
    })
}

/// The features of a file, and bare geometries.
fn features_of(file: &Value) -> Result<Vec<&Value>, LabelsError> {
    match (file, file.get("features")) {
        // QuPath also writes a bare list.
        (Value::Array(list), _) => {
            let lists = list.iter().map(features_of).collect::<Result<Vec<_>, _>>()?;
            Ok(lists.concat())
        }
        (_, Some(Value::Array(features))) if kind_of(file) == "FeatureCollection" => {
            Ok(features.iter().collect())
        }
        _ if kind_of(file) == "Feature" || is_area(file) => Ok(vec![file]),
        _ => Err(LabelsError::Format {
            format: "GeoJSON",
            reason: r#"its type is none of "FeatureCollection", "Feature", "Polygon" and "MultiPolygon""#
                .into(),
        }),
    }
}

fn kind_of(value: &Value) -> &str {
    value.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn is_area(value: &Value) -> bool {
    ["Polygon", "MultiPolygon", "GeometryCollection"].contains(&kind_of(value))
}

/// The rings of each polygon of a geometry.
fn areas_of<'a>(geometry: Option<&'a Value>, warn: &mut impl FnMut(&str)) -> Vec<&'a [Value]> {
    let Some(geometry) = geometry.filter(|geometry| geometry.is_object()) else {
        return Vec::new();
    };
    let list = |name: &str| geometry.get(name).and_then(Value::as_array);
    if let ("GeometryCollection", Some(geometries)) = (kind_of(geometry), list("geometries")) {
        let each = geometries.iter().map(|each| areas_of(Some(each), warn));
        return each.collect::<Vec<_>>().concat();
    }
    let rings = |polygon: &'a Value| polygon.as_array().map(Vec::as_slice);
    let polygons: Option<Vec<&[Value]>> = match kind_of(geometry) {
        "Polygon" => geometry
            .get("coordinates")
            .and_then(rings)
            .map(|rings| vec![rings]),
        "MultiPolygon" => list("coordinates").and_then(|polygons| polygons.iter().map(rings).collect()),
        _ => None,
    };
    polygons.unwrap_or_else(|| {
        warn(&format!("its {} is no area, and passed over", kind_of(geometry)));
        Vec::new()
    })
}

fn category_of(properties: &Fields) -> String {
    let names = ["category", "classification", "class", "label", "name"];
    let name = names.iter().find_map(|key| {
        let value = properties.get(*key)?;
        Id::of(value.get("name").unwrap_or(value))
    });
    name.map_or("object".into(), |name| name.to_string())
}

fn apply([a, b, c, d, e, f]: Affine, [x, y]: [f64; 2]) -> [f64; 2] {
    [a * x + b * y + c, d * x + e * y + f]
}

fn inverse(transform: Affine) -> Result<Affine, LabelsError> {
    let [a, b, c, d, e, f] = transform;
    let determinant = a * e - b * d;
    if !transform.iter().all(|value| value.is_finite()) || determinant == 0.0 {
        return Err(LabelsError::Transform);
    }
    Ok([
        e / determinant,
        -b / determinant,
        (b * f - c * e) / determinant,
        -d / determinant,
        a / determinant,
        (c * d - a * f) / determinant,
    ])
}

/// Counterclockwise where `y` goes upwards.
fn turns_left(ring: &[[f64; 2]]) -> bool {
    let Some(&[x0, y0]) = ring.first() else {
        return false;
    };
    let ends = ring.iter().cycle().skip(1);
    let area = ring
        .iter()
        .zip(ends)
        .map(|(&[x, y], &[u, v])| (x - x0) * (v - y0) - (u - x0) * (y - y0));
    area.sum::<f64>() > 0.0
}
