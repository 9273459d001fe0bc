//! The parts of the network that only video needs: memories of past frames, and attention to them.

mod attention;
mod bank;
mod encoder;
mod perceiver;

pub use attention::MemoryAttention;
pub use bank::{MemoryRef, MemoryRules, Recall, Remembered, recall, select_closest};
pub use encoder::MemoryEncoder;
pub use perceiver::PerceiverResampler;
