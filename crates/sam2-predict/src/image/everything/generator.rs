//! Asks at every point of a grid, and keeps the good masks.

use sam2_resample::bilinear_rows;

use super::crops::{CropBox, crop_boxes, is_cut_off};
use super::nms::nms;
use super::options::require;
use super::points::point_grid;
use super::{MaskGeneratorOptions, MaskRecord};
use crate::image::predictor::LowResMask;
use crate::{Cleanup, ImageEmbedding, ImagePredictor, PictureRef, PointPrompt, PredictError, Prompt, Rle};

/// Finds the masks of everything in a picture. Of a part of the picture only the features, and the low-resolution
/// logits of one batch, are in memory at a time; masks are kept as run lengths.
#[derive(Debug)]
pub struct MaskGenerator<'a> {
    predictor: &'a ImagePredictor,
    options: MaskGeneratorOptions,
}

/// A batch of points is done.
#[derive(Clone, Copy, Debug)]
pub struct FoundMasks<'a> {
    /// What passed the filters. Later some of them go for others of nearly the same box.
    pub records: &'a [MaskRecord],
    /// Points asked so far, in all parts of the picture.
    pub points_done: u64,
    /// Points to ask.
    pub points: u64,
}

/// A part of the picture that is being looked at.
struct Crop<'a> {
    image: &'a ImageEmbedding,
    bounds: CropBox,
    /// The picture's width and height.
    picture: [usize; 2],
}

impl<'a> MaskGenerator<'a> {
    /// # Errors
    /// An option is out of its bounds.
    pub fn new(predictor: &'a ImagePredictor, options: MaskGeneratorOptions) -> Result<Self, PredictError> {
        options.check()?;
        Ok(Self { predictor, options })
    }

    /// All masks, as the official code orders them: by falling predicted IoU, and those of small parts of the picture
    /// first. `found` is called after each batch of points. Dropping the future stops it.
    ///
    /// # Errors
    /// There are more layers of parts than the picture has pixels for, or the device failed.
    pub async fn generate(
        &self,
        picture: PictureRef<'_>,
        mut found: impl FnMut(FoundMasks<'_>),
    ) -> Result<Vec<MaskRecord>, PredictError> {
        let options = &self.options;
        let size = [picture.width(), picture.height()];
        let crops = crop_boxes(size, options.crop_n_layers, options.crop_overlap_ratio);
        require(
            crops.iter().all(|([x0, y0, x1, y1], _)| x0 < x1 && y0 < y1),
            "crop_n_layers",
            options.crop_n_layers,
            &format!("fewer for a picture of {}x{} pixels", size[0], size[1]),
        )?;
        let points = crops
            .iter()
            .map(|(_, layer)| (options.points_in_layer(*layer) as u64).pow(2))
            .sum();

        let (mut all, mut points_done) = (Vec::new(), 0);
        for &(bounds, layer) in &crops {
            let image = if layer == 0 {
                self.predictor.set_image(picture).await?
            } else {
                let bytes = picture.crop(bounds);
                self.predictor.set_image(picture.part(&bytes, bounds)?).await?
            };
            let crop = Crop {
                image: &image,
                bounds,
                picture: size,
            };
            let grid = point_grid(options.points_in_layer(layer), [image.width(), image.height()]);
            let mut of_crop = Vec::new();
            for batch in grid.chunks(options.points_per_batch) {
                let records = self.batch(&crop, batch).await?;
                points_done += batch.len() as u64;
                found(FoundMasks {
                    records: &records,
                    points_done,
                    points,
                });
                of_crop.extend(records);
            }
            all.extend(without_duplicates(of_crop, options.box_nms_thresh, |record| {
                record.predicted_iou
            }));
        }
        if crops.len() > 1 {
            all = without_duplicates(all, options.crop_nms_thresh, |record| {
                1.0 / (record.crop_box[2] * record.crop_box[3]) as f32
            });
        }
        Ok(all)
    }

    /// The masks at some points of a part that pass the filters.
    async fn batch(&self, crop: &Crop<'_>, points: &[[f32; 2]]) -> Result<Vec<MaskRecord>, PredictError> {
        let prompts: Vec<Prompt> = points
            .iter()
            .map(|&point| prompt(point, None, self.options.multimask_output))
            .collect();
        let answers = self.predictor.predict_low_res(crop.image, &prompts).await?;
        let mut candidates: Vec<([f32; 2], LowResMask)> = Vec::new();
        for (&point, masks) in points.iter().zip(answers) {
            candidates.extend(masks.into_iter().map(|mask| (point, mask)));
        }
        let mut records = Vec::new();
        if !self.options.use_m2m {
            records.extend(candidates.iter().filter_map(|c| self.record(crop, c)));
            return Ok(records);
        }
        for chunk in candidates.chunks(self.options.points_per_batch) {
            // The official predictor clamps the logits that it returns.
            let prompts: Vec<Prompt> = chunk
                .iter()
                .map(|(point, mask)| {
                    let logits = mask.logits.iter().map(|logit| logit.clamp(-32.0, 32.0)).collect();
                    prompt(*point, Some(logits), false)
                })
                .collect();
            let answers = self.predictor.predict_low_res(crop.image, &prompts).await?;
            for ((point, _), masks) in chunk.iter().zip(answers) {
                let refined = masks.into_iter().map(|mask| (*point, mask));
                records.extend(refined.filter_map(|candidate| self.record(crop, &candidate)));
            }
        }
        Ok(records)
    }

    /// A candidate in the picture's pixels, or none where a filter takes it away.
    fn record(&self, crop: &Crop<'_>, (point, mask): &([f32; 2], LowResMask)) -> Option<MaskRecord> {
        let options = &self.options;
        // Thresholds are compared as f32, as PyTorch compares a number with an f32 tensor.
        let wanted = options.pred_iou_thresh as f32;
        let is_good = wanted <= 0.0 || mask.score > wanted;
        if !is_good {
            return None;
        }
        let cleanup = Cleanup {
            max_hole_area: options.min_mask_region_area,
            max_sprinkle_area: options.min_mask_region_area,
        };
        let side = mask.side;
        let logits = cleanup.apply(&mask.logits, side);
        let [width, height] = [crop.image.width(), crop.image.height()];

        let threshold = options.mask_threshold as f32;
        let high = (options.mask_threshold + options.stability_score_offset) as f32;
        let low = (options.mask_threshold - options.stability_score_offset) as f32;
        let mut pixels = vec![false; width * height];
        let (mut over_high, mut over_low) = (0usize, 0usize);
        bilinear_rows(&logits, [side, side], [height, width], |y, row| {
            let pixels = &mut pixels[y * width..][..width];
            for (pixel, &logit) in pixels.iter_mut().zip(row) {
                *pixel = logit > threshold;
                over_high += usize::from(logit > high);
                over_low += usize::from(logit > low);
            }
        });
        let stability_score = over_high as f32 / over_low as f32;
        let wanted = options.stability_score_thresh as f32;
        let is_stable = wanted <= 0.0 || stability_score >= wanted;
        if !is_stable {
            return None;
        }

        let [left, top, right, bottom] = bounds(&pixels, width);
        let [x0, y0, x1, y1] = crop.bounds;
        if is_cut_off(
            [left + x0, top + y0, right + x0, bottom + y0],
            crop.bounds,
            crop.picture,
        ) {
            return None;
        }
        let inside = |x: usize, y: usize| (x0..x1).contains(&x) && (y0..y1).contains(&y);
        let segmentation = Rle::from_pixels(crop.picture[0], crop.picture[1], |x, y| {
            inside(x, y) && pixels[(y - y0) * width + (x - x0)]
        });
        Some(MaskRecord {
            segmentation,
            area: pixels.iter().filter(|&&on| on).count(),
            bbox: [left + x0, top + y0, right - left, bottom - top],
            predicted_iou: mask.score,
            point_coords: [point[0] + x0 as f32, point[1] + y0 as f32],
            stability_score,
            crop_box: [x0, y0, x1 - x0, y1 - y0],
        })
    }
}

/// A click on the object.
fn prompt([x, y]: [f32; 2], mask: Option<Vec<f32>>, multimask: bool) -> Prompt {
    Prompt {
        points: vec![PointPrompt { x, y, label: 1 }],
        box_: None,
        mask,
        multimask,
    }
}

/// The records that non-maximum suppression keeps, best first.
fn without_duplicates(
    records: Vec<MaskRecord>,
    iou_threshold: f64,
    score: impl Fn(&MaskRecord) -> f32,
) -> Vec<MaskRecord> {
    let boxes: Vec<[f32; 4]> = records.iter().map(MaskRecord::bounds).collect();
    let scores: Vec<f32> = records.iter().map(score).collect();
    let mut records: Vec<Option<MaskRecord>> = records.into_iter().map(Some).collect();
    let kept = nms(&boxes, &scores, iou_threshold).into_iter();
    kept.filter_map(|at| records[at].take()).collect()
}

/// Left, top, right and bottom of what is on, the last pixels included; zeros where nothing is
/// (`sam2.utils.amg.batched_mask_to_box`).
fn bounds(pixels: &[bool], width: usize) -> [usize; 4] {
    let mut found: Option<[usize; 4]> = None;
    for (y, row) in pixels.chunks_exact(width).enumerate() {
        let (Some(first), Some(last)) = (row.iter().position(|&on| on), row.iter().rposition(|&on| on))
        else {
            continue;
        };
        let [left, top, right, _] = found.unwrap_or([first, y, last, y]);
        found = Some([left.min(first), top, right.max(last), y]);
    }
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_include_the_last_pixels() {
        let pixels = [false, false, false, false, true, false, true, true, false];
        assert_eq!(bounds(&pixels, 3), [0, 1, 1, 2]);
        assert_eq!(bounds(&[false; 9], 3), [0; 4]);
    }
}
