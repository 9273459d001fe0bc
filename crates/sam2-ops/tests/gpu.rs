//! Compares the kernels with plain burn on any Vulkan adapter, which may be a CPU (Debian: `mesa-vulkan-drivers`).

mod common;

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, Tensor};
use common::bench::{Bench, Numbers, numbers};
use common::compare_all;
use sam2_ops::{Activation, Adapter, AdapterClass, GroupedMlp, Implementation, Linear, Mlp, PatchMerge};

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
                f16_products: false,
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
        }
    }
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
