//! The one device of a build.

#[cfg(feature = "webgpu")]
pub use webgpu::{check, open, warm_up};

#[cfg(not(feature = "webgpu"))]
pub use cpu::{check, open, warm_up};

use sam2::Implementation;

/// A device that is ready for a model.
pub struct Opened {
    /// How the model is computed on it.
    pub implementation: Implementation,
    /// What to call it.
    pub name: String,
    /// Whether matrices are multiplied in f16.
    pub f16_products: bool,
}

/// The CPU, on one thread with SIMD.
#[cfg(not(feature = "webgpu"))]
mod cpu {
    use sam2::Implementation;
    use sam2_ops::Products;

    use super::Opened;
    use crate::error::JsFailure;

    /// The CPU, where all is computed in f32.
    pub async fn open(_f16_products: bool) -> Result<Opened, JsFailure> {
        Ok(Opened {
            implementation: Implementation::cpu(Products::Packed),
            name: "cpu".into(),
            f16_products: false,
        })
    }

    /// There is nothing to ready.
    pub async fn warm_up(_beginning: Vec<u8>, _f16_products: bool) -> Result<bool, JsFailure> {
        Ok(false)
    }

    /// The CPU tells of its failures at once.
    pub fn check() -> Result<(), JsFailure> {
        Ok(())
    }
}

/// The browser's GPU.
#[cfg(feature = "webgpu")]
mod webgpu {
    use std::cell::RefCell;
    use std::sync::{Arc, Mutex};

    use burn::tensor::Device;
    use burn::tensor::wgpu::wgpu;
    use sam2::Implementation;
    use sam2_ops::{Adapter, AdapterClass};
    use sam2_weights::{Checkpoint, Dtype};

    use super::Opened;
    use crate::error::JsFailure;

    thread_local! {
        // burn keeps a runtime for good, so later models share the first one's.
        static OPENED: RefCell<Option<(Device, Adapter, String)>> = const { RefCell::new(None) };
    }

    /// What the GPU complained of outside any call: without this a broken kernel would give wrong masks silently.
    static TROUBLE: Mutex<Option<(&'static str, String)>> = Mutex::new(None);

    /// The GPU for one model: `f16_products` asks for products in f16, where the GPU has them.
    ///
    /// # Errors
    /// `DEVICE_UNAVAILABLE` where there is no WebGPU or no adapter.
    pub async fn open(f16_products: bool) -> Result<Opened, JsFailure> {
        let (device, adapter, name) = start().await?;
        let adapter = Adapter {
            f16_products,
            ..adapter
        };
        Ok(Opened {
            implementation: Implementation::gpu(device, adapter),
            name,
            f16_products: adapter.multiplies_in_f16(),
        })
    }

    /// The device, what it is good at, and what to call it.
    async fn start() -> Result<(Device, Adapter, String), JsFailure> {
        if let Some(opened) = OPENED.with(|slot| slot.borrow().clone()) {
            return Ok(opened);
        }
        let (device, setup) = Device::wgpu_options()
            .init_with_setup_async()
            .await
            .map_err(|error| {
                JsFailure::new(
                    "DEVICE_UNAVAILABLE",
                    format!("WebGPU could not be started ({error}): use device \"cpu\" or \"auto\""),
                )
            })?;
        setup.device.on_uncaptured_error(Arc::new(|error: wgpu::Error| {
            let code = match error {
                wgpu::Error::OutOfMemory { .. } => "OUT_OF_MEMORY",
                _ => "INTERNAL",
            };
            note(code, format!("the GPU reported: {error}"));
        }));
        setup.device.set_device_lost_callback(|reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                note(
                    "DEVICE_LOST",
                    format!("the GPU was lost ({message}): load the model again"),
                );
            }
        });
        let info = setup.adapter.get_info();
        let adapter = Adapter {
            class: match info.device_type {
                wgpu::DeviceType::Cpu => AdapterClass::Software,
                _ => AdapterClass::Hardware,
            },
            f16: setup.device.features().contains(wgpu::Features::SHADER_F16),
            f16_products: false,
        };
        let name = [&info.name, &info.driver, &info.driver_info]
            .into_iter()
            .find(|text| !text.is_empty());
        let opened = (device, adapter, name.cloned().unwrap_or_else(|| "webgpu".into()));
        OPENED.with(|slot| *slot.borrow_mut() = Some(opened.clone()));
        Ok(opened)
    }

    /// Makes the pipelines for the model whose file begins so, if that can be told.
    ///
    /// # Errors
    /// As [`open`].
    pub async fn warm_up(beginning: Vec<u8>, f16_products: bool) -> Result<bool, JsFailure> {
        let Some((config, dtypes)) = Checkpoint::outline(beginning) else {
            return Ok(false);
        };
        let opened = open(f16_products).await?;
        // What is wrong with the file is said when it is loaded.
        Ok(sam2::warm_up(&config, dtypes == [Dtype::F16], &opened.implementation).is_ok())
    }

    /// # Errors
    /// `DEVICE_LOST`, `OUT_OF_MEMORY` or `INTERNAL`, if the GPU complained since the last call.
    pub fn check() -> Result<(), JsFailure> {
        match TROUBLE.lock().ok().and_then(|mut trouble| trouble.take()) {
            Some((code, message)) => Err(JsFailure::new(code, message)),
            None => Ok(()),
        }
    }

    /// The first complaint is the cause; later ones follow from it.
    fn note(code: &'static str, message: String) {
        if let Ok(mut trouble) = TROUBLE.lock() {
            trouble.get_or_insert((code, message));
        }
    }
}
