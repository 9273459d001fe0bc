use sam2_labels::{LabelsError, Polygon, Ring, area, bounding_box, fill_even_odd, to_polygons};
use sam2_predict::Rle;

use crate::drawn::{SIZES, distance, drawn, mask_where, noise, pycocotools, size, to_text};

fn disc(radius: usize, hole: usize) -> Rle {
    let (radius_, hole) = (radius as f64, hole as f64);
    mask_where(2 * radius + 7, 2 * radius + 5, |x, y| {
        (hole..=radius_).contains(&distance(x, y, [radius_ + 3.0, radius_ + 2.0]))
    })
}

/// Twice the area, positive where the ring goes clockwise as one looks at the picture.
fn turn(ring: &Ring) -> f64 {
    let ends = ring.iter().cycle().skip(1);
    ring.iter().zip(ends).map(|([x, y], [u, v])| x * v - y * u).sum()
}

fn filled(polygons: &[Polygon], like: &Rle) -> Rle {
    fill_even_odd(polygons, size(like.width(), like.height()))
}

fn iou(a: &Rle, b: &Rle) -> f64 {
    let (a, b) = (a.to_bits(), b.to_bits());
    let count = |of: fn(u8, u8) -> u8| {
        a.iter()
            .zip(&b)
            .map(|(a, b)| of(*a, *b).count_ones())
            .sum::<u32>()
    };
    f64::from(count(|a, b| a & b)) / f64::from(count(|a, b| a | b))
}

#[test]
fn areas_and_boxes_are_those_of_pycocotools() {
    let file = pycocotools();
    let mut checked = 0;
    for made in file["masks"].as_array().unwrap() {
        let side = |name: &str| made[name].as_u64().unwrap() as usize;
        let text = made["text"].as_str().unwrap();
        let mask = Rle::from_compressed(text, side("width"), side("height")).unwrap();
        assert_eq!(area(&mask), side("area"));
        let bbox = bounding_box(&mask).map_or([0; 4], |[x0, y0, x1, y1]| [x0, y0, x1 - x0 + 1, y1 - y0 + 1]);
        assert_eq!(serde_json::json!(bbox), made["bbox"]);
        checked += 1;
    }
    assert!(checked > 10);
    assert_eq!(bounding_box(&drawn(&["...", "..."])), None);
}

#[test]
fn outlines_run_along_the_pixels_edges_with_holes_and_corners_only() {
    let outlines = |rows: &[&str]| to_polygons(&drawn(rows), 0.0).unwrap();
    assert_eq!(
        outlines(&["....", ".##.", "...."]),
        [[[[1.0, 2.0], [3.0, 2.0], [3.0, 1.0], [1.0, 1.0]]]]
    );
    assert_eq!(
        outlines(&["###", "#.#", "###"]),
        [[
            [[0.0, 3.0], [3.0, 3.0], [3.0, 0.0], [0.0, 0.0]],
            [[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]]
        ]]
    );
    assert_eq!(outlines(&["...."]), Vec::<Polygon>::new());
}

#[test]
fn outlines_keep_pixels_apart_that_touch_at_a_corner_only() {
    assert_eq!(to_polygons(&drawn(&["#.", ".#"]), 0.0).unwrap().len(), 2);
    // One object round two holes that touch at a corner, and one whose ends touch.
    for rows in [&["####", "#.##", "##.#", "####"][..], &["##.", "#.#", "###"]] {
        let polygons = to_polygons(&drawn(rows), 0.0).unwrap();
        assert_eq!(polygons.len(), 1);
        assert_eq!(polygons[0].len(), rows[0].len() - 1);
    }
}

#[test]
fn exact_outlines_give_the_mask_again_and_are_valid_whatever_it_is() {
    for (width, height) in SIZES {
        for share in [0.0, 0.2, 0.5, 0.8, 1.0] {
            let mask = noise(width, height, share, 11 * width as u32);
            let polygons = to_polygons(&mask, 0.0).unwrap();
            assert_eq!(to_text(&filled(&polygons, &mask)), to_text(&mask));
            for ring in polygons.iter().flat_map(|rings| rings.iter().enumerate()) {
                let mut places: Vec<String> = ring.1.iter().map(|point| format!("{point:?}")).collect();
                places.sort();
                places.dedup();
                assert_eq!(places.len(), ring.1.len());
                assert_eq!(turn(ring.1) < 0.0, ring.0 == 0);
            }
            let inside: f64 = polygons.iter().flatten().map(|ring| -turn(ring) / 2.0).sum();
            assert_eq!(inside, area(&mask) as f64);
        }
    }
}

#[test]
fn outlines_with_points_left_out_are_still_the_mask() {
    let mut masks: Vec<Rle> = [1, 2, 3, 5, 8, 13, 34, 100, 333]
        .map(|radius| disc(radius, 0))
        .into();
    masks.extend([
        disc(60, 40),
        disc(12, 9),
        noise(40, 30, 0.5, 1),
        drawn(&["#"]),
        drawn(&["#####"]),
        mask_where(200, 150, |x, y| {
            (x as f64 / 17.0).sin() + (y as f64 / 11.0).cos() > 0.5
        }),
        mask_where(90, 90, |x, y| x.abs_diff(y) <= 1),
    ]);
    for mask in &masks {
        for tolerance in [0.5, 1.0, 2.0, 5.0] {
            let polygons = to_polygons(mask, tolerance).unwrap();
            let iou = iou(&filled(&polygons, mask), mask);
            assert!(
                iou >= 0.99,
                "{}x{} at {tolerance}: {iou}",
                mask.width(),
                mask.height()
            );
        }
    }
    let points = |tolerance| {
        let polygons = to_polygons(&disc(333, 0), tolerance).unwrap();
        polygons.iter().flatten().flatten().count()
    };
    assert!(
        points(1.0) < points(0.0) / 15,
        "{} of {}",
        points(1.0),
        points(0.0)
    );
    for tolerance in [-1.0, f64::NAN, f64::INFINITY] {
        let error = to_polygons(&drawn(&["#"]), tolerance).unwrap_err();
        assert!(matches!(error, LabelsError::Tolerance { .. }));
    }
}

#[test]
fn polygons_have_the_pixels_whose_middle_is_inside_and_in_no_hole() {
    let square = |x: f64, y: f64, side: f64| vec![[x, y], [x + side, y], [x + side, y + side], [x, y + side]];
    let mask = fill_even_odd(
        &[
            vec![vec![[0.5, 0.0], [2.5, 0.0], [2.5, 1.6], [0.5, 1.6]]],
            vec![square(1.0, 1.0, 4.0), square(2.0, 2.0, 2.0)],
            vec![square(3.0, 3.0, 1.0)],
        ],
        size(6, 6),
    );
    assert_eq!(
        to_text(&mask),
        ["##....", "#####.", ".#..#.", ".#.##.", ".####.", "......"]
    );
    let area_of = |polygons: &[Polygon]| area(&fill_even_odd(polygons, size(60, 60)));
    assert_eq!(area_of(&[vec![square(-10.0, -10.0, 100.0)]]), 3600);
    assert_eq!(area_of(&[vec![square(50.0, -5.0, 20.0)]]), 150);
    assert_eq!(
        area_of(&[vec![square(-30.0, 5.0, 20.0)], vec![square(5.0, 1e9, 9.0)]]),
        0
    );
    assert_eq!(area_of(&[]), 0);
    assert_eq!(area_of(&[vec![]]), 0);
    // Of a star every second overlap is left out.
    let star: Ring = (0..5)
        .map(|i| f64::from(i) * 2.5133)
        .map(|angle| [30.0 + 28.0 * angle.cos(), 30.0 + 28.0 * angle.sin()])
        .collect();
    let text = to_text(&fill_even_odd(&[vec![star]], size(60, 60)));
    assert_eq!((&text[30][30..31], &text[30][53..54]), (".", "#"));
    // A way there and back encloses nothing.
    let mut keyhole = square(10.0, 10.0, 20.0);
    keyhole.extend([
        [10.0, 10.0],
        [15.0, 15.0],
        [15.0, 20.0],
        [20.0, 20.0],
        [20.0, 15.0],
        [15.0, 15.0],
    ]);
    assert_eq!(area_of(&[vec![keyhole]]), 400 - 25);
}

/// `www/sam2-web/test/data/outlines.json`, with which the npm package is tested too.
#[test]
fn outlines_are_those_of_the_npm_package() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../www/sam2-web/test/data/outlines.json"
    );
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let outlines = file["outlines"].as_array().unwrap();
    assert!(outlines.len() > 10);
    for made in outlines {
        let side = |name: &str| made[name].as_u64().unwrap() as usize;
        let mask =
            Rle::from_compressed(made["counts"].as_str().unwrap(), side("width"), side("height")).unwrap();
        let expected: Vec<Polygon> = serde_json::from_value(made["polygons"].clone()).unwrap();
        assert_eq!(
            to_polygons(&mask, made["tolerance"].as_f64().unwrap()).unwrap(),
            expected
        );
    }
}
