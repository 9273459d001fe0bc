//! The choice of the memories that a frame is conditioned on (`SAM2Base._prepare_memory_conditioned_features` and
//! `sam2_utils.select_closest_cond_frames`). It is made by frame numbers alone, without tensors.

use std::collections::BTreeSet;

/// Options of the memory bank, with the official names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryRules {
    /// Frames in the bank, the prompted one included.
    pub num_maskmem: usize,
    /// The most conditioning frames that are attended to, at least 2; `None` for all.
    pub max_cond_frames_in_attn: Option<usize>,
    /// Only every nth of the frames before the previous one is in the bank, n being at least 1
    /// (`memory_temporal_stride_for_eval`).
    pub memory_temporal_stride: usize,
    /// The most frames whose object pointers are attended to.
    pub max_obj_ptrs_in_encoder: usize,
}

impl MemoryRules {
    /// The official defaults, for a bank of `num_maskmem` frames.
    pub fn new(num_maskmem: usize) -> Self {
        Self {
            num_maskmem,
            max_cond_frames_in_attn: None,
            memory_temporal_stride: 1,
            max_obj_ptrs_in_encoder: 16,
        }
    }

    /// The most object pointers of a video of `num_frames` frames. Distances are divided by one less than this before
    /// they are encoded.
    pub fn max_pointers(&self, num_frames: Option<usize>) -> usize {
        num_frames.map_or(self.max_obj_ptrs_in_encoder, |count| {
            count.min(self.max_obj_ptrs_in_encoder)
        })
    }
}

/// The frames for which an object has a memory.
#[derive(Clone, Copy, Debug)]
pub struct Remembered<'a> {
    /// The prompted (conditioning) frames, in the order in which they were prompted.
    pub cond: &'a [usize],
    /// The tracked frames.
    pub non_cond: &'a BTreeSet<usize>,
}

/// A frame for which an object has a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRef {
    /// The frame's number, from 0.
    pub frame: usize,
    /// Whether the memory is that of a conditioning frame.
    pub cond: bool,
}

/// What a frame attends to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recall {
    /// The frames whose memories are attended to, each with its temporal position: 0 for conditioning frames, else 1
    /// (oldest) to `num_maskmem - 1` (latest).
    pub memories: Vec<(MemoryRef, usize)>,
    /// The frames whose object pointers are attended to, each with its distance in frames, which is positive for frames
    /// that tracking has passed.
    pub pointers: Vec<(MemoryRef, i64)>,
}

/// Chooses what `frame` attends to, tracked forwards or in `reverse`. `num_frames` is `None` for a stream of unknown
/// length.
pub fn recall(
    rules: &MemoryRules,
    remembered: Remembered<'_>,
    frame: usize,
    reverse: bool,
    num_frames: Option<usize>,
) -> Recall {
    let (selected, unselected) = select_closest(frame, remembered.cond, rules.max_cond_frames_in_attn);
    // A conditioning frame that was not selected counts as a tracked one.
    let tracked = |at: i64| {
        let at = usize::try_from(at).ok()?;
        let cond = !remembered.non_cond.contains(&at);
        (!cond || unselected.contains(&at)).then_some(MemoryRef { frame: at, cond })
    };
    let now = frame as i64;

    let mut memories: Vec<_> = selected
        .iter()
        .map(|&frame| (MemoryRef { frame, cond: true }, 0))
        .collect();
    for t_pos in 1..rules.num_maskmem {
        let at = frame_at(
            now,
            (rules.num_maskmem - t_pos) as i64,
            reverse,
            rules.memory_temporal_stride as i64,
        );
        memories.extend(tracked(at).map(|memory| (memory, t_pos)));
    }

    let is_past = |at: usize| if reverse { at >= frame } else { at <= frame };
    let sign = if reverse { -1 } else { 1 };
    let mut pointers: Vec<_> = selected
        .iter()
        .filter(|&&at| is_past(at))
        .map(|&at| {
            (
                MemoryRef {
                    frame: at,
                    cond: true,
                },
                (now - at as i64) * sign,
            )
        })
        .collect();
    for distance in 1..rules.max_pointers(num_frames) as i64 {
        let at = now - distance * sign;
        if at < 0 || num_frames.is_some_and(|count| at >= count as i64) {
            break;
        }
        pointers.extend(tracked(at).map(|memory| (memory, distance)));
    }
    Recall { memories, pointers }
}

/// The frame that is the `back`-th before `now` in a bank of that stride: 1 is the previous frame for every stride, and
/// from 2 on frames are multiples of the stride.
fn frame_at(now: i64, back: i64, reverse: bool, stride: i64) -> i64 {
    match (back, reverse) {
        (1, false) => now - 1,
        (1, true) => now + 1,
        (_, false) => (now - 2).div_euclid(stride) * stride - (back - 2) * stride,
        (_, true) => -(-(now + 2)).div_euclid(stride) * stride + (back - 2) * stride,
    }
}

/// Selects at most `limit` of the conditioning frames `cond` (`sam2_utils.select_closest_cond_frames`): the closest one
/// before `frame`, the closest one at or after it, then the closest of the rest. Returns the selected frames and the
/// others.
pub fn select_closest(frame: usize, cond: &[usize], limit: Option<usize>) -> (Vec<usize>, Vec<usize>) {
    let Some(limit) = limit.filter(|&limit| cond.len() > limit) else {
        return (cond.to_vec(), vec![]);
    };
    let before = cond.iter().copied().filter(|&t| t < frame).max();
    let after = cond.iter().copied().filter(|&t| t >= frame).min();
    let mut selected: Vec<usize> = before.into_iter().chain(after).collect();
    let mut rest: Vec<usize> = cond.iter().copied().filter(|t| !selected.contains(t)).collect();
    rest.sort_by_key(|t| t.abs_diff(frame));
    selected.extend(rest.iter().take(limit.saturating_sub(selected.len())));
    let unselected = cond.iter().copied().filter(|t| !selected.contains(t)).collect();
    (selected, unselected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_multiples_of_the_stride() {
        // As the official code's expressions evaluate, for frame 7 and stride 2.
        assert_eq!([1, 2, 3].map(|back| frame_at(7, back, false, 2)), [6, 4, 2]);
        assert_eq!([1, 2, 3].map(|back| frame_at(7, back, true, 2)), [8, 10, 12]);
        assert_eq!(frame_at(1, 2, false, 2), -2);
    }

    #[test]
    fn the_closest_on_both_sides_come_first() {
        let (selected, unselected) = select_closest(5, &[0, 3, 9, 7], Some(3));
        assert_eq!((selected, unselected), (vec![3, 7, 9], vec![0]));
    }

    #[test]
    fn pointers_stop_at_the_first_frame_that_does_not_exist() {
        let rules = MemoryRules::new(7);
        let non_cond = BTreeSet::from([1, 2]);
        let remembered = Remembered {
            cond: &[0, 5],
            non_cond: &non_cond,
        };
        let recalled = recall(&rules, remembered, 3, false, Some(8));
        let frames =
            |refs: &[(MemoryRef, i64)]| refs.iter().map(|(at, d)| (at.frame, *d)).collect::<Vec<_>>();
        // Frame 5 lies in the future: its memory counts, its pointer does not.
        assert_eq!(
            recalled
                .memories
                .iter()
                .map(|(at, t)| (at.frame, *t))
                .collect::<Vec<_>>(),
            [(0, 0), (5, 0), (1, 5), (2, 6)]
        );
        assert_eq!(frames(&recalled.pointers), [(0, 3), (2, 1), (1, 2)]);
    }
}
