//! Damaged files, of which there must be labels or an error, but never a panic.

use fuzz::arbitrary::{Result, Unstructured};
use fuzz::{damage, fuzz};
use sam2_labels::{
    Classes, LabeledPicture, LabelsError, PIXELS, parse_json, read_coco, read_geojson, read_indexed_png,
    read_labelme, read_yolo, write_coco, write_geojson, write_indexed_png, write_labelme, write_yolo,
};

use crate::drawn::{picture, pycocotools, size};

fn classes() -> Classes {
    ["ring", "cup"]
        .map(str::to_owned)
        .into_iter()
        .enumerate()
        .collect()
}

fn json(file: impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(&file).unwrap()
}

/// Of every format.
fn files() -> Vec<Vec<u8>> {
    let picture = picture();
    let pictures = std::slice::from_ref(&picture);
    let made = &pycocotools()["polygons"][9];
    let rings = serde_json::json!({ "type": "Polygon", "coordinates": made["rings"] });
    vec![
        json(write_coco(pictures, &[], None).unwrap()),
        json(write_coco(pictures, &[], Some(1.0)).unwrap()),
        json(write_labelme(&picture, 1.0).unwrap()),
        json(write_geojson(&picture, PIXELS, 1.0).unwrap()),
        json(rings),
        write_yolo(&picture, &classes(), 1.0).unwrap().into_bytes(),
        write_indexed_png(&picture).unwrap(),
    ]
}

/// Reads a file as whatever it may be: the pictures of the readers that take it.
fn read_all(bytes: &[u8]) -> Vec<LabeledPicture> {
    let size = size(40, 30);
    let mut read = vec![read_yolo(&String::from_utf8_lossy(bytes), size, &classes())];
    read.push(read_indexed_png(bytes, &classes(), &[]));
    let mut pictures = Vec::new();
    match parse_json(bytes, "JSON") {
        Ok(file) => {
            read.push(read_labelme(&file, |_| None, Some(size)));
            read.push(read_geojson(&file, size, PIXELS));
            match read_coco(&file, |_| Some(size)) {
                Ok(coco) => pictures.extend(coco.pictures),
                Err(error) => is_said(&error),
            }
        }
        Err(error) => is_said(&error),
    }
    for read in read {
        match read {
            Ok(read) => pictures.push(read.picture),
            Err(error) => is_said(&error),
        }
    }
    pictures
}

fn is_said(error: &LabelsError) {
    assert!((1..2000).contains(&error.to_string().len()), "{error}");
}

fn a_damaged_file(u: &mut Unstructured, files: &[Vec<u8>]) -> Result<()> {
    let mut bytes = u.choose(files)?.clone();
    damage(u, &mut bytes)?;
    for picture in read_all(&bytes) {
        // What was read can be written. A size with one more digit makes a large picture, which takes its time.
        if picture.size.width() * picture.size.height() < 100_000 {
            write_coco(std::slice::from_ref(&picture), &[], Some(1.0)).unwrap();
            write_labelme(&picture, 0.0).unwrap();
            write_geojson(&picture, PIXELS, 0.0).unwrap();
            write_indexed_png(&picture).unwrap();
            let yolo = write_yolo(&picture, &classes(), 0.0);
            assert!(matches!(yolo, Ok(_) | Err(LabelsError::NoClass { .. })));
        }
    }
    Ok(())
}

#[test]
fn damaged_files_are_read_or_refused() {
    let files = files();
    for file in &files {
        let labels = read_all(file)
            .iter()
            .map(|picture| picture.labels.len())
            .sum::<usize>();
        assert!(labels > 0);
    }
    fuzz(|u| a_damaged_file(u, &files));
}
