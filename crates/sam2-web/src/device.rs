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
    use std::cell::RefCell;
    use std::sync::{Arc, Mutex};

    use burn::tensor::Device;
    use burn::tensor::wgpu::wgpu;
    /// Whether matrices are multiplied in f16, in every model of the device.
    pub use sam2_kernels::{f16_products, set_f16_products};
    use sam2_weights::{Checkpoint, Dtype};

    use crate::error::JsFailure;

    thread_local! {
        // burn keeps a runtime for good, so later models share the first one's.
        static OPENED: RefCell<Option<(Device, String)>> = const { RefCell::new(None) };
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
        sam2_kernels::set_adapter_class(match info.device_type {
            wgpu::DeviceType::Cpu => sam2_kernels::AdapterClass::Software,
            _ => sam2_kernels::AdapterClass::Hardware,
        });
        sam2_kernels::set_f16(setup.device.features().contains(wgpu::Features::SHADER_F16));
        let name = [&info.name, &info.driver, &info.driver_info]
            .into_iter()
            .find(|text| !text.is_empty());
        let opened = (device, name.cloned().unwrap_or_else(|| "webgpu".into()));
        OPENED.with(|slot| *slot.borrow_mut() = Some(opened.clone()));
        Ok(opened)
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
