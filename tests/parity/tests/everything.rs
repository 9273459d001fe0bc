//! The generator of all masks against the official one: the same records in the same order.

use parity::{COMMITTED, Fixture, block_on, natively};
use sam2_predict::{ImagePredictor, MaskGenerator, MaskGeneratorOptions, Rle};
use serde_json::Value;

const SCORES: f64 = 1e-5;
/// A pixel of a mask of ten thousand, which rounding may put on either side of a threshold.
const STABILITY: f64 = 1e-4;
/// Pixels of a mask that may differ, for the same reason: processors sum in their own orders.
const UNDECIDED: u32 = 2;

/// Every option that the fixtures set must be known here.
fn options(args: &Value) -> MaskGeneratorOptions {
    let mut options = MaskGeneratorOptions::default();
    for (name, value) in args.as_object().expect("options by name") {
        let number = || value.as_f64().expect("a number");
        let count = || value.as_u64().expect("a whole number") as usize;
        let flag = || value.as_bool().expect("true or false");
        match name.as_str() {
            "points_per_side" => options.points_per_side = count(),
            "points_per_batch" => options.points_per_batch = count(),
            "pred_iou_thresh" => options.pred_iou_thresh = number(),
            "stability_score_thresh" => options.stability_score_thresh = number(),
            "stability_score_offset" => options.stability_score_offset = number(),
            "mask_threshold" => options.mask_threshold = number(),
            "box_nms_thresh" => options.box_nms_thresh = number(),
            "crop_n_layers" => options.crop_n_layers = count() as u32,
            "crop_nms_thresh" => options.crop_nms_thresh = number(),
            "crop_n_points_downscale_factor" => options.crop_n_points_downscale_factor = count(),
            "min_mask_region_area" => options.min_mask_region_area = count(),
            "use_m2m" => options.use_m2m = flag(),
            "multimask_output" => options.multimask_output = flag(),
            "output_mode" => assert_eq!(value, "uncompressed_rle"),
            other => panic!("unknown option `{other}`"),
        }
    }
    options
}

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().expect("a list").iter();
    values.map(|value| value.as_f64().expect("a number")).collect()
}

#[test]
fn the_official_records() {
    let mut variants = 0;
    for name in COMMITTED {
        let fixture = Fixture::committed(name);
        let Some(official) = fixture.events["amg"].as_object() else {
            continue;
        };
        let predictor = ImagePredictor::new(fixture.image_model(&natively()));
        for (variant, official) in official {
            variants += 1;
            let generator = MaskGenerator::new(&predictor, options(&official["args"])).expect("options");
            let (mut found, mut done) = (0, Vec::new());
            let records = block_on(generator.generate(fixture.picture(), |batch| {
                found += batch.records.len();
                done.push((batch.points_done, batch.points));
            }));
            let records = records.expect("records");
            let expected = official["records"].as_array().expect("records");
            println!(
                "{name} {variant}: {} of {} records, {found} found",
                records.len(),
                expected.len()
            );
            assert!(found >= records.len());
            assert!(done.last().is_some_and(|(done, all)| done == all), "{done:?}");

            assert_eq!(records.len(), expected.len(), "records of `{variant}`");
            let mut unequal = 0;
            for (at, (ours, theirs)) in records.iter().zip(expected).enumerate() {
                let segmentation = &theirs["segmentation"];
                let [height, width] = numbers(&segmentation["size"])[..] else {
                    panic!("a height and a width")
                };
                let runs = numbers(&segmentation["counts"]).into_iter().map(|run| run as u32);
                let runs = Rle::new(width as usize, height as usize, runs.collect()).expect("runs");
                assert_eq!(
                    (ours.segmentation.width(), ours.segmentation.height()),
                    (runs.width(), runs.height())
                );
                let (ours_bits, bits) = (ours.segmentation.to_bits(), runs.to_bits());
                let pairs = ours_bits.iter().zip(&bits);
                let different: u32 = pairs.map(|(a, b)| (a ^ b).count_ones()).sum();
                unequal += different;
                assert!(
                    different <= UNDECIDED,
                    "{different} pixels of {variant} {at} differ"
                );
                assert_eq!(
                    ours.area as u32,
                    ours_bits.iter().map(|byte| byte.count_ones()).sum::<u32>()
                );
                assert!(different > 0 || ours.segmentation == runs);
                let floats = |edges: [usize; 4]| edges.map(|edge| edge as f64);
                assert_eq!(floats(ours.bbox)[..], numbers(&theirs["bbox"]));
                assert_eq!(floats(ours.crop_box)[..], numbers(&theirs["crop_box"]));
                assert_eq!(
                    ours.point_coords.map(f64::from)[..],
                    numbers(&theirs["point_coords"][0])
                );
                for (score, of, limit) in [
                    (ours.predicted_iou, "predicted_iou", SCORES),
                    (ours.stability_score, "stability_score", STABILITY),
                ] {
                    let theirs = theirs[of].as_f64().expect("a score");
                    let difference = (f64::from(score) - theirs).abs();
                    assert!(
                        difference <= limit,
                        "{of} of {variant} {at}: {score}, not {theirs}"
                    );
                }
            }
            println!("{name} {variant}: {unequal} pixels differ");
        }
    }
    assert_eq!(variants, 7);
}
