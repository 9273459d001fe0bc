use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sam2_labels::{Id, Label, LabelsError, ReadPicture, read_labelme, write_labelme};
use serde_json::{Value, json};

use crate::drawn::{
    areas, distance, ellipse, mask_where, masks, noise, parts, picture, picture_of, saved, size,
};

/// A triangle, with other fields.
fn shape(changes: Value) -> Value {
    let mut shape = json!({
        "label": "cup", "points": [[10, 10], [20, 10], [20, 20]], "group_id": null, "shape_type": "polygon", "flags": {},
    });
    for (name, value) in changes.as_object().unwrap() {
        shape[name] = value.clone();
    }
    shape
}

fn file(shapes: &[Value]) -> Value {
    json!({
        "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": "shelf.jpg", "imageData": null,
        "imageHeight": 30, "imageWidth": 40,
    })
}

fn read(file: &Value) -> Result<ReadPicture, LabelsError> {
    read_labelme(file, |_| None, None)
}

fn png(width: u32, height: u32, pixels: &[u8]) -> String {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    BASE64_STANDARD.encode(file)
}

#[test]
fn comes_back_parts_as_a_group_and_holes_as_a_mask() {
    let written = write_labelme(&picture(), 0.0).unwrap();
    let kinds: Vec<_> = written
        .shapes
        .iter()
        .map(|shape| (shape.shape_type, shape.group_id.clone()))
        .collect();
    let group = |id: i64| Some(Id::from(id));
    assert_eq!(
        kinds,
        [
            ("polygon", group(11)),
            ("mask", group(5)),
            ("polygon", group(3)),
            ("polygon", group(3))
        ]
    );
    let saved = saved(&written);
    assert_eq!(
        (&saved["imagePath"], &saved["imageData"]),
        (&json!("shelf.jpg"), &Value::Null)
    );
    let read = read(&saved).unwrap();
    assert_eq!(read.warnings, [""; 0]);
    let mut kept = picture();
    kept.id = None;
    for label in &mut kept.labels {
        (label.crowd, label.score) = (false, None);
    }
    assert_eq!(read.picture, kept);
    let some = picture_of(vec![Label::new(noise(37, 29, 0.5, 1), "cup")]);
    let again = read_labelme(
        &crate::drawn::saved(&write_labelme(&some, 0.0).unwrap()),
        |_| None,
        None,
    )
    .unwrap();
    assert_eq!(masks(&again.picture.labels), masks(&some.labels));
}

#[test]
fn objects_without_an_id_stay_apart() {
    let labels = [parts(), ellipse(), parts()].map(|mask| Label::new(mask, "cup"));
    let picture = picture_of(labels.into());
    let read = read(&saved(&write_labelme(&picture, 0.0).unwrap())).unwrap();
    assert_eq!(masks(&read.picture.labels), masks(&picture.labels));
}

#[test]
fn reads_polygons_rectangles_circles_and_masks_in_any_order_of_fields() {
    let mask = png(3, 2, &[0, 1, 1, 0, 255, 0]);
    let bare = mask.trim_end_matches('=').to_owned();
    let in_lines = format!("data:image/png;base64,{}\n{}", &mask[..20], &mask[20..]);
    let file = file(&[
        json!({ "points": [[0, 0], [5, 0], [5, 4], [0, 4]], "label": "no type" }),
        shape(json!({ "shape_type": "rectangle", "points": [[20, 20], [10, 10]] })),
        shape(json!({ "shape_type": "rectangle", "points": [[1, 1], [3, 1], [3, 3], [1, 3]] })),
        shape(json!({ "shape_type": "circle", "points": [[20, 15], [20, 25]] })),
        shape(json!({ "shape_type": "circle", "points": [[0, 0], [0, 2]] })),
        shape(json!({ "shape_type": "mask", "points": [[38, 29], [40, 30]], "mask": mask })),
        shape(json!({ "shape_type": "mask", "points": [[5, 6], [7, 7]], "mask": bare })),
        shape(json!({ "shape_type": "mask", "points": [[-1, -1], [1, 0]], "mask": in_lines })),
        // Crosses itself.
        shape(json!({ "points": [[0, 0], [10, 10], [10, 0], [0, 10]] })),
    ]);
    let read = read(&file).unwrap();
    let round = mask_where(40, 30, |x, y| distance(x, y, [19.5, 14.5]) < 10.0);
    assert_eq!(read.warnings, [""; 0]);
    let labels = &read.picture.labels;
    assert_eq!(
        areas(labels),
        [20, 100, 4, sam2_labels::area(&round), 3, 1, 3, 1, 50]
    );
    assert_eq!(labels[0].category, "no type");
    assert_eq!(labels[3].mask, round);
    assert_eq!(sam2_labels::bounding_box(&labels[6].mask), Some([6, 6, 7, 7]));
}

#[test]
fn shapes_of_one_label_and_one_group_are_joined() {
    let at = |x: i64| json!([[x, 0], [x + 2, 0], [x + 2, 2], [x, 2]]);
    let file = file(&[
        shape(json!({ "group_id": 1, "points": at(0) })),
        shape(json!({ "group_id": 2, "points": at(4) })),
        shape(json!({ "group_id": 1, "points": at(8) })),
        shape(json!({ "label": "lid", "group_id": 1, "points": at(12) })),
        shape(json!({ "points": at(16) })),
        shape(json!({ "points": at(20) })),
    ]);
    let labels = read(&file).unwrap().picture.labels;
    let found: Vec<_> = labels
        .iter()
        .map(|label| (label.category.as_str(), label.id.clone()))
        .collect();
    let id = |id: i64| Some(Id::from(id));
    assert_eq!(
        found,
        [
            ("cup", id(1)),
            ("cup", id(2)),
            ("lid", id(1)),
            ("cup", None),
            ("cup", None)
        ]
    );
    assert_eq!(areas(&labels), [8, 4, 4, 4, 4]);
}

#[test]
fn what_is_no_area_is_passed_over_and_told() {
    let file = file(&[
        shape(json!({ "points": [[3, 3]] })),
        shape(json!({ "shape_type": "point", "points": [[3, 3]] })),
        shape(json!({ "shape_type": "linestrip" })),
        shape(json!({ "shape_type": "rectangle", "points": [[3, 3]] })),
        shape(json!({ "points": "none" })),
        shape(json!({ "shape_type": "mask", "mask": null })),
        shape(json!({ "points": [[1, 1], [2, null], [3, 3]] })),
        json!(7),
    ]);
    let read = read(&file).unwrap();
    assert_eq!(read.picture.labels, []);
    let expected = [
        "it is a polygon of 1 point",
        "a point of 1 points is no area",
        "a linestrip of 3 points is no area",
        "a rectangle of 1 points is no area",
        "its points are no pairs of numbers",
        "a mask of 3 points is no area",
        "its points are no pairs of numbers",
        "it is no object",
    ];
    for (i, (warning, why)) in read.warnings.iter().zip(expected).enumerate() {
        assert_eq!(*warning, format!("shape number {} is passed over: {why}", i + 1));
    }
    assert_eq!(read.warnings.len(), expected.len());
}

#[test]
fn a_missing_size_is_that_of_the_picture_in_the_file_or_as_it_is_given() {
    let mut without = file(&[shape(json!({}))]);
    for (height, width) in [
        (json!(null), json!(null)),
        (json!(30), json!(null)),
        (json!("a"), json!(40)),
    ] {
        (without["imageHeight"], without["imageWidth"]) = (height, width);
        assert!(matches!(read(&without), Err(LabelsError::NoSize { .. })));
    }
    without.as_object_mut().unwrap().remove("imageHeight");
    assert!(matches!(read(&without), Err(LabelsError::NoSize { .. })));
    let given = read_labelme(&without, |_| None, Some(size(40, 30))).unwrap();
    assert_eq!(given.picture.size, size(40, 30));
    without["imageData"] = json!(BASE64_STANDARD.encode("a picture"));
    let embedded = |bytes: &[u8]| (bytes == b"a picture").then(|| size(50, 20));
    let read = read_labelme(&without, embedded, Some(size(40, 30))).unwrap();
    assert_eq!(read.picture.size, size(50, 20));
}

#[test]
fn is_refused_where_it_is_no_such_file() {
    let masked = |mask: &str| file(&[shape(json!({ "shape_type": "mask", "mask": mask }))]);
    for bad in [
        json!([]),
        json!({}),
        json!({ "shapes": 3 }),
        masked("????"),
        masked(&BASE64_STANDARD.encode("no png")),
    ] {
        let error = read(&bad).unwrap_err();
        assert!(
            error.to_string().starts_with("this is no labelme file: "),
            "{error}"
        );
    }
    let mut huge = file(&[]);
    (huge["imageHeight"], huge["imageWidth"]) = (json!(1e6), json!(1e6));
    assert!(matches!(read(&huge), Err(LabelsError::PixelCount { .. })));
    let far = file(&[shape(json!({ "points": [[0, 0], [1e300, 0], [1, 1]] }))]);
    let error = read(&far).unwrap_err();
    assert!(
        error.to_string().starts_with("shape number 1: point 1 "),
        "{error}"
    );
}
