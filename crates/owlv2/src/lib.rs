//! OWLv2, the open-vocabulary detector: "Scaling Open-Vocabulary Object Detection" (Minderer, Gritsenko, Houlsby, 2023),
//! as in transformers' `Owlv2ForObjectDetection`, whose names the blocks and parameters have. A plain vision transformer
//! gives every patch of a picture a box and an embedding; CLIP's text transformer gives a text an embedding of the same
//! width; a box belongs to a text, or to the object of another box, if their embeddings are near each other.
//!
//! - [`Detector`]: the vision tower and its heads. [`Detector::encode`] is the slow step, done once for a picture;
//! - [`TextEncoder`]: the text tower. It is apart, since a program with fixed labels needs only their embeddings;
//! - [`Tokenizer`]: text to tokens; its vocabulary is a file beside the weights;
//! - [`preprocess`]: a picture to the network's input; [`decode`]: the network's boxes to those of the picture;
//! - [`Checkpoint`]: the tensors of a file.
//!
//! In shapes, n is the number of patches, c the width of the vision tower, d that of the embeddings.

mod checkpoint;
pub mod config;
mod decode;
mod detector;
mod encoder;
mod error;
mod example;
mod heads;
mod preprocess;
mod text;
mod tokenizer;
mod vision;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use config::{ConfigError, Owlv2Config};
pub use decode::{PatchBox, best_labels, decode};
pub use detector::{Detector, Features, parameters};
pub use error::LoadError;
pub use example::{like_box, most_object_like};
pub use preprocess::preprocess;
pub use text::TextEncoder;
pub use tokenizer::{Tokenizer, TokenizerError};
pub use vision::VisionTransformer;
