//! Rust's work as JavaScript's promises.

use std::future::Future;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

use crate::error::JsFailure;

/// `work`, its failure as a JavaScript `Error`.
pub fn promise(work: impl Future<Output = Result<JsValue, JsFailure>> + 'static) -> Promise {
    future_to_promise(async { work.await.map_err(JsValue::from) })
}
