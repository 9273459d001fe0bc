//! What a frame of video costs with the official tiny at full size and a full bank, to be run in turn with
//! `memory_step.py`, which measures the official code on the same work. On a machine that does other things as well,
//! processor time says more than the clock.
//!
//!     cargo test --release -p parity --test tiny_memory -- --ignored --nocapture
//!     python tests/parity/memory_step.py

use std::fs;
use std::time::Instant;

use burn::tensor::Tensor;
use parity::{Fixture, cpu, natively};
use sam2::mask_decoder::ImageFeatures;
use sam2::{ObjectPointer, SpatialMemory};

#[test]
#[ignore = "a measurement; the head of this file says how to run it"]
fn a_frame_with_a_full_bank() {
    let fixture = Fixture::committed("tiny_synthetic");
    let config = fixture.config();
    let model = fixture.video_model(&natively());
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
        without_mask: None,
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
        let image = measured("memory attention", || {
            model.prepare_memory_conditioned_features(&frame, &memories, &pointers, 16)
        });
        let output = measured("heads", || model.forward_sam_heads(&image, &[], None, true));
        let (masks, score) = (output.low_res_masks, output.object_score_logits);
        let memory = measured("memory encoder", || {
            model.encode_new_memory(frame.embedding.clone(), masks, score, false)
        });
        assert_eq!(memory.dims(), [1, side * side, mem_dim]);
    }
}

/// Does it, and prints its time and how much memory it needed for a while.
fn measured<T>(name: &str, work: impl FnOnce() -> T) -> T {
    // The peak from here on.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let (resident, processor, started) = (memory("VmRSS:"), processor_seconds(), Instant::now());
    let result = work();
    println!(
        "{name}: processor {:.2} s, clock {:.2} s, extra memory {} MB",
        processor_seconds() - processor,
        started.elapsed().as_secs_f64(),
        (memory("VmHWM:") - resident) / 1024
    );
    result
}

/// In kB, as Linux tells it.
fn memory(name: &str) -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

/// Of all threads together.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the program's name: user and system time in hundredths of a second.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: f64 = fields
        .iter()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}
