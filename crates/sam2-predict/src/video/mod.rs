//! Tracking of objects through videos.

mod error;
mod frame;
mod object;
mod options;
mod past;
mod session;

pub use error::VideoError;
pub use frame::frame_to_tensor;
pub use options::VideoOptions;
pub use session::{MemoryUse, ObjectFrames, VideoMask, VideoMasks, VideoSession};
