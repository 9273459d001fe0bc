//! What a frame of video costs with the official tiny at full size and a full bank.
//!
//!     cargo test --release -p parity --test tiny_memory -- --ignored --nocapture

use std::time::Instant;

use burn::tensor::Tensor;
use parity::{Fixture, cpu};
use sam2::VideoModel;
use sam2::mask_decoder::ImageFeatures;
use sam2::memory::{ObjectPointer, SpatialMemory};

#[test]
#[ignore = "a measurement; the head of this file says how to run it"]
fn a_frame_with_a_full_bank() {
    let fixture = Fixture::committed("tiny_synthetic");
    let config = fixture.config();
    let model = VideoModel::load(&config, &mut &fixture.recipe(), &cpu()).expect("all tensors");
    let (side, dim, mem_dim) = (
        config.embedding_side(),
        config.neck.d_model,
        config.memory_encoder.out_dim,
    );
    let noise = |h: usize, d: usize| {
        let distribution = burn::tensor::Distribution::Normal(0.0, 1.0);
        Tensor::<4>::random([1, h, h, d], distribution, &cpu())
    };
    let frame = ImageFeatures {
        high_res_0: noise(4 * side, dim / 8),
        high_res_1: noise(2 * side, dim / 4),
        embedding: noise(side, dim),
    };
    let memories: Vec<SpatialMemory> = (0..config.num_maskmem)
        .map(|t_pos| SpatialMemory {
            features: noise(side, mem_dim).reshape([1, side * side, mem_dim]),
            t_pos,
        })
        .collect();
    let pointers: Vec<ObjectPointer> = (0..16)
        .map(|distance| ObjectPointer {
            pointer: Tensor::ones([1, dim], &cpu()),
            distance,
        })
        .collect();

    for _ in 0..3 {
        let started = Instant::now();
        let image = model.condition_on_memory(&frame, &memories, &pointers, 16);
        let conditioned = started.elapsed();
        let output = model.sam_heads(&image, &[], None, true);
        let headed = started.elapsed();
        let (masks, score) = (output.low_res_masks, output.object_score_logits);
        let memory = model.encode_memory(frame.embedding.clone(), masks, score, false);
        assert_eq!(memory.dims(), [1, side * side, mem_dim]);
        let seconds =
            [conditioned, headed - conditioned, started.elapsed() - headed].map(|t| t.as_secs_f64());
        println!(
            "memory attention, heads, memory encoder: {seconds:.2?} s; peak {}",
            peak_memory()
        );
    }
}

/// The most memory that the process has had, as Linux tells it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or("unknown");
    line.to_string()
}
