//! Fixtures of the official code (made by `make_fixture.py`), and the weights they were made with.

pub mod cases;
pub mod fixture;
pub mod recipe;

pub use cases::PredictCase;
pub use fixture::{Difference, Fixture};
pub use recipe::Recipe;

use burn::tensor::Device;

/// The fixtures that are in the repository: SAM 2.1 and SAM 2.0.
pub const COMMITTED: [&str; 2] = ["micro", "micro20"];

/// Where the tests compute.
pub fn cpu() -> Device {
    Device::flex()
}
