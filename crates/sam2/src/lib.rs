//! The network of Segment Anything 2 (SAM 2 and SAM 2.1). Reading its tensors from files is in [`checkpoint`]; pictures,
//! prompts and videos are handled by `sam2-predict`.
//!
//! Each block of the paper's figure is in a file named after it, and each parameter keeps its name from the official
//! checkpoints (facebookresearch/sam2). A block is written once, in the operations of `sam2-ops`. The [`Implementation`]
//! that is chosen when a model is loaded decides how they are computed.
//!
//! In shapes, b is the batch, s the side of the resized picture in pixels, d the decoder's channels (`d_model`) and
//! `mem_dim` the channels of a memory.

pub mod checkpoint;
pub mod config;
mod error;
pub mod image_encoder;
mod image_model;
pub mod mask_decoder;
pub mod memory;
pub mod parameters;
pub mod position_encoding;
pub mod prompt_encoder;
mod tensor_sizes;
mod video_model;
mod warm_up;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use config::{ConfigError, Sam2Config, Version};
pub use error::LoadError;
pub use image_encoder::ImageEncoder;
pub use image_model::ImageModel;
pub use mask_decoder::{ImageFeatures, MaskDecoder};
pub use prompt_encoder::PromptEncoder;
pub use sam2_ops::{Implementation, ParameterSpec, TensorSource, Weights, WeightsError};
pub use video_model::{ObjectPointer, SamOutput, SpatialMemory, VideoModel};
pub use warm_up::warm_up;
