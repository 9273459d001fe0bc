//! The mask decoder's raw answers (four masks a prompt) against the official ones.

use parity::{Limits, every_network};

#[test]
fn all_masks_scores_and_tokens() {
    for (fixture, model) in every_network() {
        let limits = Limits::of(&model.config);
        let input = fixture
            .picture()
            .to_tensor(model.config.image_size, model.device());
        let image = model.without_memory(model.encode(input));
        let mask = fixture.tensor::<3>("pred.mask_input").to_device(model.device());
        for case in fixture.predict_cases() {
            let of = |part: &str| format!("pred.{}.{part}", case.name);
            let sparse = fixture
                .case_points(&case)
                .map(|points| model.prompt_encoder.sparse(&points));
            let mask = case.mask_input.then(|| mask.clone());
            let output = model.decode(&image, sparse, mask);
            fixture.assert_close(&of("all_masks"), output.masks, limits.logits);
            fixture.assert_close(&of("tokens"), output.mask_tokens_out, limits.logits);
            fixture.assert_close(&of("all_iou"), output.iou_pred, limits.iou);
            fixture.assert_close(&of("obj_score"), output.object_score_logits, limits.object_score);
        }
    }
}
