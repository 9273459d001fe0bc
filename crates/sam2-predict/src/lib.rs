//! What people do with SAM 2: a picture and prompts in, masks out, all in the picture's own pixels.

mod error;
mod ground;
mod holes;
mod image_predictor;
mod mask;
mod mask_picture;
mod picture;
mod prompt;
mod rle;
mod upscale;
mod video_error;
mod video_frame;
mod video_object;
mod video_options;
mod video_past;
mod video_predictor;

pub use error::PredictError;
pub use ground::ground;
pub use holes::fill_holes;
pub use image_predictor::{ImageEmbedding, ImagePredictor, Prediction};
pub use mask::{Mask, rle_of_bits};
pub use mask_picture::object_in_mask_picture;
pub use picture::{MAX_PIXELS, PictureRef, PixelFormat};
pub use prompt::{BoxPrompt, PointPrompt, Prompt};
pub use rle::{Rle, RleError};
pub use video_error::VideoError;
pub use video_frame::frame_to_tensor;
pub use video_options::VideoOptions;
pub use video_predictor::{MemoryUse, ObjectFrames, VideoMask, VideoMasks, VideoSession};
