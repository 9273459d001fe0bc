//! The image predictor's cases, as typed data.

use sam2::mask_decoder::DynamicMultimask;
use sam2_predict::{BoxPrompt, PointPrompt, Prompt};
use serde::Deserialize;
use serde_json::Value;

/// One call of the official `SAM2ImagePredictor.predict`.
#[derive(Clone, Debug)]
pub struct PredictCase {
    /// The case's name, which is part of the names of its tensors.
    pub name: String,
    /// One prompt, or several for the cases of a batch.
    pub prompts: Vec<CasePrompt>,
    /// Whether three candidates are predicted, or one mask.
    pub multimask: bool,
    /// Whether the fixture's `pred.mask_input` goes with the prompt.
    pub mask_input: bool,
    /// Whether coordinates are in [0, 1] instead of the picture's pixels.
    pub relative: bool,
    /// When the best candidate replaces a single mask.
    pub dynamic: Option<DynamicMultimask>,
    /// The area of each official mask, as a fraction of the picture's.
    pub covered: Vec<f64>,
}

/// Points and a box.
#[derive(Clone, Debug, Default)]
pub struct CasePrompt {
    /// The x and y of each point.
    pub points: Vec<[f32; 2]>,
    /// The label of each point.
    pub labels: Vec<i32>,
    /// Left, top, right, bottom.
    pub box_: Option<[f32; 4]>,
}

/// The arguments of `predict` in `events.json`.
#[derive(Deserialize)]
struct Args {
    point_coords: Option<OneOrMany<Vec<[f32; 2]>>>,
    point_labels: Option<OneOrMany<Vec<i32>>>,
    #[serde(rename = "box")]
    box_: Option<OneOrMany<[f32; 4]>>,
    mask_input: Option<Value>,
    multimask_output: bool,
    normalize_coords: Option<bool>,
}

/// The values of one prompt, or of a batch.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

impl PredictCase {
    pub(crate) fn from_event(event: &Value) -> Self {
        let name = event["name"].as_str().expect("a case has a name").to_string();
        let args: Args = serde_json::from_value(event["args"].clone()).expect("arguments of predict");
        let points = args.point_coords.map_or(vec![], OneOrMany::into_vec);
        let labels = args.point_labels.map_or(vec![], OneOrMany::into_vec);
        let boxes = args.box_.map_or(vec![], OneOrMany::into_vec);
        let batch = points.len().max(boxes.len()).max(1);
        let prompts = (0..batch)
            .map(|i| CasePrompt {
                points: points.get(i).cloned().unwrap_or_default(),
                labels: labels.get(i).cloned().unwrap_or_default(),
                box_: boxes.get(i).copied(),
            })
            .collect();
        Self {
            prompts,
            multimask: args.multimask_output,
            mask_input: args.mask_input.is_some(),
            relative: args.normalize_coords == Some(false),
            dynamic: dynamic_multimask(&name),
            covered: flat_numbers(&event["frac"]),
            name,
        }
    }

    /// The prompts for `sam2-predict`, on a picture of `width` x `height`; `mask` is the fixture's.
    pub fn prompts(&self, width: usize, height: usize, mask: &[f32]) -> Vec<Prompt> {
        let [scale_x, scale_y] = match self.relative {
            true => [width as f32, height as f32],
            false => [1.0, 1.0],
        };
        let prompt = |case: &CasePrompt| Prompt {
            points: case
                .points
                .iter()
                .zip(&case.labels)
                .map(|([x, y], &label)| PointPrompt {
                    x: x * scale_x,
                    y: y * scale_y,
                    label,
                })
                .collect(),
            box_: case.box_.map(|[x0, y0, x1, y1]| BoxPrompt { x0, y0, x1, y1 }),
            mask: self.mask_input.then(|| mask.to_vec()),
            multimask: self.multimask,
        };
        self.prompts.iter().map(prompt).collect()
    }
}

/// The numbers of a list, or of a list of lists.
fn flat_numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(flat_numbers).collect(),
        value => vec![value.as_f64().expect("a number")],
    }
}

/// Some cases turn the decoder's fallback off or force it; their names say so.
fn dynamic_multimask(case: &str) -> Option<DynamicMultimask> {
    let with_threshold = |stability_thresh| {
        Some(DynamicMultimask {
            stability_thresh,
            ..DynamicMultimask::default()
        })
    };
    match case {
        "pt1_single_nodyn" => None,
        "pt1_single_stable" => with_threshold(0.0),
        "pt1_single_unstable" => with_threshold(1.5),
        _ => Some(DynamicMultimask::default()),
    }
}
