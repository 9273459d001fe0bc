//! Compares the kernels with plain burn on any Vulkan adapter, which may be a CPU (Debian: `mesa-vulkan-drivers`).

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, Tensor};
use common::bench::{Bench, Numbers, numbers};
use common::{compare_all, windowed_block};
use sam2_ops::{
    Activation, Adapter, AdapterClass, GroupedMlp, Implementation, KeyGroup, KeyPositions, Keys, Linear, Mlp,
    PatchMerge, RotaryAttention, RotaryPositions,
};

/// There is one test, because whether kernels run is a setting of the whole process.
#[test]
fn every_operation_is_as_in_plain_burn() {
    let (device, has_f16) = open();
    let portable = Implementation::portable(Device::flex());
    for class in [AdapterClass::Software, AdapterClass::Hardware] {
        for f16 in [false, true] {
            if f16 && !has_f16 {
                println!("{class:?}: matrices stay f32, this adapter has no f16");
                continue;
            }
            let adapter = Adapter {
                class,
                f16,
                ..Adapter::default()
            };
            let gpu = Implementation::gpu(device.clone(), adapter);
            assert_eq!(gpu.keeps_f16([32, 16]), f16, "{adapter:?}");
            assert!(!gpu.keeps_f16([3, 16]), "{adapter:?}");
            let mut ran = false;
            gpu.warm_up(&mut || {
                ran = true;
                let ones = Tensor::<2>::ones([4, 4], &device);
                gpu.before_reading_matrix(gpu.stack(vec![ones.clone(), ones]));
            });
            assert!(ran, "pipelines are made by running what needs them");
            compare_all(&portable, &gpu);
            odd_widths(&portable, &gpu);
            println!("{adapter:?}: all alike");
            if !f16 {
                let small = Adapter {
                    largest_buffer: SMALL,
                    ..adapter
                };
                let in_parts = Implementation::gpu(device.clone(), small);
                in_parts_as_at_once(&in_parts, &gpu);
                println!("{small:?}: all alike");
            }
        }
    }
}

/// A size in bytes that is so small that the operations below are done in parts.
const SMALL: u64 = 128 << 10;

/// Operations that are done in parts if buffers are small: the results have the same bits.
fn in_parts_as_at_once(in_parts: &Implementation, at_once: &Implementation) {
    let operations: [(&str, Operation); 6] = [
        ("MLP, a residual per row", |bench| mlp(bench, 300)),
        ("MLP, residuals repeated", |bench| mlp(bench, 100)),
        ("MLP, one residual", |bench| mlp(bench, 1)),
        ("MLP, a width that is padded", |bench| {
            let mlp = bench.load(|weights| Mlp::load(weights, &[32, 512, 3], Activation::Relu));
            let x = bench.tensor::<2>("x", [300, 32]);
            numbers(mlp.forward(x))
        }),
        // 96 rows of 80 pixels with 24 values: 6 parts, the last of which is padded.
        ("windows", |bench| windows(bench, [1, 90, 80], 8)),
        // 40 memories' keys of 64 tokens and pointers: 21 parts.
        ("memories", |bench| {
            let (side, dim, kv_dim, memories) = (8, 256, 64, 40);
            let positions = RotaryPositions {
                side,
                dim,
                theta: 10_000.0,
            };
            let attention = bench.load(|weights| {
                let table = positions.parameter(&weights);
                RotaryAttention::load(weights, dim, kv_dim, [table.clone(), table])
            });
            let n = side * side;
            let positions = |name, n| {
                Some(KeyPositions {
                    spatial: bench.tensor(name, [n, kv_dim]),
                    temporal: bench.tensor("temporal", [7, kv_dim]),
                })
            };
            let memory = |i: usize| (bench.tensor(&format!("memory {i}"), [n, kv_dim]), Some(i % 7));
            let groups = vec![
                KeyGroup {
                    parts: (0..memories).map(memory).collect(),
                    positions: positions("spatial", n),
                    rotated: true,
                },
                KeyGroup {
                    parts: vec![(bench.tensor("pointers", [12, kv_dim]), None)],
                    positions: positions("pointers' positions", 12),
                    rotated: false,
                },
            ];
            let keys = Keys::new(bench.0, groups, dim);
            assert_eq!(keys.rotated(), memories * n);
            let [queries, residual] = ["queries", "residual"].map(|name| bench.tensor(name, [n, dim]));
            numbers(attention.forward(queries, &keys, residual))
        }),
    ];
    for (what, run) in operations {
        let [parts, whole] = [in_parts, at_once].map(|implementation| run(Bench(implementation)));
        assert_eq!(parts.shape, whole.shape, "{what}");
        assert!(parts.values.iter().any(|value| *value != 0.0), "{what}: zeros");
        assert!(parts.values == whole.values, "{what}: other numbers in parts");
    }
}

/// 300 rows with 512 hidden values: 5 parts. There are `residuals` rows of residuals.
fn mlp(bench: Bench, residuals: usize) -> Numbers {
    let mlp = bench.load(|weights| Mlp::load(weights, &[32, 512, 16], Activation::Gelu));
    let residual = bench.tensor("residual", [residuals, 16]);
    numbers(mlp.forward_onto::<2>(bench.tensor("x", [300, 32]), residual))
}

/// A block in windows, of which the parts are counted.
fn windows(bench: Bench, size: [usize; 3], window: usize) -> Numbers {
    let calls = AtomicUsize::new(0);
    let numbers = windowed_block(&bench, size, window, |norm, x| {
        calls.fetch_add(1, Ordering::Relaxed);
        norm.forward(x)
    });
    // 16 rows of 80 pixels with 24 values have 120 KiB.
    let wanted = if bench.0.largest_tensor() == SMALL { 6 } else { 1 };
    assert_eq!(calls.into_inner(), wanted, "parts");
    numbers
}

/// A computation by an implementation.
type Operation = fn(Bench) -> Numbers;

/// Operations with widths that are not multiples of 4, which networks have or could have.
fn odd_widths(portable: &Implementation, gpu: &Implementation) {
    let operations: [(&str, Operation); 4] = [
        ("linear layer", |bench| {
            let layer = bench.load(|weights| Linear::load(weights, 6, 13));
            numbers(layer.forward_onto::<2>(bench.tensor("x", [35, 6]), bench.tensor("residual", [5, 13])))
        }),
        ("perceptron", |bench| {
            let mlp = bench.load(|weights| Mlp::load(weights, &[32, 20, 3], Activation::Gelu));
            numbers(mlp.forward_onto::<2>(bench.tensor("x", [35, 32]), bench.tensor("residual", [35, 3])))
        }),
        ("grouped perceptrons", |bench| {
            let mlps = bench.load(|weights| GroupedMlp::load(weights, 3, &[32, 20, 3], Activation::Relu));
            numbers(mlps.forward(bench.tensor("x", [2, 3, 32])))
        }),
        ("patch merging", |bench| {
            let merge = bench.load(|weights| PatchMerge::load(weights, 1, 4));
            numbers(merge.forward(bench.tensor("x", [1, 6, 10, 1])))
        }),
    ];
    for (what, run) in operations {
        let [wanted, found] = [portable, gpu].map(|implementation| run(Bench(implementation)));
        assert_eq!(found.shape, wanted.shape, "{what}");
        for (found, wanted) in found.values.iter().zip(&wanted.values) {
            assert!(
                (found - wanted).abs() < 1e-4,
                "{what}: {found}, expected {wanted}"
            );
        }
    }
}

/// The GPU, and whether its kernels may read f16 numbers.
fn open() -> (Device, bool) {
    let (device, setup) = Device::wgpu_options()
        .graphics_api(WgpuBackend::Vulkan)
        .init_with_setup()
        .expect("a Vulkan adapter; Debian's mesa-vulkan-drivers has one that needs no GPU");
    println!("on {}", setup.adapter.get_info().name);
    let has_f16 = setup.device.features().contains(wgpu::Features::SHADER_F16);
    (device, has_f16)
}
