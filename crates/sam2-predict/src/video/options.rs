//! What can be chosen about following objects through a video.

use sam2::memory::MemoryRules;

use crate::VideoError;

/// Options of a video session; the default suits people, [`VideoOptions::official`] equals the official predictor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoOptions {
    /// Where objects overlap, only the one with the highest logit keeps the pixel.
    pub non_overlap_masks: bool,
    /// Holes of up to so many low-resolution pixels are filled; 0 for none.
    pub fill_hole_area: usize,
    /// Of the frames before the previous one, every nth is remembered; from 1 to 65,536.
    pub memory_temporal_stride: usize,
    /// A frame looks at no more than so many prompted frames, the closest; at least 2, or none for all.
    pub max_cond_frames_in_attn: Option<usize>,
    /// A correction on a frame that was tracked before makes it a conditioning frame, so that tracking never
    /// overwrites it. The official default is not to, and the correction is lost when tracking passes again.
    pub add_all_frames_to_correct_as_cond: bool,
    /// Keep the memories of all frames rather than of those that tracking can still reach.
    pub keep_all_memories: bool,
    /// So many prompted frames of an object stay in the memory, those that the frame being tracked would choose
    /// first; at least 2, or none for all. Of the others the mask is kept, and when tracking or a prompt comes to
    /// such a frame again, that mask is its prompt. Best not below `max_cond_frames_in_attn`.
    pub max_cond_frames_kept: Option<usize>,
    /// What the compressed masks of left-behind frames may take, in bytes, all objects together. Beyond it those
    /// farthest from the frame being tracked go, but none of a prompted frame.
    pub max_past_mask_bytes: usize,
}

/// Of [`VideoOptions::max_cond_frames_kept`]: 16 MB an object on the device with the official models.
const COND_FRAMES_KEPT: usize = 16;
/// Of [`VideoOptions::memory_temporal_stride`].
const MAX_STRIDE: usize = 1 << 16;
/// Of [`VideoOptions::max_past_mask_bytes`].
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
    /// As `build_sam2_video_predictor` sets them, but for hole filling, which the official code does on CUDA only.
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

    /// # Errors
    /// An option is out of its bounds.
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

    pub(crate) fn rules(&self, rules: MemoryRules) -> MemoryRules {
        MemoryRules {
            max_cond_frames_in_attn: self.max_cond_frames_in_attn,
            memory_temporal_stride: self.memory_temporal_stride,
            ..rules
        }
    }

    /// How far from the frame being tracked a memory can still be of use.
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
