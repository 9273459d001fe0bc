//! Fixtures of the official code (made by `make_fixture.py`), and the weights they were made with.

pub mod cases;
pub mod events;
pub mod everything;
pub mod fixture;
pub mod limits;
pub mod network;
pub mod recipe;
pub mod synthetic;

pub use cases::PredictCase;
pub use everything::generator_options;
pub use fixture::{Difference, Fixture};
pub use limits::Limits;
pub use network::{COMMITTED, EDGETAM, block_on, cpu, natively, nchw};
#[cfg(feature = "gpu")]
pub use network::{every_network, implementations, networks};
pub use recipe::Recipe;
