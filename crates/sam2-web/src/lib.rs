//! The wasm-bindgen surface of sam2-web: thin, no logic of its own.
//!
//! Built twice, with the feature `cpu` or `webgpu`; both export the same. Every failure reaches JavaScript as an
//! `Error` with a `code` (see the TypeScript package's `Sam2Error`).

mod device;
mod error;
mod model;
mod promise;
mod prompt;
mod video;

pub use device::Device;
pub use model::{Embedding, Model};
pub use video::Video;

use error::JsFailure;
use wasm_bindgen::prelude::*;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
#[global_allocator]
static HEAP: sam2_heap::Heap = sam2_heap::Heap::new();

/// Runs when the module is instantiated.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// Calls `handler(message)` once if the module panics. Nothing that was under way will ever settle after that, so
/// the caller must then reject it all and load the module anew.
#[wasm_bindgen(js_name = setPanicHandler)]
pub fn set_panic_handler(handler: js_sys::Function) {
    /// There is one thread, and the hook must be `Send + Sync`.
    struct OneThread(js_sys::Function);
    thread_local! {
        static HANDLER: std::cell::RefCell<Option<OneThread>> = const { std::cell::RefCell::new(None) };
    }
    HANDLER.with(|slot| *slot.borrow_mut() = Some(OneThread(handler)));
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        let handler = HANDLER.with(|slot| slot.borrow_mut().take());
        if let Some(OneThread(handler)) = handler {
            // There is no one left to tell if the handler throws.
            let _ = handler.call1(&JsValue::NULL, &info.to_string().into());
        }
    }));
}

/// A mask's bits (as `Prediction` gives them) as COCO's compressed run-length text.
///
/// # Errors
/// `INVALID_IMAGE` if the bits are not as many as the size asks for.
#[wasm_bindgen(js_name = maskToRle)]
pub fn mask_to_rle(bits: &[u8], width: usize, height: usize) -> Result<String, JsValue> {
    let rle = sam2_predict::rle_of_bits(bits, width, height).map_err(JsFailure::from)?;
    Ok(rle.to_compressed())
}
