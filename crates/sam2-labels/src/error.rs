//! The errors of label files.

use sam2_predict::RleError;

/// Why labels cannot be read or written. Each message says what was expected, what was found, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelsError {
    /// The file as a whole is not what it should be.
    #[error("this is no {format} file: {reason}")]
    Format {
        /// What the file should be, such as `COCO`.
        format: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A label's run lengths do not add up to its size, or are not in COCO's form.
    #[error("{label}: {error}")]
    Rle {
        /// Which label, such as `annotation 81`.
        label: String,
        /// What is wrong with its run lengths.
        error: RleError,
    },
    /// A label's mask is in no form that a mask can have.
    #[error("{label}: {reason}")]
    Mask {
        /// Which label, such as `annotation 81`.
        label: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A picture or a mask has no pixels, or more than [`sam2_predict::MAX_PIXELS`].
    #[error(
        "{what} is {width}x{height} pixels: it must have at least one, and at most {} million",
        sam2_predict::MAX_PIXELS >> 20
    )]
    PixelCount {
        /// What has so many, such as `the picture` or `the mask of annotation 81`.
        what: String,
        /// Its width, in pixels.
        width: u64,
        /// Its height, in pixels.
        height: u64,
    },
    /// The file does not say how large a picture is, and its outlines need to know.
    #[error(
        "the size of the picture{} is not in the file, and the labels need it",
        named(picture)
    )]
    NoSize {
        /// The picture's name or id; none where the file has none.
        picture: Option<String>,
    },
    /// A category is none of the classes.
    #[error("\"{category}\" is none of the classes ({classes}): add it to them")]
    NoClass {
        /// The label's category.
        category: String,
        /// The classes that there are.
        classes: String,
    },
    /// There are more labels than an indexed PNG can have.
    #[error("an indexed PNG has up to 255 labels, not {count}: write them as COCO")]
    TooManyLabels {
        /// The picture's labels.
        count: usize,
    },
    /// A transform from pixels to the map has no way back.
    #[error(
        "the transform must be six numbers a, b, c, d, e, f that make an area of a pixel: \
         x' = a x + b y + c, y' = d x + e y + f"
    )]
    Transform,
    /// The outlines' tolerance is not a distance.
    #[error("the tolerance is {tolerance}, expected a number of pixels from 0")]
    Tolerance {
        /// The tolerance that was given.
        tolerance: f64,
    },
    /// A mask does not have its picture's size.
    #[error(
        "the mask of label {index} (counted from 0) is {}x{} pixels, and its picture {}x{}",
        mask[0], mask[1], picture[0], picture[1]
    )]
    MaskSize {
        /// The label's place in its picture.
        index: usize,
        /// The mask's width and height, in pixels.
        mask: [usize; 2],
        /// The picture's width and height, in pixels.
        picture: [usize; 2],
    },
}

fn named(picture: &Option<String>) -> String {
    picture
        .as_ref()
        .map_or(String::new(), |picture| format!(" {picture}"))
}
