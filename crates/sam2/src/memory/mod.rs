//! What video adds to the network: memories of past frames and attention to them.

mod attention;
mod bank;
mod depthwise_conv;
mod encoder;
mod mask_downsampler;
mod model;
mod round;

pub use attention::MemoryAttention;
pub use bank::{MemoryRef, MemoryRules, Recall, Remembered, recall, select_closest};
pub use encoder::MemoryEncoder;
pub use model::{ObjectPointer, SamOutput, SpatialMemory, VideoModel};
pub use round::round_to_bf16;
