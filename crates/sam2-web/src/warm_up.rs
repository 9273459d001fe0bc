//! A GPU's kernels, before the model's file is there.

use js_sys::Promise;
use sam2_wasm::{Device, promise};
use wasm_bindgen::prelude::*;

/// Compiles a model's kernels while its file is still being downloaded. `beginning` is the file's beginning, up to the end
/// of its safetensors header. Resolves to whether kernels were compiled; on a CPU there are none.
#[wasm_bindgen(js_name = warmUp, unchecked_return_type = "Promise<boolean>")]
pub fn warm_up(device: &Device, beginning: Vec<u8>) -> Promise {
    let opened = device.opened();
    promise(async move { Ok(compiled(opened.implementation(), beginning).into()) })
}

#[cfg(not(feature = "webgpu"))]
fn compiled(_: &sam2::Implementation, _: Vec<u8>) -> bool {
    false
}

#[cfg(feature = "webgpu")]
fn compiled(implementation: &sam2::Implementation, beginning: Vec<u8>) -> bool {
    use sam2_checkpoint::Dtype;

    let Some((config, dtypes)) = sam2::Checkpoint::outline(beginning) else {
        return false;
    };
    // Errors in the file are reported when it is loaded.
    // 8-bit matrices become f16 too.
    let halves = dtypes.iter().all(|dtype| matches!(dtype, Dtype::F16 | Dtype::Q8));
    sam2::warm_up(&config, halves, implementation).is_ok()
}
