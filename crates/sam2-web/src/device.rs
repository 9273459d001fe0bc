//! The device that a model computes on: its own, so that no model hears of another's faults.

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

/// A device, opened and ready to be computed on.
#[wasm_bindgen]
pub struct Device {
    opened: Rc<Opened>,
}

impl Device {
    /// To be held by all that has tensors on it.
    pub fn opened(&self) -> Rc<Opened> {
        self.opened.clone()
    }
}

#[wasm_bindgen]
impl Device {
    /// Opens the build's device. `f16_products` asks for matrices to be multiplied in f16 where a GPU can. Resolves to a
    /// `Device`.
    ///
    /// Rejects with `DEVICE_UNAVAILABLE`.
    #[wasm_bindgen(unchecked_return_type = "Promise<Device>")]
    pub fn open(#[wasm_bindgen(js_name = f16Products)] f16_products: bool) -> Promise {
        promise(async move {
            let opened = Rc::new(Opened::open(f16_products).await?);
            Ok(Device { opened }.into())
        })
    }

    /// `cpu`, or what the GPU calls itself.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.opened.name().into()
    }

    /// Whether matrices are multiplied in f16.
    #[wasm_bindgen(getter, js_name = f16Products)]
    pub fn f16_products(&self) -> bool {
        self.opened.f16_products()
    }

    /// Readies it for a model while its file is still coming: `beginning` is a safetensors file's header. Resolves to
    /// whether there was anything to do.
    #[wasm_bindgen(js_name = warmUp, unchecked_return_type = "Promise<boolean>")]
    pub fn warm_up(&self, beginning: Vec<u8>) -> Promise {
        let opened = self.opened.clone();
        promise(async move { Ok(opened.warm_up(beginning).into()) })
    }

    /// Resolves to an error once nothing can be computed on it any more: `DEVICE_LOST`, or `OUT_OF_MEMORY` where that is
    /// the cause. Resolves to nothing when the device is freed, with all that is on it, before.
    #[wasm_bindgen(unchecked_return_type = "Promise<Error | undefined>")]
    pub fn fault(&self) -> Promise {
        let fault = self.opened.fault();
        promise(async move { Ok(fault.await.map_or(JsValue::UNDEFINED, JsValue::from)) })
    }
}

impl Opened {
    /// `work` on this device. What the device complained of meanwhile is the cause of a failure, and a failure by itself.
    ///
    /// # Errors
    /// As `work`; `DEVICE_LOST`, `OUT_OF_MEMORY` or `INTERNAL`.
    pub async fn watch<T>(&self, work: impl Future<Output = Result<T, JsFailure>>) -> Result<T, JsFailure> {
        match work.await {
            Ok(value) => self.check().map(|()| value),
            Err(failure) if failure.is_of_the_device() => Err(self.check().err().unwrap_or(failure)),
            Err(failure) => Err(failure),
        }
    }
}

/// The CPU, on one thread with SIMD. It tells of its failures at once.
#[cfg(not(feature = "webgpu"))]
mod cpu {
    use std::future::{Future, pending};

    use sam2::Implementation;
    use sam2_ops::Products;

    use crate::error::JsFailure;

    /// The CPU.
    pub struct Opened(Implementation);

    impl Opened {
        /// # Errors
        /// None: it is always there.
        pub async fn open(_f16_products: bool) -> Result<Self, JsFailure> {
            Ok(Self(Implementation::cpu(Products::Packed)))
        }

        pub fn implementation(&self) -> &Implementation {
            &self.0
        }

        pub fn name(&self) -> &str {
            "cpu"
        }

        /// All is computed in f32.
        pub fn f16_products(&self) -> bool {
            false
        }

        /// There is nothing to ready.
        pub fn warm_up(&self, _beginning: Vec<u8>) -> bool {
            false
        }

        pub fn fault(&self) -> impl Future<Output = Option<JsFailure>> + 'static {
            pending()
        }

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
    use sam2::{Checkpoint, Implementation};
    use sam2_checkpoint::Dtype;
    use sam2_ops::{Adapter, AdapterClass};

    use crate::error::JsFailure;

    /// A GPU's device, with nobody else's work on it.
    pub struct Opened {
        implementation: Implementation,
        gpu: wgpu::Device,
        name: String,
        f16_products: bool,
        trouble: Trouble,
    }

    impl Opened {
        /// # Errors
        /// `DEVICE_UNAVAILABLE` where there is no WebGPU, no adapter, or none that has enough of what is needed.
        pub async fn open(f16_products: bool) -> Result<Self, JsFailure> {
            let setup = acquire().await.map_err(unavailable)?;
            let (gpu, info) = (setup.device.clone(), setup.adapter.get_info());
            let device = Device::wgpu_options().setup(setup).init().map_err(unavailable)?;
            // burn's own handlers, which would panic, have been set by now.
            let trouble = Trouble::of(&gpu);
            let name = [&info.name, &info.driver, &info.driver_info]
                .into_iter()
                .find(|text| !text.is_empty());
            let adapter = Adapter {
                class: match info.device_type {
                    wgpu::DeviceType::Cpu => AdapterClass::Software,
                    _ => AdapterClass::Hardware,
                },
                f16: gpu.features().contains(wgpu::Features::SHADER_F16),
                f16_products,
            };
            Ok(Self {
                implementation: Implementation::gpu(device, adapter),
                name: name.cloned().unwrap_or_else(|| "webgpu".into()),
                f16_products: adapter.multiplies_in_f16(),
                gpu,
                trouble,
            })
        }

        pub fn implementation(&self) -> &Implementation {
            &self.implementation
        }

        pub fn name(&self) -> &str {
            &self.name
        }

        pub fn f16_products(&self) -> bool {
            self.f16_products
        }

        /// Makes the pipelines for the model whose file begins so, if that can be told.
        pub fn warm_up(&self, beginning: Vec<u8>) -> bool {
            let Some((config, dtypes)) = Checkpoint::outline(beginning) else {
                return false;
            };
            // What is wrong with the file is said when it is loaded.
            sam2::warm_up(&config, dtypes == [Dtype::F16], &self.implementation).is_ok()
        }

        /// What ends the device; nothing where it is freed before.
        pub fn fault(&self) -> impl Future<Output = Option<JsFailure>> + 'static {
            self.trouble.fault()
        }

        /// # Errors
        /// What ended the device, or what it complained of since the last call.
        pub fn check(&self) -> Result<(), JsFailure> {
            self.trouble.check()
        }
    }

    impl Drop for Opened {
        /// burn keeps its side of a device for good, so its memory is freed here.
        fn drop(&mut self) {
            self.trouble.close();
            self.gpu.destroy();
        }
    }

    /// A device of our own. (That which burn opens by itself is one for all.)
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
        // All that the adapter has: the networks' buffers are larger than what is promised everywhere.
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

    /// What a GPU complains of outside any call: without this a broken kernel would give wrong masks silently.
    #[derive(Clone, Default)]
    struct Trouble(Arc<Mutex<Complaints>>);

    #[derive(Default)]
    struct Complaints {
        /// The first that ends the device: later ones follow from it.
        fault: Option<JsFailure>,
        /// The first since the last call that does not.
        passing: Option<JsFailure>,
        closed: bool,
        waiting: Vec<Waker>,
    }

    impl Trouble {
        fn of(gpu: &wgpu::Device) -> Self {
            let trouble = Self::default();
            let heard = trouble.clone();
            gpu.on_uncaptured_error(Arc::new(move |error: wgpu::Error| match error {
                // What was to be allocated is part of burn's pool by now, and would be used again.
                wgpu::Error::OutOfMemory { .. } => heard.end(JsFailure::out_of_memory(&error.to_string())),
                _ => heard.pass(JsFailure::new("INTERNAL", format!("the GPU reported: {error}"))),
            }));
            let heard = trouble.clone();
            gpu.set_device_lost_callback(move |_, message| heard.end(JsFailure::lost(&message)));
            trouble
        }

        fn with<T>(&self, work: impl FnOnce(&mut Complaints) -> T) -> T {
            work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }

        fn end(&self, failure: JsFailure) {
            let waiting = self.with(|complaints| {
                if complaints.closed {
                    return Vec::new();
                }
                complaints.fault.get_or_insert(failure);
                std::mem::take(&mut complaints.waiting)
            });
            waiting.into_iter().for_each(Waker::wake);
        }

        fn pass(&self, failure: JsFailure) {
            self.with(|complaints| complaints.passing.get_or_insert(failure).clone());
        }

        /// The device goes because nobody wants it any more.
        fn close(&self) {
            let waiting = self.with(|complaints| {
                complaints.closed = true;
                std::mem::take(&mut complaints.waiting)
            });
            waiting.into_iter().for_each(Waker::wake);
        }

        fn check(&self) -> Result<(), JsFailure> {
            self.with(|complaints| {
                let passing = complaints.passing.take();
                complaints.fault.clone().or(passing).map_or(Ok(()), Err)
            })
        }

        fn fault(&self) -> impl Future<Output = Option<JsFailure>> + 'static {
            let trouble = self.clone();
            poll_fn(move |context| {
                trouble.with(|complaints| {
                    if complaints.fault.is_some() || complaints.closed {
                        return Poll::Ready(complaints.fault.clone());
                    }
                    complaints.waiting.push(context.waker().clone());
                    Poll::Pending
                })
            })
        }
    }
}
