//! The wasm-bindgen interface of sam2-web, a thin layer over `sam2-predict`.
//!
//! The objects that go in and out are declared in the TypeScript package, in `wasm-module.ts`. What this module shares with
//! that of the detector (`owlv2-web`) is in `sam2-wasm`.

mod everything;
mod model;
mod prompt;
mod video;
mod warm_up;

pub use model::{Embedding, Model};
pub use sam2_wasm::{Device, set_panic_handler, start};
pub use video::Video;
pub use warm_up::warm_up;
