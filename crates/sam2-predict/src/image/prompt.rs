//! Prompts on a picture, in the picture's pixels.

use sam2::prompt_encoder::{Point, PointLabel};

use crate::PredictError;

/// A click.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointPrompt {
    /// The distance from the left edge, in pixels of the picture.
    pub x: f32,
    /// The distance from the top edge, in pixels of the picture.
    pub y: f32,
    /// 1 for a point on the object, 0 for one that is not on it, and -1 for padding, which makes the prompts of a batch
    /// equally long.
    pub label: i32,
}

/// A box around the object. An edge that is outside the picture by less than a pixel, as in the output of detectors, is
/// moved to the picture's edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxPrompt {
    /// The left edge, in pixels of the picture.
    pub x0: f32,
    /// The top edge, in pixels of the picture.
    pub y0: f32,
    /// The right edge, in pixels of the picture.
    pub x1: f32,
    /// The bottom edge, in pixels of the picture.
    pub y1: f32,
}

impl BoxPrompt {
    /// Moves each edge that is outside by less than a pixel to the picture's edge.
    fn clamped(self, width: usize, height: usize) -> Self {
        let clamp = |edge: f32, size: usize| {
            let inside = edge.clamp(0.0, size as f32);
            if (edge - inside).abs() < 1.0 { inside } else { edge }
        };
        Self {
            x0: clamp(self.x0, width),
            y0: clamp(self.y0, height),
            x1: clamp(self.x1, width),
            y1: clamp(self.y1, height),
        }
    }
}

/// Points, a box and a mask, in any combination.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// Clicks on and off the object.
    pub points: Vec<PointPrompt>,
    /// A box around the object.
    pub box_: Option<BoxPrompt>,
    /// The logits of an earlier prediction at the model's low resolution, `[side, side]`, row-major.
    pub mask: Option<Vec<f32>>,
    /// Whether to return three candidates instead of a single mask, for prompts with several possible meanings, such as
    /// one click.
    pub multimask: bool,
}

impl Prompt {
    /// The points for the network, with the box's corners first (`SAM2ImagePredictor._prep_prompts` and `_predict`).
    ///
    /// # Errors
    /// [`PredictError`] for a coordinate, a label or a box that is not allowed.
    pub(crate) fn to_points(
        &self,
        width: usize,
        height: usize,
        image_size: usize,
    ) -> Result<Vec<Point>, PredictError> {
        let scaled = |x: f32, y: f32, label| Point {
            x: x / width as f32 * image_size as f32,
            y: y / height as f32 * image_size as f32,
            label,
        };
        let mut points = Vec::with_capacity(self.points.len() + 2);
        if let Some(given) = self.box_ {
            let b = given.clamped(width, height);
            check_position("the box", b.x0, b.y0, width, height)?;
            check_position("the box", b.x1, b.y1, width, height)?;
            if b.x0 >= b.x1 || b.y0 >= b.y1 {
                return Err(PredictError::EmptyBox {
                    x0: given.x0,
                    y0: given.y0,
                    x1: given.x1,
                    y1: given.y1,
                });
            }
            points.push(scaled(b.x0, b.y0, PointLabel::BoxTopLeft));
            points.push(scaled(b.x1, b.y1, PointLabel::BoxBottomRight));
        }
        for (index, point) in self.points.iter().enumerate() {
            let label = match point.label {
                1 => PointLabel::Positive,
                0 => PointLabel::Negative,
                -1 => PointLabel::Padding,
                label => return Err(PredictError::Label { index, label }),
            };
            if label != PointLabel::Padding {
                check_position(&format!("point {index}"), point.x, point.y, width, height)?;
            }
            points.push(scaled(point.x, point.y, label));
        }
        Ok(points)
    }

    /// The mask prompt.
    ///
    /// # Errors
    /// [`PredictError`] unless the mask has `side * side` finite values.
    pub(crate) fn checked_mask(&self, side: usize) -> Result<Option<&[f32]>, PredictError> {
        let Some(mask) = &self.mask else { return Ok(None) };
        if mask.len() != side * side {
            return Err(PredictError::MaskSize {
                side,
                found: mask.len(),
            });
        }
        match mask.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(PredictError::MaskNotFinite { index }),
            None => Ok(Some(mask)),
        }
    }
}

fn check_position(what: &str, x: f32, y: f32, width: usize, height: usize) -> Result<(), PredictError> {
    if !x.is_finite() || !y.is_finite() {
        return Err(PredictError::NotFinite {
            what: what.into(),
            x,
            y,
        });
    }
    let inside = (0.0..=width as f32).contains(&x) && (0.0..=height as f32).contains(&y);
    if inside {
        Ok(())
    } else {
        Err(PredictError::Outside {
            what: what.into(),
            x,
            y,
            width,
            height,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn click(x: f32, y: f32, label: i32) -> Prompt {
        Prompt {
            points: vec![PointPrompt { x, y, label }],
            ..Prompt::default()
        }
    }

    #[test]
    fn wrong_prompts_say_why() {
        let check = |prompt: Prompt| prompt.to_points(100, 50, 256).unwrap_err();
        assert!(matches!(
            check(click(f32::NAN, 1.0, 1)),
            PredictError::NotFinite { .. }
        ));
        assert!(matches!(
            check(click(101.0, 1.0, 1)),
            PredictError::Outside { .. }
        ));
        assert!(matches!(check(click(1.0, -0.5, 0)), PredictError::Outside { .. }));
        assert!(matches!(
            check(click(1.0, 1.0, 7)),
            PredictError::Label { index: 0, label: 7 }
        ));
        let upside_down = BoxPrompt {
            x0: 50.0,
            y0: 10.0,
            x1: 20.0,
            y1: 40.0,
        };
        let prompt = Prompt {
            box_: Some(upside_down),
            ..Prompt::default()
        };
        assert!(matches!(check(prompt), PredictError::EmptyBox { .. }));

        let mask = |mask: Vec<f32>| Prompt {
            mask: Some(mask),
            ..Prompt::default()
        };
        assert!(matches!(
            mask(vec![0.0; 3]).checked_mask(2),
            Err(PredictError::MaskSize { .. })
        ));
        let nan = mask(vec![0.0, f32::NAN, 0.0, 0.0]);
        assert!(matches!(
            nan.checked_mask(2),
            Err(PredictError::MaskNotFinite { index: 1 })
        ));
    }

    #[test]
    fn a_box_out_by_less_than_a_pixel_is_clamped() {
        let check = |[x0, y0, x1, y1]: [f32; 4]| {
            let prompt = Prompt {
                box_: Some(BoxPrompt { x0, y0, x1, y1 }),
                ..Prompt::default()
            };
            prompt.to_points(100, 50, 100)
        };
        let corners = |points: Vec<Point>| points.iter().map(|p| (p.x, p.y)).collect::<Vec<_>>();
        assert_eq!(
            corners(check([-0.31, -0.99, 100.9, 50.2]).unwrap()),
            [(0.0, 0.0), (100.0, 100.0)]
        );
        assert_eq!(
            corners(check([3.5, 0.0, 99.0, 25.0]).unwrap()),
            [(3.5, 0.0), (99.0, 50.0)]
        );
        for out in [
            [-1.0, 0.0, 50.0, 50.0],
            [0.0, -30.0, 50.0, 50.0],
            [0.0, 0.0, 101.0, 50.0],
            [0.0, 0.0, 50.0, 900.0],
        ] {
            assert!(matches!(check(out), Err(PredictError::Outside { .. })), "{out:?}");
        }
        // What is left of it is nothing.
        assert!(matches!(
            check([-0.9, 0.0, -0.1, 50.0]),
            Err(PredictError::EmptyBox { x1: -0.1, .. })
        ));
        assert!(matches!(
            check([0.0, 0.0, f32::NAN, 50.0]),
            Err(PredictError::NotFinite { .. })
        ));
    }

    #[test]
    fn the_box_comes_first_and_positions_scale_by_axis() {
        let prompt = Prompt {
            box_: Some(BoxPrompt {
                x0: 10.0,
                y0: 10.0,
                x1: 100.0,
                y1: 50.0,
            }),
            ..click(50.0, 25.0, 0)
        };
        let points = prompt.to_points(100, 50, 256).unwrap();
        assert_eq!(
            points.iter().map(|p| p.label).collect::<Vec<_>>(),
            [
                PointLabel::BoxTopLeft,
                PointLabel::BoxBottomRight,
                PointLabel::Negative
            ]
        );
        assert_eq!((points[1].x, points[1].y), (256.0, 256.0));
        assert_eq!((points[2].x, points[2].y), (128.0, 128.0));
    }
}
