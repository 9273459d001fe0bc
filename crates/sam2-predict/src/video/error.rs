//! The errors of a video session.

use crate::PredictError;

/// Why a call of a video session failed. Each message says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// A picture or a prompt is wrong, or the device failed.
    #[error(transparent)]
    Predict(#[from] PredictError),
    /// The frame is not the current one, whose picture was set last.
    #[error("frame {frame} is not the current frame: give its picture with `set_frame` first")]
    FrameNotSet {
        /// The frame that was asked for.
        frame: usize,
    },
    /// The video has no such frame.
    #[error("there is no frame {frame}: the video has {num_frames} frames, counted from 0")]
    NoSuchFrame {
        /// The frame that was asked for.
        frame: usize,
        /// The number of frames of the video.
        num_frames: usize,
    },
    /// A frame has another size than the video.
    #[error(
        "the frame is {width}x{height} pixels, the video {video_width}x{video_height}: start a new session"
    )]
    FrameSize {
        /// The frame's width, in pixels.
        width: usize,
        /// The frame's height, in pixels.
        height: usize,
        /// The video's width, in pixels.
        video_width: usize,
        /// The video's height, in pixels.
        video_height: usize,
    },
    /// A prompt has neither points nor a box.
    #[error("the prompt is empty: give points, a box or a mask")]
    EmptyPrompt,
    /// A box was given after points.
    #[error("a box comes before all points of its frame: clear the frame's earlier points with it")]
    BoxAfterPoints,
    /// A mask does not have the video's size.
    #[error("the mask has {found} pixels, the video's frames have {expected}")]
    MaskSize {
        /// The number of pixels of a frame.
        expected: usize,
        /// The number of pixels of the mask.
        found: usize,
    },
    /// A mask has no pixel on the object.
    #[error("the mask is empty: no pixel of it is on the object")]
    EmptyMask,
    /// The session has no such object.
    #[error("there is no object {object}: prompt it first")]
    NoSuchObject {
        /// The object's number that was asked for.
        object: u32,
    },
    /// An option of the session has a value that is not allowed.
    #[error("{option} is {value}: it must be {wanted}")]
    Option {
        /// The option's name in [`crate::VideoOptions`].
        option: &'static str,
        /// The value that was given.
        value: usize,
        /// The values that are allowed.
        wanted: &'static str,
    },
    /// The session has no objects to track.
    #[error("no object has been prompted: add points, a box or a mask first")]
    NoObjects,
    /// An object has no prompts.
    #[error("object {object} has no prompts: add points, a box or a mask, or remove it")]
    NoPrompts {
        /// The object's number.
        object: u32,
    },
}

impl VideoError {
    /// A stable code for programs, such as `INVALID_PROMPT`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Predict(error) => error.code(),
            Self::FrameNotSet { .. } => "FRAME_GONE",
            Self::NoSuchFrame { .. } => "FRAME_OUT_OF_RANGE",
            Self::FrameSize { .. } => "FRAME_SIZE_CHANGED",
            Self::Option { .. } => "UNSUPPORTED_INPUT",
            Self::NoObjects
            | Self::NoPrompts { .. }
            | Self::EmptyPrompt
            | Self::BoxAfterPoints
            | Self::EmptyMask
            | Self::NoSuchObject { .. }
            | Self::MaskSize { .. } => "INVALID_PROMPT",
        }
    }
}
