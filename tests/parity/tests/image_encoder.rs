//! Every stage of the image encoder against the official one, from the picture's pixels on.

use burn::tensor::{Tensor, TensorData};
use parity::{cpu, nchw, networks};
use sam2::position_encoding::position_embedding_sine;

/// In parts of each tensor's scale.
const LIMIT: f64 = 1e-4;

#[test]
fn every_block_and_level() {
    for (fixture, model) in networks() {
        let input = fixture
            .picture()
            .to_tensor(model.config.image_size, model.device());
        fixture.assert_close("enc.input", input.clone(), LIMIT);

        let trunk = model.image_encoder.trunk.as_hiera().expect("Hiera");
        let mut x = trunk.patch_embed.forward(input.clone());
        let pos_embed = trunk.pos_embed.value();
        fixture.assert_close("enc.patch_embed", x.clone() - pos_embed.clone(), LIMIT);
        fixture.assert_close("enc.pos_embed", pos_embed, LIMIT);
        for (i, block) in trunk.blocks.iter().enumerate() {
            x = block.forward(x);
            fixture.assert_close(&format!("enc.block.{i}"), x.clone(), LIMIT);
        }

        let stages = trunk.forward(input.clone());
        for (i, stage) in stages.iter().enumerate() {
            fixture.assert_close(&format!("enc.trunk.{i}"), nchw(stage.clone()), LIMIT);
        }
        for (i, level) in model.image_encoder.neck.forward(stages).into_iter().enumerate() {
            let [_, h, w, d] = level.dims();
            fixture.assert_close(&format!("enc.neck.{i}"), nchw(level), LIMIT);
            if fixture.has(&format!("enc.pos.{i}")) {
                let position = TensorData::new(position_embedding_sine(h, w, d), [1, h, w, d]);
                let position = Tensor::from_data(position, &cpu());
                fixture.assert_close(&format!("enc.pos.{i}"), nchw(position), LIMIT);
            }
        }

        let features = model.without_memory(model.encode(input));
        fixture.assert_close("enc.hires.s0", nchw(features.high_res_0), LIMIT);
        fixture.assert_close("enc.hires.s1", nchw(features.high_res_1), LIMIT);
        fixture.assert_close("enc.image_embed", nchw(features.embedding), LIMIT);
    }
}
