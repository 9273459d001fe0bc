//! The kernel as a second module, with relaxed SIMD, which shares this module's memory.

use js_sys::{Object, Reflect, Uint8Array, WebAssembly};
use wasm_bindgen::prelude::*;

use crate::kernel::Product;

/// The module that `build.rs` has compiled.
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
    /// The second module's exports; `None` if the browser does not accept it.
    static EXPORTS: Option<Exports> = instantiate().ok();
}

/// Computes a product by the second module. Returns false, and computes nothing, if there is no such module.
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
