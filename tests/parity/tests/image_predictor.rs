//! The image predictor against the official one: all of its cases, from the picture's pixels to mask bits.

use parity::{Limits, block_on, every_network};
use sam2_predict::{ImagePredictor, LowResMask};

/// Bits of a case that may differ: each implementation sums in its own order.
const UNDECIDED: usize = 2;

#[test]
fn all_prompts() {
    for (fixture, model) in every_network() {
        let mut predictor = ImagePredictor::new(model);
        let image = block_on(predictor.set_image(fixture.picture())).expect("an embedding");
        let [width, height] = fixture.picture_size();
        let limits = Limits::of(&predictor.model().config);
        for case in fixture.predict_cases() {
            let of = |part: &str| format!("pred.{}.{part}", case.name);
            predictor = predictor.with_dynamic_multimask(case.dynamic);
            let prompts = case.prompts(width, height, fixture.floats("pred.mask_input"));
            let predictions = block_on(predictor.predict_batch(&image, &prompts)).expect("masks");

            // The official tensors have a batch dimension only where there are several prompts: values lie the same.
            let object_scores: Vec<f32> = predictions.iter().map(|p| p.object_score).collect();
            fixture.assert_values_close(&of("obj_score"), &object_scores, limits.object_score);
            let masks: Vec<&LowResMask> = predictions.iter().flat_map(|p| &p.masks).collect();
            let logits: Vec<f32> = masks.iter().flat_map(|mask| mask.logits()).collect();
            fixture.assert_values_close(&of("low_res"), &logits, limits.logits);
            let scores: Vec<f32> = masks.iter().map(|mask| mask.score()).collect();
            fixture.assert_values_close(&of("iou"), &scores, limits.iou);

            let (_, official) = fixture.masks(&of("mask_bits"));
            let ours: Vec<u8> = masks.iter().flat_map(|mask| mask.to_mask().to_bytes()).collect();
            // A pixel whose logit is nothing but rounding may fall on either side.
            let different = ours.iter().zip(&official).filter(|(a, b)| a != b).count();
            println!("bits of `{}`: {different} of {} differ", case.name, ours.len());
            assert!(
                different <= UNDECIDED,
                "{different} bits of `{}` differ",
                case.name
            );
        }
        assert_eq!(predictor.encodes(), 1);
    }
}
