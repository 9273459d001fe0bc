//! EdgeTAM's spatial perceiver and its memory attention against the official ones, each on the official input.

use burn::tensor::Tensor;
use parity::{EDGETAM, Fixture, implementations};
use sam2::Sam2Config;
use sam2::config::PerceiverConfig;
use sam2::memory::{MemoryAttention, PerceiverResampler};
use sam2::position_encoding::position_embedding_sine;
use sam2_ops::{KeyGroup, KeyPositions, Keys, Weights};

/// In parts of each tensor's scale.
const LIMIT: f64 = 1e-4;

/// The fixture, its configuration and that of its perceiver.
fn edgetam() -> (Fixture, Sam2Config, PerceiverConfig) {
    let fixture = Fixture::committed(EDGETAM);
    let config = fixture.config();
    let perceiver = config.spatial_perceiver.clone().expect("a perceiver");
    (fixture, config, perceiver)
}

#[test]
fn latents_of_a_memory() {
    let (fixture, config, perceiver) = edgetam();
    for implementation in implementations() {
        println!("-- {}", implementation.name());
        let (recipe, device) = (fixture.recipe(), implementation.device());
        let mut source = &recipe;
        let mut weights = Weights::new(&mut source, &implementation);
        let resampler = PerceiverResampler::load(&config, &perceiver, weights.at("spatial_perceiver"))
            .expect("the perceiver's weights");
        let x = fixture.tensor::<4>("perceiver.x").to_device(device);
        let latents = resampler.forward(x.permute([0, 2, 3, 1]));
        fixture.assert_close("perceiver.latents", latents.unsqueeze_dim::<3>(0), LIMIT);
    }
}

#[test]
fn positions_of_the_latents() {
    let (fixture, config, perceiver) = edgetam();
    let (dim, side) = (config.memory_encoder.out_dim, perceiver.side_2d());
    let mut positions = vec![0.0; perceiver.num_latents * dim];
    positions.extend(position_embedding_sine(side, side, dim));
    fixture.assert_values_close("perceiver.pos", &positions, 1e-6);
}

#[test]
fn memory_attention() {
    let (fixture, config, perceiver) = edgetam();
    for implementation in implementations() {
        println!("-- {}", implementation.name());
        let (recipe, device) = (fixture.recipe(), implementation.device());
        let mut source = &recipe;
        let mut weights = Weights::new(&mut source, &implementation);
        let attention =
            MemoryAttention::load(&config, weights.at("memory_attention")).expect("the attention's weights");

        let rows = |name: &str| fixture.tensor::<3>(name).squeeze_dim::<2>(1).to_device(device);
        let [memory, pos] = ["memory", "memory_pos"].map(|part| rows(&format!("memory_attention.{part}")));
        let memories = fixture.integers("memory_attention.num_spatial_mem")[0] as usize;
        let each = perceiver.num_latents + perceiver.num_latents_2d;
        // Each memory's latents on the grid, then all of its other latents, then the pointers.
        let group = |parts: Vec<(usize, usize)>, rotated| {
            let of = |x: &Tensor<2>| {
                let parts = parts
                    .iter()
                    .map(|&(first, count)| x.clone().narrow(0, first, count));
                Tensor::cat(parts.collect(), 0)
            };
            KeyGroup {
                parts: vec![(of(&memory), None)],
                positions: Some(KeyPositions {
                    spatial: of(&pos),
                    temporal: Tensor::zeros([1, config.memory_encoder.out_dim], device),
                }),
                rotated,
            }
        };
        let starts = || (0..memories).map(|i| i * each);
        let grids = starts().map(|first| (first + perceiver.num_latents, perceiver.num_latents_2d));
        let others = starts().map(|first| (first, perceiver.num_latents));
        let pointers = (memories * each, memory.dims()[0] - memories * each);
        let groups = vec![
            group(grids.collect(), true),
            group(others.chain([pointers]).collect(), false),
        ];
        let keys = Keys::new(&implementation, groups, config.neck.d_model);

        let (side, dim) = (config.embedding_side(), config.neck.d_model);
        let curr = rows("memory_attention.curr").reshape([1, side, side, dim]);
        let out = attention.forward(curr, &keys).reshape([side * side, 1, dim]);
        fixture.assert_close("memory_attention.out", out, LIMIT);
    }
}
