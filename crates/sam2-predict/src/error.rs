//! What can go wrong with a picture or a prompt.

/// Says what was expected, what came and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PredictError {
    /// The picture has no pixels.
    #[error("the picture is {width}x{height} pixels: both sides must be at least 1")]
    EmptyPicture {
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
    },
    /// The picture has more than [`crate::MAX_PIXELS`].
    #[error(
        "the picture is {width}x{height} pixels, over the limit of {} million: scale it down first",
        crate::MAX_PIXELS >> 20
    )]
    PictureTooLarge {
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
    },
    /// The bytes do not make up the picture.
    #[error("a picture of {width}x{height} pixels needs {expected} bytes, got {found}")]
    PictureBytes {
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
        /// Bytes that the size asks for.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// A coordinate is not a number, or infinite.
    #[error("{what} has a coordinate that is not a finite number: ({x}, {y})")]
    NotFinite {
        /// `point 0`, `the box`.
        what: String,
        /// As given.
        x: f32,
        /// As given.
        y: f32,
    },
    /// A point or a box lies outside the picture.
    #[error(
        "{what} at ({x}, {y}) lies outside the picture of {width}x{height}: \
         coordinates are the picture's pixels, from 0 to its size"
    )]
    Outside {
        /// `point 0`, `the box`.
        what: String,
        /// As given.
        x: f32,
        /// As given.
        y: f32,
        /// The picture's.
        width: usize,
        /// The picture's.
        height: usize,
    },
    /// A label that means nothing.
    #[error("point {index} has label {label}: use 1 for on the object, 0 for not on it")]
    Label {
        /// Which point.
        index: usize,
        /// As given.
        label: i32,
    },
    /// The box is upside down or empty.
    #[error(
        "the box ({x0}, {y0}, {x1}, {y1}) is empty: it is (left, top, right, bottom), left < right and top < bottom"
    )]
    EmptyBox {
        /// Left.
        x0: f32,
        /// Top.
        y0: f32,
        /// Right.
        x1: f32,
        /// Bottom.
        y1: f32,
    },
    /// The mask prompt is not of the model's low resolution.
    #[error(
        "the mask prompt has {found} values, expected {side}x{side}: \
         give the `logits` of an earlier prediction of the same model"
    )]
    MaskSize {
        /// The model's low resolution.
        side: usize,
        /// Values given.
        found: usize,
    },
    /// The mask prompt holds a NaN or an infinity.
    #[error("the mask prompt holds a value that is not a finite number at index {index}")]
    MaskNotFinite {
        /// Row-major.
        index: usize,
    },
    /// An option is out of its bounds.
    #[error("`{option}` is {value}, expected {wanted}")]
    Option {
        /// Its name.
        option: &'static str,
        /// As given.
        value: String,
        /// What it may be.
        wanted: String,
    },
    /// The device failed.
    #[error("the device failed while computing: {0}")]
    Device(String),
}

impl PredictError {
    /// The stable name under which programs know this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyPicture { .. } | Self::PictureBytes { .. } => "INVALID_IMAGE",
            Self::PictureTooLarge { .. } => "IMAGE_TOO_LARGE",
            Self::Option { .. } => "UNSUPPORTED_INPUT",
            Self::Device(_) => "DEVICE_LOST",
            _ => "INVALID_PROMPT",
        }
    }
}
