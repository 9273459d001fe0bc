//! Asks at every point of a grid, and keeps the good masks.

use std::ops::{ControlFlow, Range};

use sam2_ops::nms;
use sam2_resample::bilinear_above;

use super::crops::{CropBox, crop_boxes, is_cut_off};
use super::options::require;
use super::points::point_grid;
use super::{MaskGeneratorOptions, MaskRecord};
use crate::{
    Cleanup, ImageEmbedding, ImagePredictor, LowResMask, PictureRef, PointPrompt, PredictError, Prompt, Rle,
};

/// Finds the masks of everything in a picture. Of a part of the picture only the features, and the low-resolution
/// logits of one batch, are in memory at a time; masks are kept as run lengths.
#[derive(Debug)]
pub struct MaskGenerator<'a> {
    predictor: &'a ImagePredictor,
    options: MaskGeneratorOptions,
}

/// A batch of points is done. What was added and not removed by the end are the masks of the whole.
#[derive(Clone, Debug)]
pub struct FoundMasks<'a> {
    /// Masks that stay as far as is known now, each with a number of its own. One that was removed may come back.
    pub added: Vec<(usize, &'a MaskRecord)>,
    /// Numbers of earlier ones that went, since a better mask of nearly the same box was found.
    pub removed: Vec<usize>,
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

    /// All masks of an encoded picture, as the official code orders them: by falling predicted IoU, and those of small
    /// parts of the picture first. `picture` is looked at again for its parts (`crop_n_layers`), and may be left out
    /// without them. `found` is called after each batch of points; where it breaks off, what is known then is the answer.
    ///
    /// # Errors
    /// There are more layers of parts than the picture has pixels for, its parts are wanted and it is not given or of
    /// another size, or the device failed.
    pub async fn generate(
        &self,
        image: &ImageEmbedding,
        picture: Option<PictureRef<'_>>,
        mut found: impl AsyncFnMut(FoundMasks<'_>) -> ControlFlow<()>,
    ) -> Result<Vec<MaskRecord>, PredictError> {
        let options = &self.options;
        let size = [image.width(), image.height()];
        let crops = crop_boxes(size, options.crop_n_layers, options.crop_overlap_ratio);
        require(
            crops.iter().all(|([x0, y0, x1, y1], _)| x0 < x1 && y0 < y1),
            "crop_n_layers",
            options.crop_n_layers,
            &format!("fewer for a picture of {}x{} pixels", size[0], size[1]),
        )?;
        let picture = picture.filter(|picture| [picture.width(), picture.height()] == size);
        require(
            crops.len() == 1 || picture.is_some(),
            "crop_n_layers",
            options.crop_n_layers,
            "0 where the picture that was encoded is not given",
        )?;
        let points = crops
            .iter()
            .map(|(_, layer)| (options.points_in_layer(*layer) as u64).pow(2))
            .sum();

        // All that passed the filters, by number; which of them stay of the parts that are done; which were told.
        let mut records: Vec<MaskRecord> = Vec::new();
        let (mut of_parts, mut told, mut points_done) = (Vec::new(), Vec::new(), 0);
        let mut masks = Vec::new();
        'parts: for &(bounds, layer) in &crops {
            let part = match picture {
                Some(picture) if layer > 0 => {
                    let bytes = picture.crop(bounds);
                    Some(self.predictor.set_image(picture.part(&bytes, bounds)?).await?)
                }
                _ => None,
            };
            let image = part.as_ref().unwrap_or(image);
            let crop = Crop {
                image,
                bounds,
                picture: size,
            };
            let grid = point_grid(options.points_in_layer(layer), [image.width(), image.height()]);
            let first = records.len();
            let mut of_crop = Vec::new();
            for batch in grid.chunks(options.points_per_batch) {
                records.extend(self.batch(&crop, batch).await?);
                points_done += batch.len() as u64;
                of_crop = without_duplicates(
                    &records,
                    (first..records.len()).collect(),
                    options.box_nms_thresh,
                    |record| record.predicted_iou,
                );
                masks = [&of_parts[..], &of_crop].concat();
                if crops.len() > 1 {
                    masks = without_duplicates(&records, masks, options.crop_nms_thresh, |record| {
                        1.0 / (record.crop_box[2] * record.crop_box[3]) as f32
                    });
                }
                let mut stays = vec![false; records.len()];
                masks.iter().for_each(|&at| stays[at] = true);
                let was_told = |at: &usize| told.get(*at) == Some(&true);
                let all = 0..records.len();
                let known = FoundMasks {
                    added: (all.clone().filter(|at| stays[*at] && !was_told(at)))
                        .map(|at| (at, &records[at]))
                        .collect(),
                    removed: all.filter(|at| !stays[*at] && was_told(at)).collect(),
                    points_done,
                    points,
                };
                if found(known).await.is_break() {
                    break 'parts;
                }
                told = stays;
            }
            of_parts.extend(of_crop);
        }
        let mut records: Vec<Option<MaskRecord>> = records.into_iter().map(Some).collect();
        Ok(masks.into_iter().filter_map(|at| records[at].take()).collect())
    }

    /// The masks at some points of a part that pass the filters.
    async fn batch(&self, crop: &Crop<'_>, points: &[[f32; 2]]) -> Result<Vec<MaskRecord>, PredictError> {
        let cleanup = Cleanup {
            max_hole_area: self.options.min_mask_region_area,
            max_sprinkle_area: self.options.min_mask_region_area,
        };
        let prompts: Vec<Prompt> = points
            .iter()
            .map(|&point| prompt(point, None, self.options.multimask_output))
            .collect();
        let answers = self
            .predictor
            .predict_batch_cleaned(crop.image, &prompts, cleanup)
            .await?;
        let mut candidates: Vec<([f32; 2], LowResMask)> = Vec::new();
        for (&point, answer) in points.iter().zip(answers) {
            candidates.extend(answer.masks.into_iter().map(|mask| (point, mask)));
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
                .map(|(point, mask)| prompt(*point, Some(mask.logits()), false))
                .collect();
            let answers = (self.predictor)
                .predict_batch_cleaned(crop.image, &prompts, cleanup)
                .await?;
            for ((point, _), answer) in chunk.iter().zip(answers) {
                let refined = answer.masks.into_iter().map(|mask| (*point, mask));
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
        let is_good = wanted <= 0.0 || mask.score() > wanted;
        if !is_good {
            return None;
        }
        let logits = mask.mask_logits();
        let [width, height] = [crop.image.width(), crop.image.height()];
        let for_each_run = |threshold: f64, visit: &mut dyn FnMut(usize, Range<usize>)| {
            let part = [0..height, 0..width];
            bilinear_above(
                &logits,
                [mask.side(); 2],
                [height, width],
                part,
                threshold as f32,
                visit,
            );
        };
        let area_over = |threshold: f64| {
            let mut area = 0;
            for_each_run(threshold, &mut |_, run| area += run.len());
            area as f32
        };
        let offset = options.stability_score_offset;
        let stability_score =
            area_over(options.mask_threshold + offset) / area_over(options.mask_threshold - offset);
        let wanted = options.stability_score_thresh as f32;
        let is_stable = wanted <= 0.0 || stability_score >= wanted;
        if !is_stable {
            return None;
        }

        let mut runs: Vec<(usize, Range<usize>)> = Vec::new();
        for_each_run(options.mask_threshold, &mut |y, run| runs.push((y, run)));
        let [x0, y0, x1, y1] = crop.bounds;
        let [left, top, right, bottom] = bounds(&runs);
        if is_cut_off(
            [left + x0, top + y0, right + x0, bottom + y0],
            crop.bounds,
            crop.picture,
        ) {
            return None;
        }
        let area = runs.iter().map(|(_, run)| run.len()).sum();
        let [picture_width, picture_height] = crop.picture;
        let in_picture = runs
            .into_iter()
            .map(|(y, run)| (y + y0, run.start + x0..run.end + x0));
        Some(MaskRecord {
            segmentation: Rle::from_row_runs(picture_width, picture_height, in_picture),
            area,
            bbox: [left + x0, top + y0, right - left, bottom - top],
            predicted_iou: mask.score(),
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

/// Which of `some` records non-maximum suppression keeps, best first.
fn without_duplicates(
    records: &[MaskRecord],
    some: Vec<usize>,
    iou_threshold: f64,
    score: impl Fn(&MaskRecord) -> f32,
) -> Vec<usize> {
    let boxes: Vec<[f32; 4]> = some.iter().map(|&at| records[at].bounds()).collect();
    let scores: Vec<f32> = some.iter().map(|&at| score(&records[at])).collect();
    let kept = nms(&boxes, &scores, iou_threshold);
    kept.into_iter().map(|at| some[at]).collect()
}

/// Left, top, right and bottom of a mask's runs along its rows, the last pixels included; zeros where nothing is
/// (`sam2.utils.amg.batched_mask_to_box`).
fn bounds(runs: &[(usize, Range<usize>)]) -> [usize; 4] {
    let (Some(&(top, _)), Some(&(bottom, _))) = (runs.first(), runs.last()) else {
        return [0; 4];
    };
    let left = runs.iter().map(|(_, run)| run.start).min().unwrap_or(0);
    let right = runs.iter().map(|(_, run)| run.end - 1).max().unwrap_or(0);
    [left, top, right, bottom]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_include_the_last_pixels() {
        assert_eq!(bounds(&[(1, 1..2), (2, 0..1), (2, 4..6)]), [0, 1, 5, 2]);
        assert_eq!(bounds(&[]), [0; 4]);
    }
}
