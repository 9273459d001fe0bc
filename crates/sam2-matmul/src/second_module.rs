//! The kernel as a module of its own, with relaxed SIMD, on this module's memory.

use js_sys::{Object, Reflect, Uint8Array, WebAssembly};
use wasm_bindgen::prelude::*;

use crate::kernel::Product;

/// What `build.rs` made.
const MODULE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/relaxed.wasm"));

#[wasm_bindgen]
extern "C" {
    /// The second module's exports.
    type Exports;

    /// [`crate::kernel::multiply`].
    #[wasm_bindgen(method)]
    fn multiply(this: &Exports, product: *const Product);
}

thread_local! {
    /// None where the browser does not take it.
    static EXPORTS: Option<Exports> = instantiate().ok();
}

/// Whether the module was there to do it.
pub fn multiply(product: &Product) -> bool {
    let work = |exports: &Exports| exports.multiply(product);
    EXPORTS.with(|exports| exports.as_ref().map(work).is_some())
}

fn instantiate() -> Result<Exports, JsValue> {
    let module = WebAssembly::Module::new(&Uint8Array::from(MODULE).into())?;
    let environment = Object::new();
    Reflect::set(&environment, &"memory".into(), &wasm_bindgen::memory())?;
    let imports = Object::new();
    Reflect::set(&imports, &"env".into(), &environment)?;
    let instance = WebAssembly::Instance::new(&module, &imports)?;
    Ok(instance.exports().unchecked_into())
}
