//! Of the network's boxes, those that are kept.

use sam2_ops::nms;

use crate::{DetectError, PatchBox};

/// What is kept of the network's boxes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectOptions {
    /// The lowest score that is kept, exclusive, from 0 to 1. (transformers' `post_process_object_detection` has the same
    /// default.)
    pub threshold: f32,
    /// Of boxes of one label whose IoU is above this, only the best is kept.
    pub nms_threshold: f64,
    /// The most objects of a label.
    pub per_label: usize,
    /// The most objects of a picture.
    pub max: usize,
}

impl Default for DetectOptions {
    fn default() -> Self {
        Self {
            threshold: 0.1,
            nms_threshold: 0.5,
            per_label: 100,
            max: 300,
        }
    }
}

impl DetectOptions {
    /// Checks that the options are in their ranges.
    ///
    /// # Errors
    /// [`DetectError::Option`] with the first that is not.
    pub fn check(&self) -> Result<(), DetectError> {
        let shares = [
            ("threshold", f64::from(self.threshold)),
            ("nms_threshold", self.nms_threshold),
        ];
        for (option, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(DetectError::Option {
                    option,
                    value: value.to_string(),
                    wanted: "a number from 0 to 1",
                });
            }
        }
        for (option, value) in [("per_label", self.per_label), ("max", self.max)] {
            if value == 0 {
                return Err(DetectError::Option {
                    option,
                    value: value.to_string(),
                    wanted: "1 or more",
                });
            }
        }
        Ok(())
    }
}

/// An object that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// The index of the label; 0 for an example.
    pub label: usize,
    /// From 0 to 1.
    pub score: f32,
    /// Left, top, right and bottom in pixels of the picture, the part of the box that is inside it.
    pub edges: [f32; 4],
}

/// The best of the boxes, cut at the edges of a picture of `[height, width]`. Those that are only in the padding are left
/// out.
pub(crate) fn choose(
    boxes: &[PatchBox],
    [height, width]: [usize; 2],
    options: DetectOptions,
) -> Vec<Detection> {
    let (width, height) = (width as f32, height as f32);
    let cut = |found: &PatchBox| {
        let [x0, y0, x1, y1] = found.edges;
        let edges @ [x0, y0, x1, y1] = [
            x0.clamp(0.0, width),
            y0.clamp(0.0, height),
            x1.clamp(0.0, width),
            y1.clamp(0.0, height),
        ];
        (x0 < x1 && y0 < y1).then_some(Detection {
            label: found.label,
            score: found.score,
            edges,
        })
    };
    let mut found: Vec<Detection> = boxes.iter().filter_map(cut).collect();
    found.sort_by_key(|found| found.label);
    let mut chosen: Vec<Detection> = found
        .chunk_by(|a, b| a.label == b.label)
        .flat_map(|found| {
            let edges: Vec<[f32; 4]> = found.iter().map(|found| found.edges).collect();
            let scores: Vec<f32> = found.iter().map(|found| found.score).collect();
            let kept = nms(&edges, &scores, options.nms_threshold);
            kept.into_iter().take(options.per_label).map(|at| found[at])
        })
        .collect();
    chosen.sort_by(|a, b| b.score.total_cmp(&a.score));
    chosen.truncate(options.max);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch_box(label: usize, score: f32, edges: [f32; 4]) -> PatchBox {
        PatchBox {
            patch: 0,
            label,
            score,
            edges,
        }
    }

    #[test]
    fn the_best_of_each_label_stay_inside_the_picture() {
        let boxes = [
            patch_box(1, 0.5, [10.0, 10.0, 20.0, 20.0]),
            patch_box(0, 0.6, [10.0, 10.0, 20.0, 20.0]),
            patch_box(1, 0.7, [10.0, 10.0, 20.0, 21.0]),
            patch_box(0, 0.9, [-5.0, 30.0, 8.0, 60.0]),
            // In the padding below a picture of 50 x 80.
            patch_box(0, 0.8, [10.0, 55.0, 20.0, 70.0]),
        ];
        let found = choose(&boxes, [50, 80], DetectOptions::default());
        let labels: Vec<(usize, f32)> = found.iter().map(|found| (found.label, found.score)).collect();
        assert_eq!(labels, [(0, 0.9), (1, 0.7), (0, 0.6)]);
        assert_eq!(found[0].edges, [0.0, 30.0, 8.0, 50.0]);
        let few = |per_label, max| {
            let options = DetectOptions {
                per_label,
                max,
                ..DetectOptions::default()
            };
            choose(&boxes, [50, 80], options).len()
        };
        assert_eq!((few(1, 9), few(9, 1)), (2, 1));
        assert!(choose(&[], [50, 80], DetectOptions::default()).is_empty());
    }

    #[test]
    fn options_out_of_range_are_named() {
        let default = DetectOptions::default();
        assert_eq!(default.check(), Ok(()));
        for (options, name) in [
            (
                DetectOptions {
                    threshold: f32::NAN,
                    ..default
                },
                "threshold",
            ),
            (
                DetectOptions {
                    nms_threshold: 1.5,
                    ..default
                },
                "nms_threshold",
            ),
            (
                DetectOptions {
                    per_label: 0,
                    ..default
                },
                "per_label",
            ),
            (DetectOptions { max: 0, ..default }, "max"),
        ] {
            match options.check() {
                Err(DetectError::Option { option, .. }) => assert_eq!(option, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
