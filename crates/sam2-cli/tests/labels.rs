//! Runs `sam2 export` and `sam2 import`: a folder of two pictures through every format and back.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{WEIGHTS, assert_refused, sam2};
use image::{Rgb, RgbImage};
use serde_json::{Value, json};

const NORTH_UP: &str = "--transform=0.5,0,481000,0,-0.5,5450000";

/// A folder for one test, with two pictures in `images`: a.png of a red disc, 60 wide and 40 high, and sub/b.png.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("labels").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(folder.join("images/sub")).unwrap();
    let disc = RgbImage::from_fn(60, 40, |x, y| {
        Rgb(if in_disc(x, y) {
            [200, 30, 30]
        } else {
            [90, 140, 90]
        })
    });
    disc.save(folder.join("images/a.png")).unwrap();
    RgbImage::new(50, 30)
        .save(folder.join("images/sub/b.png"))
        .unwrap();
    folder
}

fn in_disc(x: u32, y: u32) -> bool {
    (x as i32 - 30).pow(2) + (y as i32 - 20).pow(2) < 100
}

/// COCO's run lengths, not compressed.
fn mask(width: u32, height: u32, inside: impl Fn(u32, u32) -> bool) -> Value {
    let mut counts = vec![0];
    for x in 0..width {
        for y in 0..height {
            if (counts.len() % 2 == 0) != inside(x, y) {
                counts.push(0);
            }
            *counts.last_mut().unwrap() += 1;
        }
    }
    json!({ "size": [height, width], "counts": counts })
}

fn annotation(id: u32, image: u32, category: u32, segmentation: Value) -> Value {
    json!({ "id": id, "image_id": image, "category_id": category, "segmentation": segmentation })
}

/// A disc; a ring with a hole in it; a ring again; and an object of two parts. None lies over another.
fn data_set() -> Value {
    let ring = |x: u32, y: u32| {
        (5..25).contains(&x) && (2..12).contains(&y) && !((8..20).contains(&x) && (4..8).contains(&y))
    };
    let parts = |x: u32, y: u32| x < 7 && y > 20 || x > 40 && y > 25 - x % 3;
    json!({
        "images": [
            { "id": 1, "width": 60, "height": 40, "file_name": "a.png" },
            { "id": 2, "width": 50, "height": 30, "file_name": "sub/b.png" },
        ],
        "categories": [{ "id": 7, "name": "cup" }, { "id": 3, "name": "ring" }],
        "annotations": [
            annotation(1, 1, 7, mask(60, 40, in_disc)),
            annotation(2, 1, 3, mask(60, 40, |x, y| ring(x, y) && !in_disc(x, y))),
            annotation(3, 2, 3, mask(50, 30, ring)),
            annotation(4, 2, 7, mask(50, 30, parts)),
        ],
    })
}

#[track_caller]
fn success(args: &[&str]) -> Output {
    let output = sam2(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    output
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Of a COCO file's objects: the picture's name, the category's, and the run lengths.
fn objects(path: &Path) -> Vec<[String; 3]> {
    let file = read(path);
    let field_of = |list: &str, id: &Value, field: &str| {
        let mut entries = file[list].as_array().unwrap().iter();
        let entry = entries.find(|entry| entry["id"] == *id).unwrap();
        entry[field].as_str().unwrap().to_owned()
    };
    let annotations = file["annotations"].as_array().unwrap().iter();
    annotations
        .map(|annotation| {
            [
                field_of("images", &annotation["image_id"], "file_name"),
                field_of("categories", &annotation["category_id"], "name"),
                annotation["segmentation"]["counts"].as_str().unwrap().to_owned(),
            ]
        })
        .collect()
}

/// Below the folder, in order.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true => found.extend(files(&path).iter().map(|file| format!("{name}/{file}"))),
            false => found.push(name),
        }
    }
    found.sort();
    found
}

#[test]
fn a_folder_of_two_pictures_goes_through_every_format_and_back() {
    let folder = folder("formats");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (images, given, exact) = (path("images"), path("given.json"), path("exact.json"));
    fs::write(&given, data_set().to_string()).unwrap();
    success(&["import", "--labels", &given, "--out", &exact]);
    let right = objects(Path::new(&exact));
    assert_eq!(right.len(), 4);
    assert_eq!(read(Path::new(&exact))["annotations"][0]["area"], 305);

    // Names by the indices of the PNGs, which are the labels' ids.
    fs::write(path("names.txt"), "nothing\ncup\nring\nring\ncup\n").unwrap();
    let names = format!("--classes={}", path("names.txt"));
    for (format, ending, out, back) in [
        ("coco", "json", &[][..], &[][..]),
        ("yolo", "txt", &[], &[]),
        ("labelme", "json", &[], &[]),
        ("png", "png", &[], &[names.as_str()]),
        ("geojson", "geojson", &[], &[]),
        ("geojson", "geojson", &[NORTH_UP], &[NORTH_UP]),
    ] {
        let written = path(format);
        let written = if format == "coco" {
            written + ".json"
        } else {
            written
        };
        let args = ["export", "--labels", &exact, "--to", format, "--out", &written];
        let output = success(&[&args[..], out].concat());
        assert!(String::from_utf8_lossy(&output.stdout).contains("pictures 2  labels 4"));
        if format != "coco" {
            let mut expected = vec![format!("a.{ending}"), format!("sub/b.{ending}")];
            if format == "yolo" {
                expected.insert(1, "data.yaml".into());
            }
            assert_eq!(files(Path::new(&written)), expected);
        }
        for more in [&["--from", format][..], &[]] {
            let again = path("again.json");
            let args = [
                "import", "--labels", &written, "--images", &images, "--out", &again,
            ];
            let output = success(&[&args[..], more, back].concat());
            let notes = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!notes.contains("warning"), "{format}: {notes}");
            assert_eq!(objects(Path::new(&again)), right, "{format}");
        }
    }
    let yaml = fs::read_to_string(folder.join("yolo/data.yaml")).unwrap();
    assert_eq!(yaml, "names:\n  0: \"cup\"\n  1: \"ring\"\n");

    // Outlines: exact by themselves, fewer points with a tolerance.
    let size = |args: &[&str]| {
        let out = path("outlines.json");
        let all = [
            "export",
            "--labels",
            &exact,
            "--to",
            "coco",
            "--polygons",
            "--out",
            &out,
        ];
        success(&[&all[..], args].concat());
        fs::metadata(out).unwrap().len()
    };
    assert!(size(&["--tolerance=1"]) < size(&[]));
    let outlines = path("outlines.json");
    assert!(read(Path::new(&outlines))["annotations"][0]["segmentation"].is_array());
    success(&["import", "--labels", &outlines, "--out", &path("again.json")]);
    assert_eq!(objects(&folder.join("again.json")), right);
}

#[test]
fn everything_is_exported_in_one_line() {
    let folder = folder("everything");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (picture, records) = (path("images/a.png"), path("everything.json"));
    success(&[
        "everything",
        "--weights",
        WEIGHTS,
        "--image",
        &picture,
        "--points-per-side=4",
        "--pred-iou-thresh=0",
        "--stability-score-thresh=0",
        "--out",
        &records,
    ]);
    let count = read(Path::new(&records)).as_array().unwrap().len();
    assert!(count > 1);
    let export = |more: &[&str]| sam2(&[&["export", "--labels", &records][..], more].concat());
    let out = path("yolo");
    success(&[
        "export", "--labels", &records, "--images", &picture, "--to", "yolo", "--out", &out,
    ]);
    assert_eq!(files(&folder.join("yolo")), ["a.txt", "data.yaml"]);
    let text = fs::read_to_string(folder.join("yolo/a.txt")).unwrap();
    assert!((1..=count).contains(&text.lines().count()));
    assert!(text.lines().all(|line| line.starts_with("0 ")));
    success(&[
        "export",
        "--labels",
        &records,
        "--images",
        &picture,
        "--to",
        "coco",
        "--out",
        &path("coco.json"),
    ]);
    let coco = read(&folder.join("coco.json"));
    assert_eq!(
        coco["images"],
        json!([{ "id": 1, "width": 60, "height": 40, "file_name": "a.png" }])
    );
    assert_eq!(coco["annotations"].as_array().unwrap().len(), count);
    assert!(coco["annotations"][0]["score"].as_f64() > Some(0.0));

    // A file needs no name, and a folder does.
    assert!(
        export(&["--to", "labelme", "--out", &path("one.json")])
            .status
            .success()
    );
    assert_eq!(read(&folder.join("one.json"))["imageWidth"], 60);
    assert_refused(
        &export(&["--to", "yolo", "--out", &out]),
        "give the picture by --images",
    );
    let other = path("images/sub/b.png");
    let refused = export(&["--to", "yolo", "--images", &other, "--out", &out]);
    assert_refused(&refused, "its masks are 60x40 pixels, and the picture");
}

#[test]
fn a_model_goes_on_from_labels() {
    let folder = folder("prompts");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mut data_set = data_set();
    data_set["annotations"]
        .as_array_mut()
        .unwrap()
        .push(annotation(5, 1, 7, mask(60, 40, |_, _| false)));
    // A rough mask of the disc: a square.
    let rough = mask(60, 40, |x, y| (22..39).contains(&x) && (12..29).contains(&y));
    data_set["annotations"][0] = annotation(1, 1, 7, rough);
    fs::write(path("given.json"), data_set.to_string()).unwrap();
    success(&[
        "import",
        "--labels",
        &path("given.json"),
        "--images",
        &path("images"),
        "--weights",
        WEIGHTS,
        "--out",
        &path("out.json"),
    ]);
    let out = read(&folder.join("out.json"));
    let annotations = out["annotations"].as_array().unwrap();
    assert_eq!(annotations.len(), 5);
    let first = &annotations[0];
    assert_eq!((&first["id"], &first["category_id"]), (&json!(1), &json!(7)));
    assert!(first["score"].as_f64() > Some(0.5), "{first}");
    let area = first["area"].as_f64().unwrap();
    // The disc has 305 pixels, and the square 289.
    assert!((area - 305.0).abs() < 30.0, "{area}");
    let empty = annotations
        .iter()
        .find(|annotation| annotation["id"] == 5)
        .unwrap();
    assert_eq!((&empty["area"], empty.get("score")), (&json!(0), None));

    let import = |more: &[&str]| {
        sam2(
            &[
                &[
                    "import",
                    "--labels",
                    &path("given.json"),
                    "--out",
                    &path("x.json"),
                ],
                more,
            ]
            .concat(),
        )
    };
    assert_refused(&import(&["--weights", WEIGHTS]), "--images");
    let refused = import(&["--weights", WEIGHTS, "--images", &path("images/sub")]);
    assert_refused(&refused, "the picture a.png is not in --images");
    RgbImage::new(30, 50).save(path("images/a.png")).unwrap();
    let refused = import(&["--weights", WEIGHTS, "--images", &path("images")]);
    assert_refused(
        &refused,
        "is 30x50 pixels, and its labels are of a picture of 60x40",
    );
}

#[test]
fn labels_lie_among_other_files_and_sizes_are_of_upright_pictures() {
    let folder = folder("among");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    // YOLO beside its pictures, which are PNGs too, with notes, and a photo that is turned.
    let turned = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/pictures/exif6.jpg");
    fs::copy(turned, path("images/turned.jpg")).unwrap();
    let upright = image::open(turned).unwrap();
    fs::write(path("images/a.txt"), "1 0 0 0.5 0 0.5 1 0 1\n0 0.5 0.5 0.1 0.1\n").unwrap();
    fs::write(path("images/turned.txt"), "0 0 0 1 0 1 1 0 1\n").unwrap();
    fs::write(path("images/sub/b.txt"), "").unwrap();
    fs::write(path("images/README.txt"), "Labels by hand.\n").unwrap();
    fs::write(path("images/notes.json"), r#"{"categories": []}"#).unwrap();
    fs::write(path("images/classes.txt"), "cup\nlid\n").unwrap();
    let import = |labels: &str| {
        let args = [
            "import",
            "--labels",
            labels,
            "--images",
            &path("images"),
            "--out",
            &path("out.json"),
        ];
        success(&args)
    };
    let output = import(&path("images"));
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        notes.contains("README.txt: it is passed over: it has no labels of YOLO"),
        "{notes}"
    );
    assert!(
        notes.contains("a.txt: line 2 is passed over: it is a box"),
        "{notes}"
    );
    let out = read(&folder.join("out.json"));
    let sides = |i: usize| {
        [&out["images"][i]["width"], &out["images"][i]["height"]].map(|side| side.as_u64().unwrap())
    };
    let names: Vec<&Value> = out["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| &image["file_name"])
        .collect();
    assert_eq!(names, ["a.png", "sub/b.png", "turned.jpg"]);
    assert_eq!(sides(0), [60, 40]);
    assert_eq!(
        sides(2),
        [u64::from(upright.height()), u64::from(upright.width())]
    );
    assert_eq!(
        out["categories"],
        json!([{ "id": 1, "name": "cup" }, { "id": 2, "name": "lid" }])
    );
    let annotations = out["annotations"].as_array().unwrap();
    let found: Vec<_> = annotations
        .iter()
        .map(|a| (a["area"].clone(), a["category_id"].clone()))
        .collect();
    assert_eq!(
        found,
        [
            (json!(1200), json!(2)),
            (json!(sides(2)[0] * sides(2)[1]), json!(1))
        ]
    );

    // A labelme file without a size, whose picture lies in another folder, by a path of Windows.
    fs::create_dir_all(path("labelme")).unwrap();
    let shape = json!({ "label": "cup", "points": [[1, 1], [5, 1], [5, 4], [1, 4]] });
    let labelme = json!({ "shapes": [shape], "imagePath": "..\\photos\\b.png", "imageData": null });
    fs::write(path("labelme/one.json"), labelme.to_string()).unwrap();
    import(&path("labelme"));
    let out = read(&folder.join("out.json"));
    assert_eq!(
        out["images"],
        json!([{ "id": 1, "width": 50, "height": 30, "file_name": "sub/b.png" }])
    );
    assert_eq!(out["annotations"][0]["area"], 12);

    // A file for each picture, as SA-1B has them, with the same ids.
    fs::create_dir_all(path("sa")).unwrap();
    for (name, width) in [("sa_1", 6), ("sa_2", 7)] {
        let file = json!({
            "image": { "image_id": width, "width": width, "height": 5, "file_name": format!("{name}.jpg") },
            "annotations": [{ "id": 1, "segmentation": mask(width, 5, |x, _| x > 2) }],
        });
        fs::write(folder.join("sa").join(format!("{name}.json")), file.to_string()).unwrap();
    }
    import(&path("sa"));
    let found = objects(&folder.join("out.json"));
    assert_eq!(
        found
            .iter()
            .map(|[name, category, _]| (name.as_str(), category.as_str()))
            .collect::<Vec<_>>(),
        [("sa_1.jpg", "object"), ("sa_2.jpg", "object")]
    );
    let out = read(&folder.join("out.json"));
    assert_eq!(
        [&out["annotations"][0]["id"], &out["annotations"][1]["id"]],
        [1, 2]
    );
}

#[test]
fn wrong_labels_are_refused() {
    let folder = folder("wrong-labels");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let put = |name: &str, text: &str| {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(path(name), text).unwrap();
    };
    let out = path("out.json");
    let import = |labels: &str, more: &[&str]| {
        sam2(&[&["import", "--labels", &path(labels), "--out", &out], more].concat())
    };
    assert_refused(&import("nowhere.json", &[]), "cannot read");
    put("text.txt", "Hello.\n");
    assert_refused(&import("text.txt", &[]), "has no labels of COCO");
    put("cut.json", "{\"images\": [");
    assert_refused(&import("cut.json", &[]), "this is no label file: it is no JSON");
    assert_refused(
        &import("cut.json", &["--from=coco"]),
        "this is no COCO file: it is no JSON",
    );
    assert_refused(&import("images", &[]), "its pixels are colours");
    fs::create_dir_all(path("empty")).unwrap();
    assert_refused(&import("empty", &[]), "has no label files in it");
    assert_refused(
        &import("empty", &["--from=yolo"]),
        "has no label files of YOLO in it (.txt)",
    );
    put(
        "mixed/a.json",
        r#"{"shapes": [], "imageWidth": 5, "imageHeight": 5}"#,
    );
    put("mixed/b.json", r#"{"type": "FeatureCollection", "features": []}"#);
    assert_refused(
        &import("mixed", &[]),
        "b.json has labels of GeoJSON, and other files in",
    );
    let output = import("mixed", &["--from=labelme"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("pictures 1  labels 0"));

    put("yolo/c.txt", "0 0 0 1 0 1 1\n");
    let refused = import("yolo", &["--transform=1,0,0,0,1,0"]);
    assert_refused(&refused, "--transform is for GeoJSON, and");
    let refused = import("yolo", &["--no-border"]);
    assert_refused(&refused, "yolo has labels of YOLO");
    assert_refused(
        &import("yolo/c.txt", &[]),
        "the size of its picture is not in the file",
    );
    let images = path("images");
    assert_refused(&import("yolo", &["--images", &images]), "a picture named c");
    let triangle = annotation(1, 1, 1, json!([[0, 0, 4, 0, 4, 4]]));
    let no_size = json!({ "images": [{ "id": 1, "file_name": "q.jpg" }], "annotations": [triangle] });
    put("no-size.json", &no_size.to_string());
    assert_refused(
        &import("no-size.json", &[]),
        "the size of the picture q.jpg is not in the file",
    );
    let mut lying = data_set();
    lying["annotations"][2]["segmentation"] = json!({ "size": [30, 50], "counts": [7] });
    put("lying.json", &lying.to_string());
    assert_refused(
        &import("lying.json", &[]),
        "annotation 3: not a COCO run-length encoding of 50x30 pixels: the runs do not add up to the size",
    );
}

#[test]
fn what_a_format_cannot_have_is_refused() {
    let folder = folder("wrong-exports");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let export = |labels: &Value, to: &str, more: &[&str]| {
        let file = path("given.json");
        fs::write(&file, labels.to_string()).unwrap();
        sam2(
            &[
                &["export", "--labels", &file, "--to", to, "--out", &path("out")],
                more,
            ]
            .concat(),
        )
    };
    let given = data_set();
    let no_area = export(&given, "geojson", &["--transform=1,1,0,1,1,0"]);
    assert_refused(&no_area, "an area of a pixel");
    assert_refused(
        &export(&given, "geojson", &["--transform=1,2"]),
        "expected six numbers",
    );
    for (option, says) in [
        ("--transform=1,0,0,0,1,0", "--transform is for --to geojson"),
        ("--polygons", "--polygons is for --to coco"),
        ("--tolerance=1", "--tolerance is for outlines"),
        ("--classes=names.txt", "--classes is for --to yolo"),
    ] {
        assert_refused(&export(&given, "png", &[option]), says);
    }
    assert_refused(
        &export(&given, "yolo", &["--tolerance=-1"]),
        "the tolerance is -1",
    );
    fs::write(path("cup.txt"), "cup\n").unwrap();
    let only_cup = format!("--classes={}", path("cup.txt"));
    assert_refused(
        &export(&given, "yolo", &[&only_cup]),
        r#""ring" is none of the classes (cup)"#,
    );
    let mut alike = data_set();
    alike["images"][1]["file_name"] = json!("a.jpg");
    assert_refused(
        &export(&alike, "yolo", &[]),
        "a.png and a.jpg would have the same file, a.txt",
    );
    let mut many = data_set();
    let dot = |id: u32| annotation(id + 1, 1, 7, mask(60, 40, |x, y| x * 40 + y == id));
    many["annotations"] = (0..256).map(dot).collect();
    assert_refused(&export(&many, "png", &[]), "up to 255 labels, not 256");
    let (file, out) = (path("given.json"), path("one.json"));
    let one = sam2(&["export", "--labels", &file, "--to", "labelme", "--out", &out]);
    assert_refused(&one, "has 2 pictures, and");
}
