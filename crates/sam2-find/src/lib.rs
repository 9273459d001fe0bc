//! Words, or an example, as prompts: OWLv2 finds boxes, which are prompts for SAM 2. All coordinates are in the picture's
//! own pixels.

mod error;
mod finder;

pub use error::FindError;
pub use finder::{Finder, FinderImage, Found};
