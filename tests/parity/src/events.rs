//! The official video predictor's event log.

use std::collections::BTreeMap;

use sam2_predict::{BoxPrompt, PointPrompt, Prompt};
use serde::Deserialize;
use serde_json::Value;

/// A step of the official predictor.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
pub enum Event {
    /// A call of one of its methods.
    Call {
        /// `points`, `mask`, `propagate`, `clear`, `remove` or `reset`.
        op: String,
        /// Arguments by name.
        args: Value,
        /// The name of the call's outputs.
        phase: String,
    },
    /// One object tracked on one frame.
    Frame(FrameEvent),
    /// A prompted frame's memory was made, before propagation.
    PreflightMemEnc {
        /// The frame's number.
        frame: usize,
        /// The name of the event's tensors.
        k: usize,
    },
    /// Masks of a frame, for all objects.
    Output {
        /// The frame's number.
        frame: usize,
        /// The objects, in the order of the masks.
        obj_ids: Vec<u32>,
        /// The call that they belong to.
        phase: String,
    },
    /// What the predictor remembers after a call.
    State {
        /// The memories of each object. The keys of JSON objects are texts.
        obj: BTreeMap<String, ObjectState>,
    },
}

/// See [`Event::Frame`].
#[derive(Clone, Debug, Deserialize)]
pub struct FrameEvent {
    /// Names the event's tensors.
    pub k: usize,
    /// The frame's number.
    pub frame: usize,
    /// The object's number.
    pub obj_id: u32,
    /// Whether the frame was prompted before it was ever tracked, so that no memory is used.
    pub init_cond: bool,
    /// Whether tracking is in reverse.
    pub reverse: bool,
    /// Whether the memory is made immediately.
    pub mem_enc: bool,
    /// Whether the prompt has points.
    pub has_points: bool,
    /// Whether the prompt is a mask.
    pub has_mask: bool,
    /// Whether the logits of an earlier prediction are given with the points.
    pub prev_logits: bool,
    /// Whether three candidates were asked for.
    pub multimask: bool,
    /// The memory bank: frames and their temporal positions.
    #[serde(rename = "mem_frames(frame,t_pos)", default)]
    pub mem_frames: Vec<(usize, usize)>,
    /// Object pointers in the bank.
    #[serde(default)]
    pub num_ptrs: usize,
}

/// The frames that are remembered of an object.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ObjectState {
    /// Conditioning frames, in the order of their prompts.
    pub cond: Vec<usize>,
    /// Other frames with a memory.
    pub non_cond: Vec<usize>,
    /// The tracked frames, and whether they were tracked in reverse.
    pub tracked: BTreeMap<String, bool>,
}

/// The points and the box in a call's arguments, without its mask.
pub fn prompt(args: &Value) -> Prompt {
    let numbers = |value: &Value| -> Vec<f32> {
        let values = value.as_array().into_iter().flatten();
        values.map(|n| n.as_f64().expect("a number") as f32).collect()
    };
    let points = args["points"].as_array().into_iter().flatten();
    let box_ = numbers(&args["box"]);
    Prompt {
        points: points
            .zip(numbers(&args["labels"]))
            .map(|(position, label)| PointPrompt {
                x: numbers(position)[0],
                y: numbers(position)[1],
                label: label as i32,
            })
            .collect(),
        box_: (!box_.is_empty()).then(|| BoxPrompt {
            x0: box_[0],
            y0: box_[1],
            x1: box_[2],
            y1: box_[3],
        }),
        ..Prompt::default()
    }
}
