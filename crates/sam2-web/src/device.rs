//! The one device of a build.

#[cfg(feature = "webgpu")]
pub use webgpu::{check, f16_products, open, set_f16_products, warm_up};

#[cfg(not(feature = "webgpu"))]
pub use cpu::{check, f16_products, open, set_f16_products, warm_up};

/// The CPU, on one thread with SIMD.
#[cfg(not(feature = "webgpu"))]
mod cpu {
    use burn::tensor::Device;

    use crate::error::JsFailure;

    /// The device and what to call it.
    pub async fn open() -> Result<(Device, String), JsFailure> {
        Ok((Device::flex(), "cpu".into()))
    }

    /// There is nothing to ready.
    pub async fn warm_up(_beginning: Vec<u8>) -> Result<bool, JsFailure> {
        Ok(false)
    }

    /// All is computed in f32.
    pub fn set_f16_products(_wanted: bool) {}

    /// It is not.
    pub fn f16_products() -> bool {
        false
    }

    /// The CPU tells of its failures at once.
    pub fn check() -> Result<(), JsFailure> {
        Ok(())
    }
}

/// The browser's GPU.
#[cfg(feature = "webgpu")]
mod webgpu {
    use std::cell::{Cell, RefCell};
    use std::sync::{Arc, Mutex};

    use burn::tensor::Device;
    use burn::tensor::wgpu::wgpu;
    use sam2_kernels::{Adapter, AdapterClass};
    use sam2_weights::{Checkpoint, Dtype};

    use crate::error::JsFailure;

    thread_local! {
        // burn keeps a runtime for good, so later models share the first one's.
        static OPENED: RefCell<Option<(Device, String)>> = const { RefCell::new(None) };
        /// What is known of the GPU, and what was asked of it before it was opened.
        static ADAPTER: Cell<Adapter> = const {
            Cell::new(Adapter {
                class: AdapterClass::Software,
                f16: false,
                f16_products: false,
            })
        };
    }

    /// What the GPU complained of outside any call: without this a broken kernel would give wrong masks silently.
    static TROUBLE: Mutex<Option<(&'static str, String)>> = Mutex::new(None);

    /// The device and what to call it.
    ///
    /// # Errors
    /// `DEVICE_UNAVAILABLE` where there is no WebGPU or no adapter.
    pub async fn open() -> Result<(Device, String), JsFailure> {
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
        set_adapter(Adapter {
            class: match info.device_type {
                wgpu::DeviceType::Cpu => AdapterClass::Software,
                _ => AdapterClass::Hardware,
            },
            f16: setup.device.features().contains(wgpu::Features::SHADER_F16),
            ..ADAPTER.get()
        });
        let name = [&info.name, &info.driver, &info.driver_info]
            .into_iter()
            .find(|text| !text.is_empty());
        let opened = (device, name.cloned().unwrap_or_else(|| "webgpu".into()));
        OPENED.with(|slot| *slot.borrow_mut() = Some(opened.clone()));
        Ok(opened)
    }

    fn set_adapter(adapter: Adapter) {
        ADAPTER.set(adapter);
        sam2::layers::set_adapter(adapter);
    }

    /// Sets whether matrices are to be multiplied in f16 where the GPU can, in every model of the device.
    pub fn set_f16_products(wanted: bool) {
        set_adapter(Adapter {
            f16_products: wanted,
            ..ADAPTER.get()
        });
    }

    /// Whether they are.
    pub fn f16_products() -> bool {
        ADAPTER.get().multiplies_in_f16()
    }

    /// Makes the pipelines for the model whose file begins so, if that can be told.
    ///
    /// # Errors
    /// As [`open`].
    pub async fn warm_up(beginning: Vec<u8>) -> Result<bool, JsFailure> {
        let Some((config, dtypes)) = Checkpoint::outline(beginning) else {
            return Ok(false);
        };
        let (device, _) = open().await?;
        // What is wrong with the file is said when it is loaded.
        Ok(sam2::warm_up(&config, dtypes == [Dtype::F16], &device).is_ok())
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
