//! What the wasm modules of sam2-web share: the device that computes, errors and promises for JavaScript, and what happens
//! when a module panics.
//!
//! Each module is built twice, with the feature `cpu` or `webgpu`, and both builds have the same exports. Every error reaches
//! JavaScript as an `Error` with a `code` (see `Sam2Error` in the TypeScript package).

mod device;
mod error;
mod object;
mod promise;

pub use device::{Device, Opened};
pub use error::JsFailure;
pub use object::object;
pub use promise::promise;

use wasm_bindgen::prelude::*;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
#[global_allocator]
static HEAP: sam2_heap::Heap = sam2_heap::Heap::new();

/// Runs when the module is instantiated.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// Calls `handler(message)` once if the module panics. After that, none of the pending promises will settle, so the
/// caller must reject them and load the module again.
#[wasm_bindgen(js_name = setPanicHandler)]
pub fn set_panic_handler(handler: js_sys::Function) {
    /// A function that is `Send + Sync`, as the hook must be. There is only one thread.
    struct OneThread(js_sys::Function);
    thread_local! {
        static HANDLER: std::cell::RefCell<Option<OneThread>> = const { std::cell::RefCell::new(None) };
    }
    HANDLER.with(|slot| *slot.borrow_mut() = Some(OneThread(handler)));
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        let handler = HANDLER.with(|slot| slot.borrow_mut().take());
        if let Some(OneThread(handler)) = handler {
            // If the handler throws, the error can no longer be reported.
            let _ = handler.call1(&JsValue::NULL, &info.to_string().into());
        }
    }));
}
