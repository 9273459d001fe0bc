//! Conversion of Rust futures to JavaScript promises.

use std::future::Future;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

use crate::error::JsFailure;

/// A promise for the result of `work`, which rejects with a JavaScript `Error`.
pub fn promise(work: impl Future<Output = Result<JsValue, JsFailure>> + 'static) -> Promise {
    future_to_promise(async { work.await.map_err(JsValue::from) })
}
