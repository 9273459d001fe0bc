//! The options of a video session.

use sam2::memory::MemoryRules;

use crate::VideoError;

/// The options of a video session. The defaults suit interactive use; [`VideoOptions::official`] has those of the
/// official predictor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoOptions {
    /// Whether each pixel belongs to at most one object, the one with the highest logit.
    pub non_overlap_masks: bool,
    /// The largest hole that is filled, in low-resolution pixels; 0 to fill none.
    pub fill_hole_area: usize,
    /// Of the frames before the previous one, every nth is in the memory bank; n is from 1 to 65,536.
    pub memory_temporal_stride: usize,
    /// The most prompted frames that a frame attends to, which are the closest ones: at least 2, or `None` for all.
    pub max_cond_frames_in_attn: Option<usize>,
    /// Whether a correction turns a tracked frame into a conditioning frame, so that tracking never overwrites it. This
    /// is off in the official predictor, where a correction is lost when the frame is tracked again.
    pub add_all_frames_to_correct_as_cond: bool,
    /// Whether the memories of all frames are kept, and not only those that tracking can still use.
    pub keep_all_memories: bool,
    /// The most prompted frames of an object whose memories are kept, which are those that the tracked frame would
    /// choose first: at least 2, or `None` for all. Of the others, only the mask is kept. When such a frame is tracked
    /// or prompted again, the mask becomes its prompt. This should not be less than `max_cond_frames_in_attn`.
    pub max_cond_frames_kept: Option<usize>,
    /// The most memory for the compressed masks of frames without a memory, in bytes, for all objects together. Beyond
    /// it, the masks that are farthest from the tracked frame are dropped, but not those of prompted frames.
    pub max_past_mask_bytes: usize,
}

/// The default of [`VideoOptions::max_cond_frames_kept`]. With the official models, this is 16 MB on the device for each
/// object.
const COND_FRAMES_KEPT: usize = 16;
/// The largest [`VideoOptions::memory_temporal_stride`].
const MAX_STRIDE: usize = 1 << 16;
/// The default of [`VideoOptions::max_past_mask_bytes`].
const PAST_MASK_BYTES: usize = 64 << 20;

impl Default for VideoOptions {
    fn default() -> Self {
        Self {
            non_overlap_masks: false,
            fill_hole_area: 8,
            memory_temporal_stride: 1,
            max_cond_frames_in_attn: Some(4),
            add_all_frames_to_correct_as_cond: true,
            keep_all_memories: false,
            max_cond_frames_kept: Some(COND_FRAMES_KEPT),
            max_past_mask_bytes: PAST_MASK_BYTES,
        }
    }
}

impl VideoOptions {
    /// The options of `build_sam2_video_predictor`, except that holes are not filled, which the official code only does
    /// on CUDA.
    pub fn official() -> Self {
        Self {
            non_overlap_masks: false,
            fill_hole_area: 0,
            memory_temporal_stride: 1,
            max_cond_frames_in_attn: None,
            add_all_frames_to_correct_as_cond: false,
            keep_all_memories: true,
            max_cond_frames_kept: None,
            max_past_mask_bytes: usize::MAX,
        }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// An option has a value that is not allowed.
    pub(crate) fn check(&self) -> Result<(), VideoError> {
        let error = |option, value, wanted| {
            Err(VideoError::Option {
                option,
                value,
                wanted,
            })
        };
        if !(1..=MAX_STRIDE).contains(&self.memory_temporal_stride) {
            return error(
                "memory_temporal_stride",
                self.memory_temporal_stride,
                "from 1 to 65536",
            );
        }
        for (option, limit) in [
            ("max_cond_frames_in_attn", self.max_cond_frames_in_attn),
            ("max_cond_frames_kept", self.max_cond_frames_kept),
        ] {
            if let Some(value @ ..2) = limit {
                return error(option, value, "at least 2, or none");
            }
        }
        Ok(())
    }

    /// The options of the memory bank, on top of the network's `rules`.
    pub(crate) fn rules(&self, rules: MemoryRules) -> MemoryRules {
        MemoryRules {
            max_cond_frames_in_attn: self.max_cond_frames_in_attn,
            memory_temporal_stride: self.memory_temporal_stride,
            ..rules
        }
    }

    /// The greatest distance, in frames, at which a memory can still be used by the tracked frame.
    pub(crate) fn memory_reach(&self, rules: &MemoryRules) -> usize {
        (rules.num_maskmem * self.memory_temporal_stride).max(rules.max_obj_ptrs_in_encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_bounds_are_refused() {
        let refused = |options: VideoOptions| match options.check() {
            Err(VideoError::Option { option, .. }) => option,
            other => panic!("{other:?}"),
        };
        for stride in [0, 65_537, usize::MAX] {
            let options = VideoOptions {
                memory_temporal_stride: stride,
                ..VideoOptions::default()
            };
            assert_eq!(refused(options), "memory_temporal_stride");
        }
        let few = VideoOptions {
            max_cond_frames_in_attn: Some(1),
            ..VideoOptions::default()
        };
        assert_eq!(refused(few), "max_cond_frames_in_attn");
        let none = VideoOptions {
            max_cond_frames_kept: Some(0),
            ..VideoOptions::default()
        };
        assert_eq!(refused(none), "max_cond_frames_kept");
        assert_eq!(VideoOptions::default().check(), Ok(()));
        assert_eq!(VideoOptions::official().check(), Ok(()));
    }
}
