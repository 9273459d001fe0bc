//! Every stage of EdgeTAM's trunk against the official one, whose batch normalisations and branches are not folded.

use parity::{Fixture, implementations, nchw};
use sam2::config::RepVitConfig;
use sam2::image_encoder::RepVit;
use sam2_ops::Weights;

/// In parts of each tensor's scale.
const LIMIT: f64 = 1e-4;

#[test]
fn every_stage() {
    let fixture = Fixture::committed("edgetam_micro");
    let config = RepVitConfig {
        embed_dim: [16, 32, 64, 128],
        depth: [2, 2, 14, 2],
    };
    for implementation in implementations() {
        println!("-- {}", implementation.name());
        let recipe = fixture.recipe();
        let mut source = &recipe;
        let mut weights = Weights::new(&mut source, &implementation);
        let trunk = RepVit::load(&config, weights.at("image_encoder.trunk")).expect("the recipe's weights");

        let picture = fixture.picture().to_tensor(256, implementation.device());
        fixture.assert_close("enc.input", picture.clone(), LIMIT);
        let stem = trunk.stem.forward(picture.clone().permute([0, 2, 3, 1]));
        fixture.assert_close("enc.stem", nchw(stem.clone()), LIMIT);
        // With squeeze-and-excitation and without.
        let [first, second] = [0, 1].map(|i| &trunk.stages[0].blocks[i]);
        let x = first.forward(stem);
        fixture.assert_close("enc.stage0.block0", nchw(x.clone()), LIMIT);
        let x = second.forward(x);
        fixture.assert_close("enc.stage0.block1", nchw(x.clone()), LIMIT);
        let downsample = trunk.stages[1].downsample.as_ref().expect("a later stage");
        fixture.assert_close("enc.stage1.downsample", nchw(downsample.forward(x)), LIMIT);
        for (i, stage) in trunk.forward(picture).into_iter().enumerate() {
            fixture.assert_close(&format!("enc.trunk.{i}"), nchw(stage), LIMIT);
        }
    }
}
