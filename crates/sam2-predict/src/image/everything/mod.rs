//! Masks of everything in a picture (`sam2.automatic_mask_generator.SAM2AutomaticMaskGenerator`).

mod crops;
mod generator;
mod nms;
mod options;
mod points;
mod record;

pub use generator::{FoundMasks, MaskGenerator};
pub use nms::nms;
pub use options::MaskGeneratorOptions;
pub use record::MaskRecord;
