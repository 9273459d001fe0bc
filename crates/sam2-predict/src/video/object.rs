//! What a video session remembers of one object. Objects are tracked independently of each other.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Tensor;
use rangemap::RangeInclusiveMap;
use sam2::memory::{MemoryRef, Remembered, select_closest};
use sam2::prompt_encoder::Point;

use super::past::{Past, PastMask};
use crate::VideoMask;

/// The result for one object on one frame.
#[derive(Clone, Debug)]
pub(crate) struct FrameOutput {
    /// The mask's logits at low resolution, after holes were filled.
    pub low_res: Vec<f32>,
    /// The predicted IoU of the mask.
    pub iou: f32,
    /// A logit that is positive if the object is visible.
    pub object_score: f32,
    /// The object pointer, `[1, d]`.
    pub obj_ptr: Tensor<2>,
    pub memory: Memory,
}

/// A frame's memory of an object, or the frame's embedding from which it will be made.
#[derive(Clone, Debug)]
pub(crate) enum Memory {
    Made(Tensor<3>),
    /// The embedding of a prompted frame. The memory is made when the frame's prompts are final, or when another frame
    /// becomes the current one.
    ToMake(Tensor<4>),
}

/// An object of a session.
#[derive(Debug, Default)]
pub(crate) struct Object {
    pub id: u32,
    /// The points of each prompted frame.
    pub points: BTreeMap<usize, Vec<Point>>,
    /// The frames whose prompt is a mask.
    pub masks: BTreeSet<usize>,
    /// The conditioning frames, in the order in which they became conditioning frames.
    pub cond: Vec<usize>,
    pub cond_outputs: BTreeMap<usize, FrameOutput>,
    pub non_cond_outputs: BTreeMap<usize, FrameOutput>,
    /// The results of the prompts since tracking last began: first those of other frames, then those of conditioning
    /// frames.
    pub prompted: [Vec<(usize, FrameOutput)>; 2],
    /// The tracked frames, and whether they were tracked in reverse.
    pub tracked: RangeInclusiveMap<usize, bool>,
    /// The masks of frames whose results are no longer kept, and of prompted frames whose mask was restored from here.
    pub past: Past,
}

/// An object's latest result on a frame.
#[derive(Clone, Copy)]
pub(crate) enum Answer<'a> {
    Whole(&'a FrameOutput),
    Past(&'a PastMask),
}

impl Object {
    pub fn new(id: u32) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// The result of a prompt since tracking last began.
    pub fn prompted(&self, frame: usize, conditions: bool) -> Option<&FrameOutput> {
        let prompted = &self.prompted[usize::from(conditions)];
        prompted
            .iter()
            .find(|(at, _)| *at == frame)
            .map(|(_, output)| output)
    }

    /// Keeps the result of a prompt, and replaces an earlier one on that frame.
    pub fn set_prompted(&mut self, frame: usize, conditions: bool, output: FrameOutput) {
        let prompted = &mut self.prompted[usize::from(conditions)];
        match prompted.iter_mut().find(|(at, _)| *at == frame) {
            Some((_, earlier)) => *earlier = output,
            None => prompted.push((frame, output)),
        }
        self.past.remove(frame);
    }

    /// The latest result on a frame. Of the results of prompts, only those on conditioning frames count if
    /// `conditions`, else only the others.
    pub fn answer(&self, frame: usize, conditions: bool) -> Option<Answer<'_>> {
        let past = self.past.get(frame);
        match past {
            // The mask of the prompt comes before a result that was later made from that mask.
            Some(past) if past.prompted && self.prompted(frame, conditions).is_none() => {
                Some(Answer::Past(past))
            }
            _ => self
                .output(frame, conditions)
                .map(Answer::Whole)
                .or(past.map(Answer::Past)),
        }
    }

    /// The latest result on a frame, if it is still kept.
    pub fn output(&self, frame: usize, conditions: bool) -> Option<&FrameOutput> {
        self.prompted(frame, conditions)
            .or_else(|| self.cond_outputs.get(&frame))
            .or_else(|| self.non_cond_outputs.get(&frame))
    }

    /// Remembers a final result. That of a conditioning frame replaces that of a tracked frame, which replaces a past
    /// mask.
    pub fn remember(&mut self, frame: usize, conditions: bool, output: FrameOutput) {
        if conditions {
            if self.cond_outputs.insert(frame, output).is_none() {
                self.cond.push(frame);
            }
            self.non_cond_outputs.remove(&frame);
        } else {
            self.non_cond_outputs.insert(frame, output);
            self.past.remove(frame);
        }
    }

    /// Makes the prompts since tracking last began final: first those of other frames, then those of conditioning frames.
    pub fn remember_prompted(&mut self) {
        for conditions in [false, true] {
            for (frame, output) in std::mem::take(&mut self.prompted[usize::from(conditions)]) {
                self.remember(frame, conditions, output);
            }
        }
    }

    /// Every result that is kept.
    pub fn outputs(&self) -> impl Iterator<Item = &FrameOutput> {
        let prompted = self.prompted.iter().flatten().map(|(_, output)| output);
        let remembered = self.cond_outputs.values().chain(self.non_cond_outputs.values());
        prompted.chain(remembered)
    }

    /// Removes a frame's prompts. Its result is kept as that of a tracked frame.
    pub fn clear(&mut self, frame: usize) {
        self.points.remove(&frame);
        self.masks.remove(&frame);
        for prompted in &mut self.prompted {
            prompted.retain(|(at, _)| *at != frame);
        }
        if let Some(output) = self.cond_outputs.remove(&frame) {
            self.cond.retain(|at| *at != frame);
            self.non_cond_outputs.insert(frame, output);
            self.tracked.remove(frame..=frame);
        }
        if let Some(past) = self.past.get_mut(frame).filter(|past| past.prompted) {
            past.prompted = false;
            self.tracked.remove(frame..=frame);
        }
    }

    /// Whether the frame was prompted and only its mask has been kept.
    pub fn sleeps_on(&self, frame: usize) -> bool {
        !self.cond_outputs.contains_key(&frame) && self.past.get(frame).is_some_and(|past| past.prompted)
    }

    /// The tracked frames that are more than `reach` frames from `frame`, and the conditioning frames that are not
    /// among the `limit` closest.
    pub fn far_frames(&self, frame: usize, reach: usize, limit: Option<usize>) -> Vec<usize> {
        let far = |at: &usize| at.abs_diff(frame) > reach;
        let tracked = self.non_cond_outputs.keys().copied().filter(far);
        let (_, cond) = select_closest(frame, &self.cond, limit);
        tracked.chain(cond).collect()
    }

    /// Forgets everything about a frame except its mask.
    pub fn leave_behind(&mut self, frame: usize, mask: &VideoMask) {
        let prompted = self.cond_outputs.remove(&frame).is_some();
        self.cond.retain(|at| *at != frame);
        let tracked = self.non_cond_outputs.remove(&frame).is_some();
        if let (true, Some(score)) = (prompted || tracked, mask.object_score) {
            self.past
                .insert(frame, PastMask::new(&mask.mask, score, prompted));
        }
    }

    /// The result that a chosen memory belongs to.
    pub fn remembered_output(&self, at: MemoryRef) -> &FrameOutput {
        let outputs = if at.cond {
            &self.cond_outputs
        } else {
            &self.non_cond_outputs
        };
        &outputs[&at.frame]
    }

    /// The frames with a memory.
    pub fn remembered<'a>(&'a self, non_cond: &'a BTreeSet<usize>) -> Remembered<'a> {
        Remembered {
            cond: &self.cond,
            non_cond,
        }
    }
}
