//! Segment Anything 2 as the paper draws it, in burn: no files, no browser, no pictures.
//!
//! Every block of the paper's figure is in a file named after it, and every parameter keeps the name
//! it has in the official checkpoints (facebookresearch/sam2).

pub mod config;
pub mod image_encoder;
mod image_model;
pub mod layers;
pub mod mask_decoder;
pub mod memory;
pub mod parameters;
pub mod prompt_encoder;
#[cfg(feature = "webgpu")]
mod warm_up;
pub mod weights;

pub use config::{ConfigError, Sam2Config, Version};
pub use image_encoder::ImageEncoder;
pub use image_model::ImageModel;
pub use mask_decoder::{ImageFeatures, MaskDecoder};
pub use memory::VideoModel;
pub use parameters::ParameterSpec;
pub use prompt_encoder::PromptEncoder;
#[cfg(feature = "webgpu")]
pub use warm_up::warm_up;
pub use weights::{TensorSource, Weights, WeightsError};
