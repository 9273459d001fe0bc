//! Masks of everything in a picture (`sam2.automatic_mask_generator.SAM2AutomaticMaskGenerator`).

mod crops;
mod generator;
mod options;
mod points;
mod record;

pub use generator::{FoundMasks, MaskGenerator};
pub use options::MaskGeneratorOptions;
pub use record::MaskRecord;
