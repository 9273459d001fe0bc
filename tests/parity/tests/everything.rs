//! The generator of all masks against the official one: the same records in the same order.

use parity::{COMMITTED, Fixture, block_on, natively};
use sam2_predict::{ImagePredictor, MaskGenerator, MaskGeneratorOptions};
use serde_json::Value;

const SCORES: f64 = 1e-5;

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
            for (at, (ours, theirs)) in records.iter().zip(expected).enumerate() {
                let runs = numbers(&theirs["segmentation"]["counts"]);
                let ours_runs: Vec<f64> = ours.segmentation.counts().iter().map(|&run| run.into()).collect();
                assert_eq!(ours_runs, runs, "runs of {variant} {at}");
                let size = [ours.segmentation.height(), ours.segmentation.width()];
                assert_eq!(
                    size.map(|side| side as f64)[..],
                    numbers(&theirs["segmentation"]["size"])
                );
                assert_eq!(ours.area as u64, theirs["area"].as_u64().expect("an area"));
                let floats = |edges: [usize; 4]| edges.map(|edge| edge as f64);
                assert_eq!(floats(ours.bbox)[..], numbers(&theirs["bbox"]));
                assert_eq!(floats(ours.crop_box)[..], numbers(&theirs["crop_box"]));
                assert_eq!(
                    ours.point_coords.map(f64::from)[..],
                    numbers(&theirs["point_coords"][0])
                );
                for (score, of) in [
                    (ours.predicted_iou, "predicted_iou"),
                    (ours.stability_score, "stability_score"),
                ] {
                    let theirs = theirs[of].as_f64().expect("a score");
                    let difference = (f64::from(score) - theirs).abs();
                    assert!(
                        difference <= SCORES,
                        "{of} of {variant} {at}: {score}, not {theirs}"
                    );
                }
            }
        }
    }
    assert_eq!(variants, 7);
}
