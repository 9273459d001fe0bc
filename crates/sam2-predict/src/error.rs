//! The errors of pictures and prompts.

/// Why a picture or a prompt cannot be used. Each message says what was expected, what was found, and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PredictError {
    /// The picture has no pixels.
    #[error("the picture is {width}x{height} pixels: both sides must be at least 1")]
    EmptyPicture {
        /// The picture's width, in pixels.
        width: usize,
        /// The picture's height, in pixels.
        height: usize,
    },
    /// The picture has more than [`crate::MAX_PIXELS`].
    #[error(
        "the picture is {width}x{height} pixels, over the limit of {} million: scale it down first",
        crate::MAX_PIXELS >> 20
    )]
    PictureTooLarge {
        /// The picture's width, in pixels.
        width: usize,
        /// The picture's height, in pixels.
        height: usize,
    },
    /// The number of bytes does not match the picture's size.
    #[error("a picture of {width}x{height} pixels needs {expected} bytes, got {found}")]
    PictureBytes {
        /// The picture's width, in pixels.
        width: usize,
        /// The picture's height, in pixels.
        height: usize,
        /// The number of bytes of a picture of this size.
        expected: usize,
        /// The number of bytes that were given.
        found: usize,
    },
    /// A coordinate is NaN or infinite.
    #[error("{what} has a coordinate that is not a finite number: ({x}, {y})")]
    NotFinite {
        /// What has the coordinate, such as `point 0` or `the box`.
        what: String,
        /// The x coordinate that was given.
        x: f32,
        /// The y coordinate that was given.
        y: f32,
    },
    /// A point or a box lies outside the picture.
    #[error(
        "{what} at ({x}, {y}) lies outside the picture of {width}x{height}: \
         coordinates are the picture's pixels, from 0 to its size"
    )]
    Outside {
        /// What has the coordinate, such as `point 0` or `the box`.
        what: String,
        /// The x coordinate that was given.
        x: f32,
        /// The y coordinate that was given.
        y: f32,
        /// The picture's width, in pixels.
        width: usize,
        /// The picture's height, in pixels.
        height: usize,
    },
    /// A label is neither 1, 0 nor -1.
    #[error("point {index} has label {label}: use 1 for on the object, 0 for not on it")]
    Label {
        /// The index of the point.
        index: usize,
        /// The label that was given.
        label: i32,
    },
    /// The box is upside down or empty.
    #[error(
        "the box ({x0}, {y0}, {x1}, {y1}) is empty: it is (left, top, right, bottom), left < right and top < bottom"
    )]
    EmptyBox {
        /// The left edge.
        x0: f32,
        /// The top edge.
        y0: f32,
        /// The right edge.
        x1: f32,
        /// The bottom edge.
        y1: f32,
    },
    /// The mask prompt does not have the model's low resolution.
    #[error(
        "the mask prompt has {found} values, expected {side}x{side}: \
         give the `logits` of an earlier prediction of the same model"
    )]
    MaskSize {
        /// The side of the model's low-resolution masks, in pixels.
        side: usize,
        /// The number of values that were given.
        found: usize,
    },
    /// The mask prompt contains NaN or infinity.
    #[error("the mask prompt holds a value that is not a finite number at index {index}")]
    MaskNotFinite {
        /// The index of the value, row-major.
        index: usize,
    },
    /// The values of a saved embedding are not as many as the network's.
    #[error(
        "the saved embedding has a tensor of {found} values, expected {expected}: \
         it was made by another model, so encode the picture again"
    )]
    EmbeddingSize {
        /// The number of values of the network's tensor.
        expected: usize,
        /// The number of values that were given.
        found: usize,
    },
    /// The number of a mask's bytes does not match its size.
    #[error("a mask of {width}x{height} pixels needs {expected} bytes, a bit for each pixel, got {found}")]
    MaskBytes {
        /// The mask's width, in pixels.
        width: usize,
        /// The mask's height, in pixels.
        height: usize,
        /// The number of bytes of a mask of this size.
        expected: usize,
        /// The number of bytes that were given.
        found: usize,
    },
    /// The mask to refine is empty.
    #[error("the mask is empty, so there is nothing to refine: predict one first")]
    EmptyMask,
    /// The mask to refine does not have the picture's size.
    #[error(
        "the mask is {}x{} pixels, but its picture is {}x{}: resize the mask",
        mask[0], mask[1], picture[0], picture[1]
    )]
    MaskOfAnotherPicture {
        /// The mask's width and height, in pixels.
        mask: [usize; 2],
        /// The picture's width and height, in pixels.
        picture: [usize; 2],
    },
    /// An option has a value that is not allowed.
    #[error("`{option}` is {value}, expected {wanted}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// The value that was given.
        value: String,
        /// The values that are allowed.
        wanted: String,
    },
    /// A prompt has more points than the device's buffers hold.
    #[error(
        "a prompt has {points} points (a box counts as two), but this device takes at most {most}: use fewer"
    )]
    TooManyPoints {
        /// The number of points of the prompt.
        points: usize,
        /// The largest number that the device takes.
        most: usize,
    },
    /// The device failed.
    #[error("the device failed while computing: {0}")]
    Device(String),
}

impl PredictError {
    /// A stable code for programs, such as `INVALID_PROMPT`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyPicture { .. } | Self::PictureBytes { .. } => "INVALID_IMAGE",
            Self::PictureTooLarge { .. } => "IMAGE_TOO_LARGE",
            Self::Option { .. } | Self::EmbeddingSize { .. } => "UNSUPPORTED_INPUT",
            Self::Device(_) => "DEVICE_LOST",
            _ => "INVALID_PROMPT",
        }
    }
}
