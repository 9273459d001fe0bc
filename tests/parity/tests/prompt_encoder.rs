//! The prompt encoder against the official one, for every case of the image predictor.

use parity::{every_network, nchw};

const LIMIT: f64 = 1e-5;

#[test]
fn positions_points_and_masks() {
    for (fixture, model) in every_network() {
        let encoder = &model.prompt_encoder;
        fixture.assert_close("dense_pe", nchw(encoder.dense_pe()), LIMIT);

        for case in fixture.predict_cases() {
            let of = |part: &str| format!("pred.{}.{part}", case.name);
            match fixture.case_points(&case) {
                Some(points) => fixture.assert_close(&of("sparse"), encoder.sparse(&points), LIMIT),
                // No points and no box: no tokens, not even the padding.
                None => assert_eq!(fixture.shape(&of("sparse"))[1], 0),
            }
            if case.mask_input {
                let mask = fixture.tensor("pred.mask_input").to_device(model.device());
                fixture.assert_close(&of("dense"), nchw(encoder.dense(Some(mask))), LIMIT);
            }
        }
    }
}
