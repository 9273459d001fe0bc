//! The generator of all masks against the official one: the same records in the same order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use parity::{COMMITTED, Fixture, block_on, generator_options, natively, networks};
use sam2_predict::{ImagePredictor, MaskGenerator, MaskGeneratorOptions, Rle};
use serde_json::Value;

const SCORES: f64 = 1e-5;
/// Pixels of a mask that may lie on the other side of a threshold: processors sum in their own orders.
const UNDECIDED: u32 = 2;

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().expect("a list").iter();
    values.map(|value| value.as_f64().expect("a number")).collect()
}

#[test]
fn the_official_records() {
    for (fixture, model) in networks() {
        let official = fixture.events["amg"].as_object().expect("records");
        assert_eq!(official.len(), 7);
        let name = model.implementation().name().to_string();
        let predictor = ImagePredictor::new(model);
        for (variant, official) in official {
            // A software adapter takes its time.
            if name.contains("gpu") && variant != "plain" {
                continue;
            }
            let generator =
                MaskGenerator::new(&predictor, generator_options(&official["args"]).1).expect("options");
            let image = block_on(predictor.set_image(fixture.picture())).expect("an embedding");
            let (mut found, mut done) = (BTreeMap::new(), Vec::new());
            let records = block_on(
                generator.generate(&image, Some(fixture.picture()), async |batch| {
                    found.retain(|id, _| !batch.removed.contains(id));
                    found.extend(batch.added.iter().map(|&(id, record)| (id, record.clone())));
                    done.push((batch.points_done, batch.points));
                    ControlFlow::Continue(())
                }),
            );
            let records = records.expect("records");
            let expected = official["records"].as_array().expect("records");
            println!(
                "{name} {variant}: {} of {} records",
                records.len(),
                expected.len()
            );
            assert_eq!(found.len(), records.len());
            assert!(
                records
                    .iter()
                    .all(|record| found.values().any(|other| other == record))
            );
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
                // A quotient of two areas, the greater of which is at least the mask's own.
                let stability = f64::from(UNDECIDED) / ours.area as f64;
                for (score, of, limit) in [
                    (ours.predicted_iou, "predicted_iou", SCORES),
                    (ours.stability_score, "stability_score", stability),
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
}

#[test]
fn what_was_found_until_a_break_is_the_answer() {
    let fixture = Fixture::committed(COMMITTED[0]);
    let predictor = ImagePredictor::new(fixture.image_model(&natively()));
    let options = MaskGeneratorOptions {
        points_per_side: 4,
        points_per_batch: 4,
        pred_iou_thresh: 0.0,
        stability_score_thresh: 0.0,
        crop_n_layers: 1,
        ..MaskGeneratorOptions::default()
    };
    let generator = MaskGenerator::new(&predictor, options).expect("options");
    let image = block_on(predictor.set_image(fixture.picture())).expect("an embedding");
    let (mut batches, mut last) = (0, 0);
    let records = block_on(
        generator.generate(&image, Some(fixture.picture()), async |batch| {
            batches += 1;
            last = last + batch.added.len() - batch.removed.len();
            if batches < 6 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        }),
    );
    assert_eq!((batches, records.expect("records").len()), (6, last));

    // Its parts cannot be looked at without the picture.
    let error = block_on(generator.generate(&image, None, async |_| ControlFlow::Continue(())));
    assert!(error.unwrap_err().to_string().contains("`crop_n_layers` is 1"));
}
