use png::{BitDepth, ColorType};
use sam2_labels::{
    Classes, Id, Label, LabeledPicture, LabelsError, VOC_BORDER, area, bounding_box, read_indexed_png,
    write_indexed_png,
};

use crate::drawn::{drawn, ellipse, mask_where, parts, picture, picture_of, ring, size, to_text};

/// A PNG of five pixels in two rows.
fn png(color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 5, 2);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        let entries = 1 << (depth as usize);
        encoder.set_palette(
            (0..entries)
                .flat_map(|i| [i as u8, 0, 255 - i as u8])
                .collect::<Vec<u8>>(),
        );
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    file
}

fn minus(a: &sam2_predict::Rle, others: &[sam2_predict::Rle]) -> sam2_predict::Rle {
    let set = |mask: &sam2_predict::Rle, x: usize, y: usize| to_text(mask)[y].as_bytes()[x] == b'#';
    mask_where(a.width(), a.height(), |x, y| {
        set(a, x, y) && !others.iter().any(|other| set(other, x, y))
    })
}

#[test]
fn comes_back_the_later_label_on_top() {
    let file = write_indexed_png(&picture()).unwrap();
    let classes = [(3, "cup"), (11, "cup"), (5, "ring")].map(|(index, name)| (index, name.to_owned()));
    let read = read_indexed_png(&file, &classes.into(), &[VOC_BORDER]).unwrap();
    assert_eq!(read.warnings, [""; 0]);
    let label = |mask, category: &str, id: i64| Label {
        id: Some(Id::from(id)),
        ..Label::new(mask, category)
    };
    let expected = LabeledPicture {
        size: size(40, 30),
        labels: vec![
            label(parts(), "cup", 3),
            label(minus(&ring(), &[parts()]), "ring", 5),
            label(minus(&ellipse(), &[ring(), parts()]), "cup", 11),
        ],
        file_name: None,
        id: None,
    };
    assert_eq!(read.picture, expected);
}

#[test]
fn indices_are_in_the_colours_of_davis_the_next_free_one_where_an_id_is_none() {
    let ids = [
        None,
        Some(Id::from(1)),
        Some(Id::from("a")),
        Some(Id::from(300)),
        Some(Id::from(1)),
        Some(Id::from(4)),
    ];
    let labels = ids.into_iter().enumerate().map(|(x, id)| Label {
        id,
        ..Label::new(mask_where(6, 1, |column, _| column == x), "")
    });
    let file = write_indexed_png(&picture_of(labels.collect())).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    let palette = reader.info().palette.clone().unwrap();
    let mut indices = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut indices).unwrap();
    assert_eq!(indices, [2, 1, 3, 5, 6, 4]);
    let entry = |index: usize| &palette[3 * index..3 * index + 3];
    assert_eq!(entry(0), [0, 0, 0]);
    assert_eq!(entry(1), [128, 0, 0]);
    assert_eq!(entry(2), [0, 128, 0]);
    assert_eq!(entry(3), [128, 128, 0]);
    assert_eq!(entry(255), [224, 224, 192]);
}

#[test]
fn is_read_with_one_to_eight_bits_of_a_palette_and_eight_or_sixteen_of_grey() {
    let values: [u8; 10] = [0, 1, 1, 0, 2, 3, 0, 2, 0, 1];
    let two = [0b00_01_01_00, 0b10_00_00_00, 0b11_00_10_00, 0b01_00_00_00];
    let four = [0x01, 0x10, 0x20, 0x30, 0x20, 0x10];
    let with_alpha: Vec<u8> = values.iter().flat_map(|value| [*value, 255]).collect();
    let wide = |scale: u16| {
        values
            .iter()
            .flat_map(|value| (u16::from(*value) * scale).to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let read = |file: &[u8]| {
        read_indexed_png(file, &Classes::new(), &[VOC_BORDER])
            .unwrap()
            .picture
            .labels
    };
    for (color, depth, data) in [
        (ColorType::Indexed, BitDepth::Eight, &values[..]),
        (ColorType::Grayscale, BitDepth::Eight, &values),
        (ColorType::Indexed, BitDepth::Two, &two),
        (ColorType::Indexed, BitDepth::Four, &four),
        (ColorType::GrayscaleAlpha, BitDepth::Eight, &with_alpha),
        (ColorType::Grayscale, BitDepth::Sixteen, &wide(1)),
    ] {
        let labels = read(&png(color, depth, data));
        let found: Vec<_> = labels
            .iter()
            .map(|label| (label.id.clone().unwrap(), area(&label.mask)))
            .collect();
        assert_eq!(found, [(Id::from(1), 3), (Id::from(2), 2), (Id::from(3), 1)]);
        assert_eq!(bounding_box(&labels[2].mask), Some([0, 1, 0, 1]));
    }
    let one = read(&png(
        ColorType::Grayscale,
        BitDepth::One,
        &[0b0110_0000, 0b1000_1000],
    ));
    assert_eq!(to_text(&one[0].mask), [".##..", "#...#"]);
    let many = read(&png(ColorType::Grayscale, BitDepth::Sixteen, &wide(1000)));
    let names: Vec<&str> = many.iter().map(|label| label.category.as_str()).collect();
    assert_eq!(names, ["1000", "2000", "3000"]);
}

#[test]
fn a_border_of_255_is_passed_over_unless_that_is_an_index() {
    let file = png(
        ColorType::Indexed,
        BitDepth::Eight,
        &[0, 255, 1, 1, 0, 0, 0, 0, 0, 0],
    );
    let read = |ignore: &[u16]| read_indexed_png(&file, &Classes::new(), ignore).unwrap();
    assert_eq!(read(&[VOC_BORDER]).picture.labels.len(), 1);
    assert_eq!(
        read(&[VOC_BORDER]).warnings,
        ["index 255 is passed over, as a border"]
    );
    assert_eq!(read(&[]).picture.labels[1].id, Some(Id::from(255)));
}

#[test]
fn is_refused_where_it_is_none_has_colours_or_is_too_large() {
    let read = |file: &[u8]| read_indexed_png(file, &Classes::new(), &[]);
    let whole = png(ColorType::Grayscale, BitDepth::Eight, &[7; 10]);
    for bad in [
        &png(ColorType::Rgb, BitDepth::Eight, &[0; 30])[..],
        &[0; 3],
        b"no PNG, but long enough to be one",
        &whole[..whole.len() / 2],
    ] {
        let error = read(bad).unwrap_err();
        assert!(
            error.to_string().starts_with("this is no indexed PNG file: "),
            "{error}"
        );
    }
    // The size stands at the start of the first chunk, before the sum that it has at its end.
    let mut claims = whole.clone();
    claims[16..24].copy_from_slice(&[0, 15, 66, 64, 0, 15, 66, 64]);
    let sum = crc32(&claims[12..29]);
    claims[29..33].copy_from_slice(&sum.to_be_bytes());
    assert!(matches!(
        read(&claims),
        Err(LabelsError::PixelCount { width: 1_000_000, .. })
    ));

    let many = picture_of(vec![Label::new(drawn(&["#"]), ""); 256]);
    assert_eq!(
        write_indexed_png(&many),
        Err(LabelsError::TooManyLabels { count: 256 })
    );
    let most = picture_of(vec![Label::new(drawn(&["#"]), ""); 255]);
    let read = read(&write_indexed_png(&most).unwrap()).unwrap();
    assert_eq!(read.picture.labels[0].id, Some(Id::from(255)));
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 {
                sum >> 1 ^ 0xEDB8_8320
            } else {
                sum >> 1
            }
        })
    };
    !bytes.iter().fold(!0, step)
}
