//! EdgeTAM at its official size against the official code, natively on the CPU: the trunk's stages, the pyramid, and every
//! prompt. The fixture is made by one command, which `make_edgetam_fixture.py` tells.

use std::path::PathBuf;

use burn::tensor::Tensor;
use parity::{Fixture, block_on, natively, nchw};
use sam2_predict::ImagePredictor;

/// In parts of each tensor's scale.
const LIMIT: f64 = 1e-4;

#[test]
#[ignore = "needs SAM2_EDGETAM_FIXTURE, the folder that make_edgetam_fixture.py --config edgetam writes"]
fn pictures() {
    let folder = std::env::var_os("SAM2_EDGETAM_FIXTURE").expect("SAM2_EDGETAM_FIXTURE");
    let fixture = Fixture::read(&PathBuf::from(folder), "fixture");
    let mut predictor = ImagePredictor::new(fixture.image_model(&natively()));

    let model = predictor.model();
    let picture = fixture
        .picture()
        .to_tensor(model.config.image_size, model.device());
    fixture.assert_close("enc.input", picture.clone(), LIMIT);
    let stages: Vec<Tensor<4>> = model.image_encoder.trunk.forward(picture);
    for (i, stage) in stages.iter().enumerate() {
        fixture.assert_close(&format!("enc.trunk.{i}"), nchw(stage.clone()), LIMIT);
    }
    for (i, level) in model.image_encoder.neck.forward(stages).into_iter().enumerate() {
        fixture.assert_close(&format!("enc.neck.{i}"), nchw(level), LIMIT);
    }

    let image = block_on(predictor.set_image(fixture.picture())).expect("an embedding");
    let [width, height] = fixture.picture_size();
    let mut cases = 0;
    for case in fixture.predict_cases() {
        let of = |part: &str| format!("pred.{}.{part}", case.name);
        predictor = predictor.with_dynamic_multimask(case.dynamic);
        let prompts = case.prompts(width, height, fixture.floats("pred.mask_input"));
        let predictions = block_on(predictor.predict_batch(&image, &prompts)).expect("masks");
        let masks: Vec<_> = predictions.iter().flat_map(|p| &p.masks).collect();
        let logits: Vec<f32> = masks.iter().flat_map(|mask| mask.logits()).collect();
        fixture.assert_values_close(&of("low_res"), &logits, LIMIT);
        let scores: Vec<f32> = masks.iter().map(|mask| mask.score()).collect();
        fixture.assert_values_close(&of("iou"), &scores, LIMIT);
        cases += 1;
    }
    assert!(cases > 5, "{cases} cases");
}
