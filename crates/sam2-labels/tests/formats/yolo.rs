use sam2_labels::{Classes, Label, LabelsError, read_yolo, write_yolo};

use crate::drawn::{areas, masks, noise, picture, picture_of, size};

fn classes(names: &[(usize, &str)]) -> Classes {
    names
        .iter()
        .map(|(number, name)| (*number, (*name).into()))
        .collect()
}

#[test]
fn comes_back_parts_and_holes_too() {
    let classes = classes(&[(0, "ring"), (1, "cup")]);
    let text = write_yolo(&picture(), &classes, 0.0).unwrap();
    let numbers: Vec<&str> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(numbers, ["1", "0", "1"]);
    let read = read_yolo(&text, size(40, 30), &classes).unwrap();
    assert_eq!(read.warnings, [""; 0]);
    let names: Vec<&str> = read
        .picture
        .labels
        .iter()
        .map(|label| label.category.as_str())
        .collect();
    assert_eq!(names, ["cup", "ring", "cup"]);
    assert_eq!(masks(&read.picture.labels), masks(&picture().labels));

    let some = noise(37, 29, 0.5, 1);
    let text = write_yolo(
        &picture_of(vec![Label::new(some.clone(), "3")]),
        &Classes::new(),
        0.0,
    )
    .unwrap();
    let read = read_yolo(&text, size(37, 29), &Classes::new()).unwrap();
    assert_eq!(read.picture.labels, [Label::new(some, "3")]);
}

#[test]
fn outlines_keep_within_a_tolerance() {
    let text = |tolerance| write_yolo(&picture(), &classes(&[(0, "ring"), (1, "cup")]), tolerance).unwrap();
    assert!(text(1.0).len() < text(0.0).len());
}

#[test]
fn reads_other_line_ends_blanks_a_score_and_numbers_for_names() {
    let text =
        "\u{FEFF}2\t0.25 0 0.75 0  0.75 1 0.25 1 \r\n\r\n1 .5 .5 1 .5 1 1 .5 1 0.875\r0,0,0,1,0,1,1,0,1,\n";
    let read = read_yolo(text, size(40, 30), &classes(&[(1, "cup")])).unwrap();
    let found: Vec<_> = read
        .picture
        .labels
        .iter()
        .map(|label| (label.category.as_str(), label.score))
        .collect();
    assert_eq!(found, [("2", None), ("cup", Some(0.875)), ("0", None)]);
    assert_eq!(areas(&read.picture.labels), [600, 300, 1200]);
    assert_eq!(read.warnings, [""; 0]);
}

#[test]
fn boxes_and_what_is_no_outline_are_passed_over_and_told() {
    let text = "0 .5 .5 .2 .2\n0 .5 .5\ncup 0 0 1 0 1 1\n-1 0 0 1 0 1 1\n0\n0 nan 0 1 0 1 1\n1.5 0 0 1 0 1 1";
    let read = read_yolo(text, size(40, 30), &Classes::new()).unwrap();
    assert_eq!(read.picture.labels, []);
    let numbers = "it is not a class's number and coordinates";
    let expected = [
        (1, "it is a box"),
        (2, "it has fewer than three points"),
        (3, numbers),
        (4, numbers),
        (5, "it has fewer than three points"),
        (6, numbers),
        (7, numbers),
    ];
    assert_eq!(
        read.warnings,
        expected.map(|(line, why)| format!("line {line} is passed over: {why}"))
    );
}

#[test]
fn is_refused_with_a_category_that_is_no_class_or_a_point_much_too_far_out() {
    let error = write_yolo(&picture(), &classes(&[(0, "cup")]), 0.0).unwrap_err();
    assert!(matches!(error, LabelsError::NoClass { .. }));
    assert_eq!(
        error.to_string(),
        r#""ring" is none of the classes (cup): add it to them"#
    );
    let error = read_yolo("0 0 0 1e300 0 1 1", size(40, 30), &Classes::new()).unwrap_err();
    assert!(error.to_string().starts_with("line 1: point 1 "), "{error}");
}
