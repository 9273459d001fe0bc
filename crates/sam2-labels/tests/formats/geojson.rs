use sam2_labels::{Affine, Label, LabelsError, PIXELS, ReadPicture, area, read_geojson, write_geojson};
use serde_json::{Value, json};

use crate::drawn::{areas, drawn, noise, picture, picture_of, saved, size};

/// Pixels of half a metre, north up, as a GeoTIFF's.
const NORTH: Affine = [0.5, 0.0, 481_000.0, 0.0, -0.5, 5_450_000.0];
const TURNED: Affine = [0.3, -0.4, 12.0, 0.4, 0.3, -7.0];

fn read(file: &Value) -> Result<ReadPicture, LabelsError> {
    read_geojson(file, size(40, 30), PIXELS)
}

#[test]
fn comes_back_in_pixels_north_up_and_turned() {
    let mut kept = picture();
    (kept.file_name, kept.id) = (None, None);
    let some = picture_of(vec![Label::new(noise(37, 29, 0.5, 1), "a")]);
    for transform in [PIXELS, NORTH, TURNED] {
        for picture in [&kept, &some] {
            let file = saved(&write_geojson(picture, transform, 0.0).unwrap());
            let read = read_geojson(&file, picture.size, transform).unwrap();
            assert_eq!(read.warnings, [""; 0]);
            assert_eq!(read.picture, *picture);
        }
    }
}

#[test]
fn rings_are_closed_outlines_counterclockwise_in_the_maps_coordinates() {
    let label = Label {
        id: Some("r1".into()),
        ..Label::new(drawn(&["..", ".#"]), "roof")
    };
    let picture = picture_of(vec![label]);
    for (transform, xs, ys) in [
        (PIXELS, [1.0, 2.0], [1.0, 2.0]),
        (NORTH, [481_000.5, 481_001.0], [5_449_999.0, 5_449_999.5]),
    ] {
        let file = saved(&write_geojson(&picture, transform, 0.0).unwrap());
        let feature = &file["features"][0];
        assert_eq!(feature["id"], "r1");
        assert_eq!(feature["properties"], json!({ "category": "roof" }));
        let ring: Vec<[f64; 2]> =
            serde_json::from_value(feature["geometry"]["coordinates"][0][0].clone()).unwrap();
        assert_eq!(ring.len(), 5);
        assert_eq!(ring[0], ring[4]);
        let turn: f64 = ring
            .windows(2)
            .map(|edge| edge[0][0] * edge[1][1] - edge[1][0] * edge[0][1])
            .sum();
        assert!(turn > 0.0);
        let bounds = |axis: usize| {
            let values = || ring.iter().map(|point| point[axis]);
            [
                values().fold(f64::INFINITY, f64::min),
                values().fold(f64::NEG_INFINITY, f64::max),
            ]
        };
        assert_eq!((bounds(0), bounds(1)), (xs, ys));
    }
}

#[test]
fn reads_other_tools_bare_geometries_lists_heights_and_classes() {
    let square = json!([[[1, 1], [5, 1], [5, 4], [1, 4], [1, 1]]]);
    let polygon = json!({ "type": "Polygon", "coordinates": square });
    let feature = |changes: Value| {
        let mut feature = json!({ "type": "Feature", "geometry": polygon, "properties": {} });
        for (name, value) in changes.as_object().unwrap() {
            feature[name] = value.clone();
        }
        feature
    };
    let areas_in = |file: &Value| areas(&read(file).unwrap().picture.labels);
    assert_eq!(areas_in(&polygon), [12]);
    assert_eq!(
        areas_in(&json!({ "coordinates": [square], "type": "MultiPolygon" })),
        [12]
    );
    assert_eq!(areas_in(&feature(json!({}))), [12]);
    let collection = json!({
        "type": "GeometryCollection", "geometries": [polygon, { "type": "Point", "coordinates": [1, 2] }],
    });
    assert_eq!(areas_in(&collection), [12]);
    assert_eq!(areas_in(&feature(json!({ "geometry": collection }))), [12]);
    let with_heights = json!([[[1, 1, 99], [5, 1, 99], [5, 4, 99], [1, 4, 99], [1, 1, 99]]]);
    let list = json!([
        feature(json!({ "properties": { "classification": { "name": "Tumor", "color": [200, 0, 0] } }, "id": "a-b" })),
        feature(json!({ "properties": { "name": "x", "class": 3 } })),
        feature(json!({ "properties": null })),
        feature(json!({ "geometry": null, "properties": { "category": "none" } })),
        { "type": "Feature", "geometry": { "type": "Polygon", "coordinates": with_heights } },
    ]);
    let labels = read(&list).unwrap().picture.labels;
    let found: Vec<_> = labels
        .iter()
        .map(|label| (label.category.as_str(), area(&label.mask)))
        .collect();
    assert_eq!(
        found,
        [
            ("Tumor", 12),
            ("3", 12),
            ("object", 12),
            ("none", 0),
            ("object", 12)
        ]
    );
    assert_eq!(labels[0].id, Some("a-b".into()));
}

#[test]
fn points_lines_and_rings_that_are_none_are_passed_over_and_told() {
    let feature = |kind: &str, coordinates: Value| json!({ "type": "Feature", "geometry": { "type": kind, "coordinates": coordinates }, "properties": {} });
    let features = json!([
        feature("Point", json!([1, 2])),
        feature("LineString", json!([[1, 2]])),
        feature("Polygon", json!([[[1, 2], [3, 4]]])),
        feature("Polygon", json!("none")),
        7,
    ]);
    let read = read(&json!({ "type": "FeatureCollection", "features": features })).unwrap();
    assert_eq!(read.picture.labels, []);
    assert_eq!(
        read.warnings,
        [
            "feature number 1: its Point is no area, and passed over",
            "feature number 2: its LineString is no area, and passed over",
            "feature number 3: a ring that is not three points or more is passed over",
            "feature number 4: its Polygon is no area, and passed over",
            "feature number 5: it is no object",
        ]
    );
}

#[test]
fn is_refused_where_it_is_none_or_its_transform_has_no_way_back() {
    for bad in [
        json!(3),
        json!({}),
        json!({ "type": "Topology" }),
        json!([{ "type": "Topology" }]),
    ] {
        let error = read(&bad).unwrap_err();
        assert!(
            error.to_string().starts_with("this is no GeoJSON file: "),
            "{error}"
        );
    }
    for transform in [
        [1.0, 1.0, 0.0, 1.0, 1.0, 0.0],
        [f64::NAN, 0.0, 0.0, 0.0, 1.0, 0.0],
        [1.0, 0.0, f64::INFINITY, 0.0, 1.0, 0.0],
    ] {
        assert_eq!(
            write_geojson(&picture(), transform, 0.0),
            Err(LabelsError::Transform)
        );
        assert_eq!(
            read_geojson(&json!([]), size(40, 30), transform),
            Err(LabelsError::Transform)
        );
    }
    let far = json!({ "type": "Polygon", "coordinates": [[[0, 0], [1e300, 0], [1, 1]]] });
    let error = read(&far).unwrap_err();
    assert!(
        error.to_string().starts_with("feature number 1: point 1 "),
        "{error}"
    );
}
