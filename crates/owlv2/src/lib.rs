//! OWLv2, the open-vocabulary detector: "Scaling Open-Vocabulary Object Detection" (Minderer, Gritsenko, Houlsby, 2023),
//! as in transformers' `Owlv2ForObjectDetection`, whose names the blocks and parameters have. A plain vision transformer
//! gives every patch of a picture a box and an embedding; CLIP's text transformer gives a text an embedding of the same
//! width; a box belongs to a text, or to the object of another box, if their embeddings are near each other.
//!
//! - [`Checkpoint`]: the tensors of a file; [`Tokenizer`]: text to tokens, whose vocabulary is a file beside the weights;
//! - [`Detector`]: pictures and words in, boxes in pixels out. [`Detector::set_image`] is the slow step, done once for a
//!   picture; [`LabelEmbeddings`]: labels made beforehand, for which no text tower is needed.
//!
//! Below them is the network: [`ObjectDetection`], the vision tower and its heads, and [`TextEncoder`], the text tower.
//!
//! In shapes, n is the number of patches, c the width of the vision tower, d that of the embeddings.

mod checkpoint;
mod choose;
pub mod config;
mod decode;
mod detector;
mod encoder;
mod error;
mod example;
mod heads;
mod labels;
mod object_detection;
mod preprocess;
mod text;
mod tokenizer;
mod vision;
mod words;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use choose::{DetectOptions, Detection};
pub use config::{ConfigError, Owlv2Config};
pub use decode::{PatchBox, best_labels, decode};
pub use detector::{Detector, DetectorImage};
pub use error::{DetectError, LoadError};
pub use example::{like_box, most_object_like};
pub use labels::{LabelEmbeddings, LabelsError};
pub use object_detection::{Features, ObjectDetection, parameters};
pub use preprocess::preprocess;
pub use text::TextEncoder;
pub use tokenizer::{Tokenizer, TokenizerError};
pub use vision::VisionTransformer;
