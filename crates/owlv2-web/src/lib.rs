//! The wasm-bindgen interface of OWLv2, a thin layer over `owlv2`. It is a module of its own, so that a page that looks for no
//! words does not download it.
//!
//! The objects that go in and out are declared in the TypeScript package, in `wasm-detector.ts`. What this module shares
//! with that of SAM 2 (`sam2-web`) is in `sam2-wasm`.

mod detector;

pub use detector::{Detector, DetectorImage};
pub use sam2_wasm::{Device, set_panic_handler, start};
