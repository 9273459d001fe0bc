//! What a video session remembers of one object. Every object is followed on its own.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Tensor;
use rangemap::RangeInclusiveMap;
use sam2::memory::{MemoryRef, Remembered, select_closest};
use sam2::prompt_encoder::Point;

use super::past::{Past, PastMask};
use crate::VideoMask;

/// One object's answer on one frame.
#[derive(Clone, Debug)]
pub(crate) struct FrameOutput {
    /// Logits at low resolution, holes filled.
    pub low_res: Vec<f32>,
    /// Expected IoU of the mask.
    pub iou: f32,
    /// Positive where the object is visible.
    pub object_score: f32,
    /// `[1, d]`.
    pub obj_ptr: Tensor<2>,
    pub memory: Memory,
}

/// A frame's memory of an object, or what it is still to be made from.
#[derive(Clone, Debug)]
pub(crate) enum Memory {
    Made(Tensor<3>),
    /// A prompted frame's is made once its prompts are final, or another frame is at hand; until then its embedding
    /// is kept.
    ToMake(Tensor<4>),
}

/// An object of a session.
#[derive(Debug, Default)]
pub(crate) struct Object {
    pub id: u32,
    /// All points of each prompted frame.
    pub points: BTreeMap<usize, Vec<Point>>,
    /// Frames whose prompt is a mask.
    pub masks: BTreeSet<usize>,
    /// Conditioning frames, in the order in which they became so.
    pub cond: Vec<usize>,
    pub cond_outputs: BTreeMap<usize, FrameOutput>,
    pub non_cond_outputs: BTreeMap<usize, FrameOutput>,
    /// Answers to prompts since tracking last began: those that do not condition, then those that do.
    pub prompted: [Vec<(usize, FrameOutput)>; 2],
    /// Tracked frames, and whether in reverse.
    pub tracked: RangeInclusiveMap<usize, bool>,
    /// Of frames that are in none of the above any more, or were prompted and came back from here.
    pub past: Past,
}

/// An object's latest answer on a frame.
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

    /// The answer to a prompt since tracking last began.
    pub fn prompted(&self, frame: usize, conditions: bool) -> Option<&FrameOutput> {
        let prompted = &self.prompted[usize::from(conditions)];
        prompted
            .iter()
            .find(|(at, _)| *at == frame)
            .map(|(_, output)| output)
    }

    /// Keeps the answer to a prompt, in place of an earlier one on that frame.
    pub fn set_prompted(&mut self, frame: usize, conditions: bool, output: FrameOutput) {
        let prompted = &mut self.prompted[usize::from(conditions)];
        match prompted.iter_mut().find(|(at, _)| *at == frame) {
            Some((_, earlier)) => *earlier = output,
            None => prompted.push((frame, output)),
        }
        self.past.remove(frame);
    }

    /// The latest answer on a frame; among the prompted ones only those of that kind count.
    pub fn answer(&self, frame: usize, conditions: bool) -> Option<Answer<'_>> {
        let past = self.past.get(frame);
        match past {
            // What the frame was prompted to, rather than what became of it on the way back.
            Some(past) if past.prompted && self.prompted(frame, conditions).is_none() => {
                Some(Answer::Past(past))
            }
            _ => self
                .output(frame, conditions)
                .map(Answer::Whole)
                .or(past.map(Answer::Past)),
        }
    }

    /// The latest answer on a frame that is still whole.
    pub fn output(&self, frame: usize, conditions: bool) -> Option<&FrameOutput> {
        self.prompted(frame, conditions)
            .or_else(|| self.cond_outputs.get(&frame))
            .or_else(|| self.non_cond_outputs.get(&frame))
    }

    /// Remembers a finished answer. A conditioning frame's replaces a tracked one, which replaces a past one.
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

    /// Prompts since tracking last began become final: those that do not condition, then those that do.
    pub fn remember_prompted(&mut self) {
        for conditions in [false, true] {
            for (frame, output) in std::mem::take(&mut self.prompted[usize::from(conditions)]) {
                self.remember(frame, conditions, output);
            }
        }
    }

    /// Every answer that is whole.
    pub fn outputs(&self) -> impl Iterator<Item = &FrameOutput> {
        let prompted = self.prompted.iter().flatten().map(|(_, output)| output);
        let remembered = self.cond_outputs.values().chain(self.non_cond_outputs.values());
        prompted.chain(remembered)
    }

    /// Takes a frame's prompts back. Its answer stays, as a tracked frame's.
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

    /// Whether the frame was prompted and only its mask is left.
    pub fn sleeps_on(&self, frame: usize) -> bool {
        !self.cond_outputs.contains_key(&frame) && self.past.get(frame).is_some_and(|past| past.prompted)
    }

    /// Tracked frames further than `reach` from `frame`, and conditioning frames beyond the `limit` closest.
    pub fn far_frames(&self, frame: usize, reach: usize, limit: Option<usize>) -> Vec<usize> {
        let far = |at: &usize| at.abs_diff(frame) > reach;
        let tracked = self.non_cond_outputs.keys().copied().filter(far);
        let (_, cond) = select_closest(frame, &self.cond, limit);
        tracked.chain(cond).collect()
    }

    /// Forgets all of a frame but its mask.
    pub fn leave_behind(&mut self, frame: usize, mask: &VideoMask) {
        let prompted = self.cond_outputs.remove(&frame).is_some();
        self.cond.retain(|at| *at != frame);
        let tracked = self.non_cond_outputs.remove(&frame).is_some();
        if let (true, Some(score)) = (prompted || tracked, mask.object_score) {
            self.past
                .insert(frame, PastMask::new(&mask.mask, score, prompted));
        }
    }

    /// The output that a memory was chosen from.
    pub fn remembered_output(&self, at: MemoryRef) -> &FrameOutput {
        let outputs = if at.cond {
            &self.cond_outputs
        } else {
            &self.non_cond_outputs
        };
        &outputs[&at.frame]
    }

    pub fn remembered<'a>(&'a self, non_cond: &'a BTreeSet<usize>) -> Remembered<'a> {
        Remembered {
            cond: &self.cond,
            non_cond,
        }
    }
}
