//! Predictors for SAM 2: they take pictures, video frames and prompts, and return masks. All coordinates and masks are in
//! the picture's own pixels.

mod error;
mod image;
mod mask;
mod video;

pub use error::PredictError;
pub use image::{
    BoxPrompt, FoundMasks, ImageEmbedding, ImagePredictor, MAX_PIXELS, MaskGenerator, MaskGeneratorOptions,
    MaskRecord, PictureRef, PixelFormat, PointPrompt, Prediction, Prompt, RefinedMask, ground,
};
pub use mask::{Cleanup, LowResMask, Mask, Rle, RleError, fill_holes, object_in_mask_picture};
pub use video::{
    MemoryUse, ObjectFrames, VideoError, VideoMask, VideoMasks, VideoOptions, VideoSession, frame_to_tensor,
};
