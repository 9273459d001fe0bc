//! Segment Anything 2 as the paper draws it, in burn: no files, no browser, no pictures.
//!
//! Every block of the paper's figure is in a file named after it, and every parameter keeps the name
//! it has in the official checkpoints (facebookresearch/sam2).

pub mod config;
pub mod weights;

pub use config::{Sam2Config, Version};
pub use weights::{TensorSource, Weights, WeightsError};
