//! What a video session remembers of one object. Every object is followed on its own.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Tensor;
use sam2::memory::{MemoryRef, Remembered};
use sam2::prompt_encoder::Point;

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
    /// A prompted frame's is made once its prompts are final; until then its embedding is kept.
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
    pub tracked: BTreeMap<usize, bool>,
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
    }

    /// The latest answer on a frame; among the prompted ones only those of that kind count.
    pub fn output(&self, frame: usize, conditions: bool) -> Option<&FrameOutput> {
        self.prompted(frame, conditions)
            .or_else(|| self.cond_outputs.get(&frame))
            .or_else(|| self.non_cond_outputs.get(&frame))
    }

    /// Remembers a finished answer. A conditioning frame's replaces a tracked one.
    pub fn remember(&mut self, frame: usize, conditions: bool, output: FrameOutput) {
        if conditions {
            if self.cond_outputs.insert(frame, output).is_none() {
                self.cond.push(frame);
            }
            self.non_cond_outputs.remove(&frame);
        } else {
            self.non_cond_outputs.insert(frame, output);
        }
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
            self.tracked.remove(&frame);
        }
    }

    /// Forgets tracked frames further than `reach` from `frame`.
    pub fn forget_beyond(&mut self, frame: usize, reach: usize) {
        self.non_cond_outputs.retain(|at, _| at.abs_diff(frame) <= reach);
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
