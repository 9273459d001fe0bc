//! Unusual kinds of pictures. All of them show a disc, which a click on it must find.

mod common;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{WEIGHTS, assert_refused, sam2};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageBuffer, ImageEncoder, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use tiff::encoder::{TiffEncoder, colortype};

type Tiff<'a> = TiffEncoder<&'a mut Cursor<Vec<u8>>>;

const WIDTH: u32 = 160;
const HEIGHT: u32 = 120;

fn in_disc([cx, cy]: [i32; 2], x: u32, y: u32) -> bool {
    (x as i32 - cx).pow(2) + (y as i32 - cy).pow(2) < 24 * 24
}

const HERE: [i32; 2] = [60, 70];
const THERE: [i32; 2] = [120, 40];

/// An orange disc on blue.
fn scene(at: [i32; 2]) -> RgbImage {
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        Rgb(if in_disc(at, x, y) {
            [240, 140, 30]
        } else {
            [42, 111, 143]
        })
    })
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn predict(picture: &Path, click: &str, more: &[&str]) -> Output {
    let out = picture.with_extension("out");
    let args = [
        "predict",
        "--weights",
        WEIGHTS,
        "--single",
        "--point",
        click,
        "--image",
    ];
    let paths = [picture.to_str().unwrap(), "--out", out.to_str().unwrap()];
    sam2(&[&args[..], &paths, more].concat())
}

/// A click finds the disc and nothing else.
#[track_caller]
fn assert_found(picture: &Path, at: [i32; 2], more: &[&str]) {
    let output = predict(picture, &format!("{},{},1", at[0], at[1]), more);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", picture.display());
    let mask = image::open(picture.with_extension("out").join("mask_0.png"))
        .unwrap()
        .into_luma8();
    assert_eq!(mask.dimensions(), (WIDTH, HEIGHT), "{}", picture.display());
    let (mut both, mut either) = (0, 0);
    for (x, y, pixel) in mask.enumerate_pixels() {
        let (found, right) = (pixel.0[0] > 0, in_disc(at, x, y));
        both += u32::from(found && right);
        either += u32::from(found || right);
    }
    let iou = f64::from(both) / f64::from(either);
    assert!(iou > 0.85, "{}: {iou}", picture.display());
}

#[test]
fn transparent_pictures_lie_on_a_ground_that_shows_them() {
    let folder = folder("transparent");
    for (name, shape, hidden) in [
        ("black", [0, 0, 0], [0, 0, 0]),
        ("white", [255, 255, 255], [255, 255, 255]),
        ("grey", [128, 128, 128], [128, 128, 128]),
    ] {
        let path = folder.join(format!("{name}.png"));
        let pixel = |inside, [r, g, b]: [u8; 3]| Rgba([r, g, b, if inside { 255 } else { 0 }]);
        RgbaImage::from_fn(WIDTH, HEIGHT, |x, y| match in_disc(HERE, x, y) {
            true => pixel(true, shape),
            false => pixel(false, hidden),
        })
        .save(&path)
        .unwrap();
        assert_found(&path, HERE, &[]);
    }
    // A second disc is hidden under alpha 0.
    let path = folder.join("hidden.png");
    let second = scene(THERE);
    RgbaImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let [r, g, b] = second.get_pixel(x, y).0;
        match in_disc(HERE, x, y) {
            true => Rgba([240, 140, 30, 255]),
            false => Rgba([r, g, b, 0]),
        }
    })
    .save(&path)
    .unwrap();
    assert_found(&path, HERE, &[]);
}

#[test]
fn more_than_8_bits_are_stretched() {
    let folder = folder("deep");
    let grey = DynamicImage::ImageRgb8(scene(HERE)).into_luma8();
    let twelve = ImageBuffer::from_fn(WIDTH, HEIGHT, |x, y| {
        Luma([u16::from(grey.get_pixel(x, y).0[0]) * 16])
    });
    for name in ["twelve.png", "twelve.tif"] {
        twelve.save(folder.join(name)).unwrap();
        assert_found(&folder.join(name), HERE, &[]);
    }
    // With this range, everything is white.
    let said = predict(&folder.join("twelve.png"), "60,70,1", &["--range", "0,1"]);
    let mask = image::open(folder.join("twelve.out/mask_0.png"))
        .unwrap()
        .into_luma8();
    let area = mask.pixels().filter(|pixel| pixel.0[0] > 0).count();
    assert!(said.status.success() && !(1500..2200).contains(&area), "{area}");
    let wrong = predict(&folder.join("twelve.png"), "60,70,1", &["--range", "9,1"]);
    assert_refused(&wrong, "expected LOW,HIGH");

    let tiff = |name: &str, write: &dyn Fn(&mut Tiff)| {
        let mut file = Cursor::new(Vec::new());
        write(&mut TiffEncoder::new(&mut file).unwrap());
        fs::write(folder.join(name), file.into_inner()).unwrap();
        assert_found(&folder.join(name), HERE, &[]);
    };
    let floats: Vec<f32> = grey
        .as_raw()
        .iter()
        .map(|&value| f32::from(value) / 255.0)
        .collect();
    tiff("float.tif", &|file| {
        file.write_image::<colortype::Gray32Float>(WIDTH, HEIGHT, &floats)
            .unwrap();
    });
    let integers: Vec<u32> = grey
        .as_raw()
        .iter()
        .map(|&value| u32::from(value) * 1_000_000)
        .collect();
    tiff("integers.tif", &|file| {
        file.write_image::<colortype::Gray32>(WIDTH, HEIGHT, &integers)
            .unwrap();
    });
    // Where the largest value is black.
    let overturned: Vec<u16> = twelve.as_raw().iter().map(|&value| 4095 - value).collect();
    tiff("white_is_zero.tif", &|file| {
        let mut page = file.new_image::<colortype::Gray16>(WIDTH, HEIGHT).unwrap();
        page.encoder()
            .write_tag(tiff::tags::Tag::PhotometricInterpretation, 0u16)
            .unwrap();
        page.write_data(&overturned).unwrap();
    });
    tiff("pages.tif", &|file| {
        for at in [HERE, THERE] {
            file.write_image::<colortype::RGB8>(WIDTH, HEIGHT, scene(at).as_raw())
                .unwrap();
        }
    });
    let pages = predict(&folder.join("pages.tif"), "60,70,1", &[]);
    assert!(String::from_utf8_lossy(&pages.stderr).contains("several pages: the first is read"));
}

#[test]
fn of_an_animation_the_first_frame_is_seen() {
    let folder = folder("animated");
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(1, 0).unwrap();
    // The default image, which is never shown, then the one frame.
    encoder.set_sep_def_img(true).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(scene(HERE).as_raw()).unwrap();
    writer.write_image_data(scene(THERE).as_raw()).unwrap();
    writer.finish().unwrap();
    fs::write(folder.join("default.png"), file).unwrap();
    assert_found(&folder.join("default.png"), THERE, &[]);
}

#[test]
fn rotated_by_the_exif_orientation() {
    let folder = folder("rotated");
    // The picture is stored sideways, and orientation 6 rotates it.
    let lying = image::imageops::rotate270(&scene(HERE));
    let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    let (width, height, color) = (HEIGHT, WIDTH, image::ExtendedColorType::Rgb8);
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
    encoder.set_exif_metadata(exif.clone()).unwrap();
    encoder.write_image(lying.as_raw(), width, height, color).unwrap();
    let mut png = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder.set_exif_metadata(exif.clone()).unwrap();
    encoder.write_image(lying.as_raw(), width, height, color).unwrap();
    let mut tiff = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut tiff).unwrap();
    let mut page = encoder.new_image::<colortype::RGB8>(width, height).unwrap();
    page.encoder()
        .write_tag(tiff::tags::Tag::Orientation, 6u16)
        .unwrap();
    page.write_data(lying.as_raw()).unwrap();
    for (name, file) in [("a.jpg", jpeg), ("b.png", png), ("c.tif", tiff.into_inner())] {
        fs::write(folder.join(name), file).unwrap();
        assert_found(&folder.join(name), HERE, &[]);
    }
    // An invalid orientation is ignored.
    let last = exif.len() - 7;
    exif[last] = 9;
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
    encoder.set_exif_metadata(exif).unwrap();
    encoder
        .write_image(scene(HERE).as_raw(), WIDTH, HEIGHT, color)
        .unwrap();
    fs::write(folder.join("d.jpg"), jpeg).unwrap();
    assert_found(&folder.join("d.jpg"), HERE, &[]);
}

#[test]
fn half_a_picture_is_refused() {
    let folder = folder("cut");
    for name in ["a.jpg", "a.png", "a.gif", "a.bmp", "a.tif", "a.webp"] {
        let path = folder.join(name);
        scene(HERE).save(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() * 6 / 10]).unwrap();
        assert_refused(&predict(&path, "60,70,1", &[]), "cut");
    }
    // A download whose file was allocated in advance.
    let path = folder.join("zeros.jpg");
    scene(HERE).save(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0);
    fs::write(&path, bytes).unwrap();
    assert_refused(&predict(&path, "60,70,1", &[]), "cut");
}

#[test]
fn kinds_that_are_not_read_are_named() {
    let folder = folder("kinds");
    let avif = b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B";
    fs::write(folder.join("a.avif"), avif).unwrap();
    assert_refused(
        &predict(&folder.join("a.avif"), "1,1,1", &[]),
        "AVIF is not read: convert it to PNG",
    );
    fs::write(folder.join("a.heic"), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap();
    assert_refused(
        &predict(&folder.join("a.heic"), "1,1,1", &[]),
        "HEIC is not read: convert it to PNG",
    );
    fs::write(
        folder.join("a.svg"),
        "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
    )
    .unwrap();
    assert_refused(
        &predict(&folder.join("a.svg"), "1,1,1", &[]),
        "not a picture that can be read",
    );
}

#[test]
fn very_long_pictures_take_no_more_memory() {
    let folder = folder("long");
    for (width, height) in [(1, 349_526), (349_526, 1), (8, 1 << 20)] {
        let path = folder.join(format!("{width}x{height}.png"));
        GrayImage::new(width, height).save(&path).unwrap();
        let output = predict(&path, "0,0,1", &[]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
