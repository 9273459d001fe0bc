//! The kernels against plain burn, on whatever Vulkan offers, which may be a CPU (Debian: `mesa-vulkan-drivers`).

mod common;

use burn::tensor::wgpu::wgpu;
use burn::tensor::{Device, Tensor};
use common::compare_all;
use sam2_ops::{Adapter, AdapterClass, Implementation};

/// One test, since whether kernels run is a matter of the whole process.
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
            println!("{adapter:?}: all alike");
        }
    }
}

/// The GPU, and whether its kernels may read f16 numbers.
fn open() -> (Device, bool) {
    let (device, setup) = block_on(Device::wgpu_options().init_with_setup_async())
        .expect("a Vulkan adapter; Debian's mesa-vulkan-drivers has one that needs no GPU");
    println!("on {}", setup.adapter.get_info().name);
    let has_f16 = setup.device.features().contains(wgpu::Features::SHADER_F16);
    (device, has_f16)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
