//! The kernel as a module of its own, with relaxed SIMD, on this module's memory.

use js_sys::{Object, Reflect, Uint8Array, WebAssembly};
use wasm_bindgen::prelude::*;

/// What `build.rs` made.
const MODULE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/relaxed.wasm"));

#[wasm_bindgen]
extern "C" {
    /// The second module's exports.
    pub type Exports;

    /// [`crate::kernel::multiply`].
    #[allow(clippy::too_many_arguments)]
    #[wasm_bindgen(method)]
    pub fn multiply(
        this: &Exports,
        a: *const f32,
        a_stride: usize,
        b: *const f32,
        b_stride: usize,
        b_panel: usize,
        bias: *const f32,
        out: *mut f32,
        out_stride: usize,
        m: usize,
        n: usize,
        k: usize,
        flags: usize,
    );
}

thread_local! {
    /// None where the browser does not take it.
    pub static EXPORTS: Option<Exports> = instantiate().ok();
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
