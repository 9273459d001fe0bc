//! The device that computes a model. Each model has its own, so that an error on one device does not affect another
//! model.

use std::future::Future;
use std::rc::Rc;

use js_sys::Promise;
use wasm_bindgen::prelude::*;

use crate::error::JsFailure;
use crate::promise::promise;

#[cfg(not(feature = "webgpu"))]
use cpu as kind;
#[cfg(feature = "webgpu")]
use webgpu as kind;

pub use kind::Opened;

/// A device that has been opened for a model.
#[wasm_bindgen]
pub struct Device {
    opened: Rc<Opened>,
}

impl Device {
    /// The device for objects that have tensors on it. They keep it alive.
    pub fn opened(&self) -> Rc<Opened> {
        self.opened.clone()
    }
}

#[wasm_bindgen]
impl Device {
    /// Opens the device of this build, the CPU or a GPU. With `f16_products`, matrices are multiplied in f16 if the GPU
    /// supports it. Resolves to a `Device`.
    ///
    /// Rejects with `DEVICE_UNAVAILABLE`.
    #[wasm_bindgen(unchecked_return_type = "Promise<Device>")]
    pub fn open(#[wasm_bindgen(js_name = f16Products)] f16_products: bool) -> Promise {
        promise(async move {
            let opened = Rc::new(Opened::open(f16_products).await?);
            Ok(Device { opened }.into())
        })
    }

    /// `cpu`, or the name of the GPU.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.opened.name().into()
    }

    /// Whether matrices are multiplied in f16.
    #[wasm_bindgen(getter, js_name = f16Products)]
    pub fn f16_products(&self) -> bool {
        self.opened.f16_products()
    }

    /// Resolves to an error when the device can no longer compute: `DEVICE_LOST`, or `OUT_OF_MEMORY` if that is the
    /// cause. Resolves to `undefined` if the device and everything on it is freed before that.
    #[wasm_bindgen(unchecked_return_type = "Promise<Error | undefined>")]
    pub fn fault(&self) -> Promise {
        let fault = self.opened.fault();
        promise(async move { Ok(fault.await.map_or(JsValue::UNDEFINED, JsValue::from)) })
    }
}

impl Opened {
    /// Runs `work` on this device. It fails if the device reports an error meanwhile, which is then taken for the cause
    /// of an error of `work` too.
    ///
    /// # Errors
    /// The errors of `work`, and `DEVICE_LOST`, `OUT_OF_MEMORY` or `INTERNAL`.
    pub async fn watch<T>(&self, work: impl Future<Output = Result<T, JsFailure>>) -> Result<T, JsFailure> {
        match work.await {
            Ok(value) => self.check().map(|()| value),
            Err(failure) if failure.is_of_the_device() => Err(self.check().err().unwrap_or(failure)),
            Err(failure) => Err(failure),
        }
    }
}

/// The CPU, on one thread with SIMD. Its errors are reported immediately.
#[cfg(not(feature = "webgpu"))]
mod cpu {
    use std::future::{Future, pending};

    use sam2_ops::{Implementation, Products};

    use crate::error::JsFailure;

    /// The CPU.
    pub struct Opened(Implementation);

    impl Opened {
        /// Opens the CPU.
        ///
        /// # Errors
        /// There are none, since the CPU is always available.
        pub async fn open(_f16_products: bool) -> Result<Self, JsFailure> {
            Ok(Self(Implementation::cpu(Products::Packed)))
        }

        /// What computes on it.
        pub fn implementation(&self) -> &Implementation {
            &self.0
        }

        /// `cpu`, or the name of the GPU.
        pub fn name(&self) -> &str {
            "cpu"
        }

        /// False: everything is computed in f32.
        pub fn f16_products(&self) -> bool {
            false
        }

        /// Pending: the CPU does not fail.
        pub fn fault(&self) -> impl Future<Output = Option<JsFailure>> + 'static {
            pending()
        }

        /// Checks that the device has reported no error.
        ///
        /// # Errors
        /// There are none.
        pub fn check(&self) -> Result<(), JsFailure> {
            Ok(())
        }
    }
}

/// The browser's GPU.
#[cfg(feature = "webgpu")]
mod webgpu {
    use std::future::{Future, poll_fn};
    use std::sync::{Arc, Mutex, PoisonError};
    use std::task::{Poll, Waker};

    use burn::tensor::Device;
    use burn::tensor::wgpu::{WgpuSetup, wgpu};
    use sam2_ops::{Adapter, AdapterClass, Implementation};

    use crate::error::JsFailure;

    /// A GPU device that only one model uses.
    pub struct Opened {
        implementation: Implementation,
        gpu: wgpu::Device,
        name: String,
        f16_products: bool,
        errors: GpuErrors,
    }

    impl Opened {
        /// Opens a GPU.
        ///
        /// # Errors
        /// `DEVICE_UNAVAILABLE` if there is no WebGPU, no adapter, or no adapter with sufficient limits.
        pub async fn open(f16_products: bool) -> Result<Self, JsFailure> {
            let setup = acquire().await.map_err(unavailable)?;
            let (gpu, info) = (setup.device.clone(), setup.adapter.get_info());
            let device = Device::wgpu_options().setup(setup).init().map_err(unavailable)?;
            // By now, burn has set its own handlers, which would panic. These replace them.
            let errors = GpuErrors::of(&gpu);
            let name = [&info.name, &info.driver, &info.driver_info]
                .into_iter()
                .find(|text| !text.is_empty());
            let limits = gpu.limits();
            let adapter = Adapter {
                class: match info.device_type {
                    wgpu::DeviceType::Cpu => AdapterClass::Software,
                    _ => AdapterClass::Hardware,
                },
                f16: gpu.features().contains(wgpu::Features::SHADER_F16),
                f16_products,
                largest_buffer: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
            };
            Ok(Self {
                implementation: Implementation::gpu(device, adapter),
                name: name.cloned().unwrap_or_else(|| "webgpu".into()),
                f16_products: adapter.multiplies_in_f16(),
                gpu,
                errors,
            })
        }

        /// What computes on it.
        pub fn implementation(&self) -> &Implementation {
            &self.implementation
        }

        /// `cpu`, or the name of the GPU.
        pub fn name(&self) -> &str {
            &self.name
        }

        /// Whether matrices are multiplied in f16.
        pub fn f16_products(&self) -> bool {
            self.f16_products
        }

        /// The error that ends the device; `None` if it is freed before that.
        pub fn fault(&self) -> impl Future<Output = Option<JsFailure>> + 'static {
            self.errors.fault()
        }

        /// Checks that the device has reported no error.
        ///
        /// # Errors
        /// The error that ended the device, or the first that it has reported since the last call.
        pub fn check(&self) -> Result<(), JsFailure> {
            self.errors.check()
        }
    }

    impl Drop for Opened {
        /// Frees the GPU's memory here, because burn never drops a device.
        fn drop(&mut self) {
            self.errors.close();
            self.gpu.destroy();
        }
    }

    /// Opens a new device. (burn would open one device and share it.)
    async fn acquire() -> Result<WgpuSetup, String> {
        let backend = wgpu::Backend::BrowserWebGpu;
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: backend.into(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let adapter = instance
            .request_adapter(&wgpu::RequestAdapterOptions {
                power_preference: wgpu::PowerPreference::HighPerformance,
                ..Default::default()
            })
            .await
            .map_err(|error| error.to_string())?;
        // Ask for all of the adapter's limits: with larger buffers than the default limits allow, less is done in parts.
        let features = adapter
            .features()
            .difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS | wgpu::Features::all_experimental_mask());
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                required_features: features,
                required_limits: adapter.limits(),
                memory_hints: wgpu::MemoryHints::MemoryUsage,
                ..Default::default()
            })
            .await
            .map_err(|error| error.to_string())?;
        Ok(WgpuSetup {
            instance,
            adapter,
            device,
            queue,
            backend,
        })
    }

    fn unavailable(error: impl std::fmt::Display) -> JsFailure {
        JsFailure::new(
            "DEVICE_UNAVAILABLE",
            format!("WebGPU could not be started ({error}): use device \"cpu\" or \"auto\""),
        )
    }

    /// Errors that a GPU reports outside of any call. Without them, a broken kernel would silently give wrong masks.
    #[derive(Clone, Default)]
    struct GpuErrors(Arc<Mutex<Reported>>);

    #[derive(Default)]
    struct Reported {
        /// The first error that ended the device. Later ones are its consequences.
        fault: Option<JsFailure>,
        /// The first other error since the last call.
        passing: Option<JsFailure>,
        closed: bool,
        waiting: Vec<Waker>,
    }

    impl GpuErrors {
        fn of(gpu: &wgpu::Device) -> Self {
            let errors = Self::default();
            let seen = errors.clone();
            gpu.on_uncaptured_error(Arc::new(move |error: wgpu::Error| match error {
                // The invalid buffer is already in burn's pool and would be reused, so this ends the device.
                wgpu::Error::OutOfMemory { .. } => seen.end(JsFailure::out_of_memory(&error.to_string())),
                _ => seen.pass(JsFailure::new("INTERNAL", format!("the GPU reported: {error}"))),
            }));
            let seen = errors.clone();
            gpu.set_device_lost_callback(move |_, message| seen.end(JsFailure::lost(&message)));
            errors
        }

        fn with<T>(&self, work: impl FnOnce(&mut Reported) -> T) -> T {
            work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }

        fn end(&self, failure: JsFailure) {
            let waiting = self.with(|reported| {
                if reported.closed {
                    return Vec::new();
                }
                reported.fault.get_or_insert(failure);
                std::mem::take(&mut reported.waiting)
            });
            waiting.into_iter().for_each(Waker::wake);
        }

        fn pass(&self, failure: JsFailure) {
            self.with(|reported| reported.passing.get_or_insert(failure).clone());
        }

        /// Called when the device is freed because it is no longer used.
        fn close(&self) {
            let waiting = self.with(|reported| {
                reported.closed = true;
                std::mem::take(&mut reported.waiting)
            });
            waiting.into_iter().for_each(Waker::wake);
        }

        fn check(&self) -> Result<(), JsFailure> {
            self.with(|reported| {
                let passing = reported.passing.take();
                reported.fault.clone().or(passing).map_or(Ok(()), Err)
            })
        }

        fn fault(&self) -> impl Future<Output = Option<JsFailure>> + 'static {
            let errors = self.clone();
            poll_fn(move |context| {
                errors.with(|reported| {
                    if reported.fault.is_some() || reported.closed {
                        return Poll::Ready(reported.fault.clone());
                    }
                    reported.waiting.push(context.waker().clone());
                    Poll::Pending
                })
            })
        }
    }
}
