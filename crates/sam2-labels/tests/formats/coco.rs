use sam2_labels::{
    Category, CocoFile, CocoLabels, Id, Label, LabeledPicture, LabelsError, Segmentation, Size, area,
    parse_json, read_coco, write_coco,
};
use serde_json::{Value, json};

use crate::drawn::{areas, drawn, ellipse, picture, picture_of, pycocotools, ring, saved, size};

fn read(file: &Value) -> Result<CocoLabels, LabelsError> {
    read_coco(file, |_| None)
}

fn image() -> Value {
    json!({ "id": 7, "width": 40, "height": 30, "file_name": "shelf.jpg" })
}

fn square() -> Value {
    json!([10, 10, 20, 10, 20, 20, 10, 20])
}

/// An annotation of a square, with other fields.
fn annotation(changes: Value) -> Value {
    let mut annotation =
        json!({ "id": 1, "image_id": 7, "category_id": 4, "segmentation": [square()], "iscrowd": 0 });
    for (name, value) in changes.as_object().unwrap() {
        annotation[name] = value.clone();
    }
    annotation
}

fn lying() -> Value {
    json!({ "size": [30, 40], "counts": [3] })
}

fn rle(mask: &sam2_predict::Rle) -> Value {
    json!({ "size": [mask.height(), mask.width()], "counts": mask.to_compressed() })
}

#[test]
fn comes_back_with_its_ids_categories_and_crowds() {
    let category = |id: i64, name: &str, supercategory: Option<&str>| Category {
        id: Id::from(id),
        name: name.into(),
        supercategory: supercategory.map(str::to_owned),
    };
    let categories = [category(90, "ring", Some("round")), category(2, "unused", None)];
    for polygons in [None, Some(0.0)] {
        let file: CocoFile = write_coco(&[picture()], &categories, polygons).unwrap();
        let first = &file.annotations[0];
        assert_eq!((&first.id, &first.image_id), (&Id::from(11), &Id::from(7)));
        assert_eq!((first.area, first.iscrowd), (area(&ellipse()), 0));
        assert_eq!(file.annotations[2].bbox, [0, 25, 40, 5]);
        assert_eq!(file.annotations[2].iscrowd, 1);
        let are_polygons: Vec<bool> = file
            .annotations
            .iter()
            .map(|annotation| matches!(annotation.segmentation, Segmentation::Polygons(_)))
            .collect();
        assert_eq!(are_polygons, [polygons.is_some(), false, false]);
        let read = read(&saved(&file)).unwrap();
        let all = [&categories[..], &[category(1, "cup", None)]].concat();
        assert_eq!(read.categories, all);
        assert_eq!(read.warnings, [""; 0]);
        assert_eq!(read.pictures, [picture()]);
    }
}

#[test]
fn polygons_are_the_masks_of_pycocotools_to_the_pixel() {
    let file = pycocotools();
    let made = file["polygons"].as_array().unwrap();
    assert!(made.len() > 30);
    for made in made {
        let rings = made["rings"].as_array().unwrap().iter();
        let flat = rings.map(|ring| {
            ring.as_array()
                .unwrap()
                .iter()
                .flat_map(|p| p.as_array().unwrap())
                .collect()
        });
        let flat: Vec<Vec<&Value>> = flat.collect();
        let file = json!({
            "images": [{ "id": 1, "width": made["width"], "height": made["height"] }],
            "annotations": [{ "image_id": 1, "category_id": 1, "segmentation": flat }],
        });
        let read = read(&file).unwrap();
        let mask = &read.pictures[0].labels[0].mask;
        assert_eq!(mask.to_compressed(), made["text"].as_str().unwrap());
        assert_eq!(json!(area(mask)), made["area"]);
    }
}

#[test]
fn numbers_are_read_exactly_before_they_are_rounded() {
    for number in [1.0999999999999999, 9.299999999999999, 9.899999999999999] {
        let read = parse_json(number.to_string().as_bytes(), "COCO").unwrap();
        assert_eq!(read.as_f64(), Some(number));
    }
}

#[test]
fn polygons_far_out_cost_no_more_and_too_far_out_are_refused() {
    let with = |far: f64| {
        let polygon = json!([[-far, -far, far, -far, far, far, -far, far]]);
        json!({ "images": [image()], "annotations": [annotation(json!({ "segmentation": polygon }))] })
    };
    assert_eq!(areas(&read(&with(1e9)).unwrap().pictures[0].labels), [1200]);
    let error = read(&with(1e300)).unwrap_err();
    assert!(error.to_string().contains("annotation 1: point 0"), "{error}");
}

#[test]
fn reads_other_orders_of_fields_ids_of_text_lengths_of_numbers_and_a_mark_before_the_text() {
    let ellipse = ellipse();
    let file = json!({
        "annotations": [
            {
                "segmentation": { "counts": ellipse.counts(), "size": [30, 40] },
                "iscrowd": 1, "image_id": "7", "category_id": "4", "area": 0, "attributes": {},
            },
            annotation(json!({ "id": "b", "category_id": 9, "segmentation": square() })),
        ],
        "licenses": [],
        "categories": [{ "name": "cup", "id": 4.0 }],
        "images": [{ "license": 3, "file_name": "shelf.jpg", "height": "30", "width": 40.0, "id": 7 }],
    });
    let marked = [b"\xEF\xBB\xBF", file.to_string().as_bytes()].concat();
    let read = read(&parse_json(&marked, "COCO").unwrap()).unwrap();
    let [first, second] = &read.pictures[0].labels[..] else {
        panic!("{read:?}")
    };
    assert_eq!((first.category.as_str(), first.crowd), ("cup", true));
    assert_eq!(
        (second.category.as_str(), &second.id),
        ("9", &Some(Id::from("b")))
    );
    assert_eq!((&first.mask, area(&second.mask)), (&ellipse, 100));
}

#[test]
fn what_is_no_mask_is_passed_over_and_told() {
    let other = |id: i64, segmentation: Value| annotation(json!({ "id": id, "segmentation": segmentation }));
    let file = json!({
        "images": [image(), { "file_name": "no-id.jpg" }, { "id": 8, "width": 3, "height": 2 }, { "id": 9 }],
        "annotations": [
            other(1, json!([[5, 5], square()])),
            other(2, json!([[5, 5]])),
            other(3, json!([])),
            other(4, json!([[1, 2, 3, 4]])),
            other(5, json!([[10, 10, 20, 10, 20, 20, 3]])),
            annotation(json!({ "id": 6, "image_id": 99 })),
            annotation(json!({ "id": 7, "image_id": 8, "segmentation": rle(&ellipse()) })),
            other(8, Value::Null),
            other(9, json!([["a", 1, 2, 3, 4, 5]])),
            null,
        ],
    });
    let read = read(&file).unwrap();
    let found: Vec<_> = read
        .pictures
        .iter()
        .map(|p| (p.id.clone().unwrap(), areas(&p.labels)))
        .collect();
    assert_eq!(found, [(Id::from(7), vec![100]), (Id::from(8), vec![])]);
    let expected = [
        "a picture without an id is passed over",
        "annotation 1: a polygon that is not three points or more is passed over",
        "annotation 2: a polygon",
        "annotation 2 is passed over: it has no mask",
        "annotation 3 is passed over: it has no mask",
        "annotation 4: a polygon",
        "annotation 4 is passed over: it has no mask",
        "annotation 5: a polygon",
        "annotation 5 is passed over: it has no mask",
        "annotation 6 is passed over: there is no picture 99",
        "annotation 7 is passed over: its mask is 40x30 pixels, and its picture 3x2",
        "annotation 8 is passed over: it has no mask",
        "annotation 9: a polygon",
        "annotation 9 is passed over: it has no mask",
        "annotation number 10 is passed over: it is no object",
        "picture 9 is passed over: it has no size, and no labels",
    ];
    assert_eq!(read.warnings.len(), expected.len(), "{:#?}", read.warnings);
    for (warning, expected) in read.warnings.iter().zip(expected) {
        assert!(warning.starts_with(expected), "{warning}, not {expected}");
    }
}

#[test]
fn reads_lists_of_results_and_a_pictures_file_of_sa_1b() {
    let results = json!([{ "image_id": 3, "category_id": 1, "segmentation": rle(&ring()), "score": 0.25 }]);
    let pictures = read(&results).unwrap().pictures;
    assert_eq!((pictures.len(), pictures[0].size), (1, size(40, 30)));
    assert_eq!(pictures[0].id, Some(Id::from(3)));
    let label = &pictures[0].labels[0];
    assert_eq!((label.score, label.category.as_str()), (Some(0.25), "1"));

    let file = json!({
        "image": { "image_id": 7, "width": 40, "height": 30, "file_name": "shelf.jpg" },
        "annotations": [{ "id": 5, "segmentation": rle(&ring()), "predicted_iou": 0.75 }],
    });
    let pictures = read(&file).unwrap().pictures;
    let right = LabeledPicture {
        labels: vec![Label {
            id: Some(Id::from(5)),
            score: Some(0.75),
            ..Label::new(ring(), "object")
        }],
        ..picture()
    };
    assert_eq!(pictures, [right]);
}

#[test]
fn reads_the_records_of_a_mask_generator() {
    let record = |mask| json!({ "segmentation": rle(mask), "predicted_iou": 0.5, "stability_score": null });
    let read = read(&json!([record(&ring()), record(&ellipse())])).unwrap();
    assert_eq!(read.warnings, [""; 0]);
    let [picture] = &read.pictures[..] else {
        panic!("{read:?}")
    };
    assert_eq!(
        (&picture.id, &picture.file_name, picture.size),
        (&None, &None, size(40, 30))
    );
    assert_eq!(picture.labels.len(), 2);
    assert_eq!(picture.labels[1].score, Some(0.5));
}

#[test]
fn asks_for_a_size_that_is_missing_and_takes_it_of_run_lengths() {
    let with = |annotation: Value| json!({ "images": [{ "id": 7, "file_name": "shelf.jpg" }], "annotations": [annotation] });
    let file = with(annotation(json!({})));
    let error = read(&file).unwrap_err();
    assert_eq!(
        error,
        LabelsError::NoSize {
            picture: Some("shelf.jpg".into())
        }
    );
    let asked = |name: &str| (name == "shelf.jpg").then(|| Size::new(40, 30).unwrap());
    assert_eq!(areas(&read_coco(&file, asked).unwrap().pictures[0].labels), [100]);
    let file = with(annotation(json!({ "segmentation": rle(&ring()) })));
    assert_eq!(read(&file).unwrap().pictures[0].size, size(40, 30));
}

#[test]
fn is_refused_where_it_is_no_such_file_or_its_run_lengths_lie() {
    for text in ["", "{", "[1", "\"a"] {
        let error = parse_json(text.as_bytes(), "COCO").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("this is no COCO file: it is no JSON (")
        );
    }
    for file in [
        json!(3),
        json!(null),
        json!({}),
        json!({ "annotations": 3 }),
        json!({ "images": [] }),
    ] {
        assert!(matches!(read(&file), Err(LabelsError::Format { .. })), "{file}");
    }
    let error = |segmentation: Value| {
        let annotation = annotation(json!({ "id": 81, "segmentation": segmentation }));
        read(&json!({ "images": [image()], "annotations": [annotation] })).unwrap_err()
    };
    assert_eq!(
        error(lying()).to_string(),
        "annotation 81: not a COCO run-length encoding of 40x30 pixels: the runs do not add up to the size"
    );
    assert!(matches!(
        error(json!({ "size": [1e6, 1e6], "counts": [3] })),
        LabelsError::PixelCount { width: 1_000_000, .. }
    ));
    for wrong in [
        json!({ "size": [30], "counts": [1200] }),
        json!({ "size": [0, 0], "counts": [] }),
        json!({ "size": ["a", 2], "counts": [4] }),
        json!({ "counts": [1200] }),
        json!({ "size": [30, 40] }),
        json!({ "size": [30, 40], "counts": [1205, -5] }),
        json!({ "size": [30, 40], "counts": [1199.5, 0.5] }),
        json!({ "size": [30, 40], "counts": [1, "1199"] }),
        json!({ "size": [30, 40], "counts": [1e300] }),
    ] {
        let error = error(wrong.clone());
        assert!(matches!(error, LabelsError::Mask { .. }), "{wrong}: {error}");
        assert!(error.to_string().starts_with("annotation 81: "));
    }
    // Without an id, by its place.
    let mut nameless = annotation(json!({ "segmentation": lying() }));
    nameless.as_object_mut().unwrap().remove("id");
    let error = read(&json!([nameless])).unwrap_err();
    assert!(error.to_string().starts_with("annotation number 1: "));
}

#[test]
fn runs_of_no_length_are_none() {
    let counts = json!({ "size": [2, 2], "counts": [1, 0, 1, 2, 0, 0] });
    let read = read(&json!([annotation(json!({ "segmentation": counts }))])).unwrap();
    assert_eq!(read.pictures[0].labels[0].mask.counts(), [2, 2]);
}

#[test]
fn categories_stay_apart_that_have_one_name() {
    let file = json!({
        "images": [image()],
        "categories": [{ "id": 0, "name": "plant" }, { "id": 1, "name": "plant" }, { "id": 2, "name": "pot" }],
        "annotations": (0..3).map(|i| annotation(json!({ "id": i, "category_id": i }))).collect::<Vec<_>>(),
    });
    let read = read(&file).unwrap();
    let names: Vec<&str> = read.pictures[0]
        .labels
        .iter()
        .map(|label| label.category.as_str())
        .collect();
    assert_eq!(names, ["plant", "plant", "pot"]);
    let written = write_coco(&read.pictures, &read.categories, None).unwrap();
    let ids: Vec<&Id> = written
        .annotations
        .iter()
        .map(|annotation| &annotation.category_id)
        .collect();
    assert_eq!(ids, [&Id::from(0), &Id::from(1), &Id::from(2)]);
}

#[test]
fn ids_are_given_where_there_are_none_or_two_alike() {
    let label = |id: Option<i64>| Label {
        id: id.map(Id::from),
        ..Label::new(drawn(&["#"]), "a")
    };
    let picture = picture_of([Some(2), None, Some(2), None, Some(1)].map(label).into());
    let file = write_coco(&[picture], &[], None).unwrap();
    assert_eq!(file.images[0].id, Id::from(1));
    let ids: Vec<&Id> = file.annotations.iter().map(|annotation| &annotation.id).collect();
    assert_eq!(ids, [2, 3, 4, 5, 1].map(Id::from).iter().collect::<Vec<_>>());

    let empty = picture_of(vec![Label::new(drawn(&["..", ".."]), "none")]);
    let file = write_coco(&[empty], &[], Some(0.0)).unwrap();
    assert_eq!((file.annotations[0].area, file.annotations[0].bbox), (0, [0; 4]));
    assert!(matches!(
        file.annotations[0].segmentation,
        Segmentation::Rle { size: [2, 2], .. }
    ));
}

#[test]
fn no_file_is_written_of_masks_that_are_not_of_their_pictures_size() {
    let mut wrong = picture_of(vec![Label::new(drawn(&["##"]), "cup")]);
    wrong.size = size(40, 30);
    let expected = Err(LabelsError::MaskSize {
        index: 0,
        mask: [2, 1],
        picture: [40, 30],
    });
    let classes = [(0, "cup".to_owned())].into();
    assert_eq!(
        write_coco(std::slice::from_ref(&wrong), &[], None).map(drop),
        expected
    );
    assert_eq!(sam2_labels::write_yolo(&wrong, &classes, 0.0).map(drop), expected);
    assert_eq!(
        sam2_labels::write_geojson(&wrong, sam2_labels::PIXELS, 0.0).map(drop),
        expected
    );
    assert_eq!(sam2_labels::write_labelme(&wrong, 0.0).map(drop), expected);
    assert_eq!(sam2_labels::write_indexed_png(&wrong).map(drop), expected);
}
