//! What can go wrong in a video session.

use crate::PredictError;

/// Says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// A picture or a prompt is wrong, or the device failed.
    #[error(transparent)]
    Predict(#[from] PredictError),
    /// The frame is not the one whose picture was given last.
    #[error("frame {frame} is not at hand: give its picture with `set_frame` first")]
    FrameNotSet {
        /// The frame asked for.
        frame: usize,
    },
    /// The video has no such frame.
    #[error("there is no frame {frame}: the video has {num_frames} frames, counted from 0")]
    NoSuchFrame {
        /// The frame asked for.
        frame: usize,
        /// In the video.
        num_frames: usize,
    },
    /// A frame has another size than the video.
    #[error(
        "the frame is {width}x{height} pixels, the video {video_width}x{video_height}: start a new session"
    )]
    FrameSize {
        /// The frame's, in pixels.
        width: usize,
        /// The frame's, in pixels.
        height: usize,
        /// The video's, in pixels.
        video_width: usize,
        /// The video's, in pixels.
        video_height: usize,
    },
    /// A prompt holds neither points nor a box.
    #[error("the prompt is empty: give points, a box or a mask")]
    EmptyPrompt,
    /// A box cannot follow points.
    #[error("a box comes before all points of its frame: clear the frame's earlier points with it")]
    BoxAfterPoints,
    /// A mask is not of the video's size.
    #[error("the mask has {found} pixels, the video's frames have {expected}")]
    MaskSize {
        /// Width times height.
        expected: usize,
        /// Given.
        found: usize,
    },
    /// A mask without a pixel on the object.
    #[error("the mask is empty: no pixel of it is on the object")]
    EmptyMask,
    /// Nothing is known of the object.
    #[error("there is no object {object}: prompt it first")]
    NoSuchObject {
        /// The number asked for.
        object: u32,
    },
    /// An option of the session is out of its bounds.
    #[error("{option} is {value}: it must be {wanted}")]
    Option {
        /// Its name in [`crate::VideoOptions`].
        option: &'static str,
        /// As given.
        value: usize,
        /// What it may be.
        wanted: &'static str,
    },
    /// There is nothing to track.
    #[error("no object has been prompted: add points, a box or a mask first")]
    NoObjects,
    /// An object has lost its prompts, or never had any.
    #[error("object {object} has no prompts: add points, a box or a mask, or remove it")]
    NoPrompts {
        /// Its number.
        object: u32,
    },
}

impl VideoError {
    /// The stable name under which programs know this error.
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
