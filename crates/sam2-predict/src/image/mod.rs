//! Prediction on single pictures.

mod embedding;
mod everything;
mod ground;
mod picture;
mod predictor;
mod prompt;
mod refine;

pub use embedding::ImageEmbedding;
pub use everything::{FoundMasks, MaskGenerator, MaskGeneratorOptions, MaskRecord};
pub use ground::ground;
pub(crate) use picture::normalised;
pub use picture::{MAX_PIXELS, PictureRef, PixelFormat};
pub(crate) use predictor::check_count;
pub use predictor::{ImagePredictor, Prediction};
pub use prompt::{BoxPrompt, PointPrompt, Prompt};
pub use refine::RefinedMask;
