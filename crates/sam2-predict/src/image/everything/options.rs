//! What can be chosen about finding everything.

use crate::PredictError;

/// Options of [`super::MaskGenerator`]: official names, meanings and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskGeneratorOptions {
    /// The network is asked at so many points squared; from 1 to 1,024.
    pub points_per_side: usize,
    /// So many points are asked at once; at least 1. More need more memory.
    pub points_per_batch: usize,
    /// Masks whose predicted IoU is not over this go; from 0 to 1, 0 keeps all.
    pub pred_iou_thresh: f64,
    /// Masks whose stability score is below this go; from 0 to 1, 0 keeps all.
    pub stability_score_thresh: f64,
    /// The stability score compares the masks at thresholds so far above and below; at least 0.
    pub stability_score_offset: f64,
    /// A pixel is on the object where its logit is above this.
    pub mask_threshold: f64,
    /// Of masks in a part of the picture whose boxes' IoU is over this, only the best stays; from 0 to 1.
    pub box_nms_thresh: f64,
    /// The network also looks at parts of the picture, `4^n` in layer `n`; up to 8 layers, 0 for the picture alone.
    pub crop_n_layers: u32,
    /// As `box_nms_thresh`, between parts: the mask of the smallest part stays.
    pub crop_nms_thresh: f64,
    /// Parts overlap by so much of the picture's short side; from 0 to 1, halved from layer to layer.
    pub crop_overlap_ratio: f64,
    /// `points_per_side` is divided by this in each layer; at least 1.
    pub crop_n_points_downscale_factor: usize,
    /// Holes are filled and islands taken away up to so many pixels of the network's low resolution; 0 for none.
    pub min_mask_region_area: usize,
    /// Each mask is predicted once more, with itself as the prompt's mask.
    pub use_m2m: bool,
    /// Three masks at each point, or one.
    pub multimask_output: bool,
}

const MAX_POINTS_PER_SIDE: usize = 1024;
const MAX_CROP_LAYERS: u32 = 8;

impl Default for MaskGeneratorOptions {
    fn default() -> Self {
        Self {
            points_per_side: 32,
            points_per_batch: 64,
            pred_iou_thresh: 0.8,
            stability_score_thresh: 0.95,
            stability_score_offset: 1.0,
            mask_threshold: 0.0,
            box_nms_thresh: 0.7,
            crop_n_layers: 0,
            crop_nms_thresh: 0.7,
            crop_overlap_ratio: 512.0 / 1500.0,
            crop_n_points_downscale_factor: 1,
            min_mask_region_area: 0,
            use_m2m: false,
            multimask_output: true,
        }
    }
}

impl MaskGeneratorOptions {
    /// Sets an option by its official name; 1 and 0 are true and false.
    ///
    /// # Errors
    /// There is no such option, or it is not that kind of number. Whether it is in its bounds is told by
    /// [`super::MaskGenerator::new`].
    pub fn set(&mut self, option: &str, value: f64) -> Result<(), PredictError> {
        let whole = |option| {
            let is_whole = (0.0..=f64::from(u32::MAX)).contains(&value) && value.fract() == 0.0;
            require(is_whole, option, value, "a whole number of at least 0").map(|()| value as usize)
        };
        let flag = |option| {
            require([0.0, 1.0].contains(&value), option, value, "true or false").map(|()| value == 1.0)
        };
        match option {
            "points_per_side" => self.points_per_side = whole("points_per_side")?,
            "points_per_batch" => self.points_per_batch = whole("points_per_batch")?,
            "pred_iou_thresh" => self.pred_iou_thresh = value,
            "stability_score_thresh" => self.stability_score_thresh = value,
            "stability_score_offset" => self.stability_score_offset = value,
            "mask_threshold" => self.mask_threshold = value,
            "box_nms_thresh" => self.box_nms_thresh = value,
            "crop_n_layers" => self.crop_n_layers = whole("crop_n_layers")? as u32,
            "crop_nms_thresh" => self.crop_nms_thresh = value,
            "crop_overlap_ratio" => self.crop_overlap_ratio = value,
            "crop_n_points_downscale_factor" => {
                self.crop_n_points_downscale_factor = whole("crop_n_points_downscale_factor")?;
            }
            "min_mask_region_area" => self.min_mask_region_area = whole("min_mask_region_area")?,
            "use_m2m" => self.use_m2m = flag("use_m2m")?,
            "multimask_output" => self.multimask_output = flag("multimask_output")?,
            _ => require(false, "options", option, "names of the mask generator's options")?,
        }
        Ok(())
    }

    /// # Errors
    /// An option is out of its bounds.
    pub(super) fn check(&self) -> Result<(), PredictError> {
        let per_side = self.points_per_side;
        require(
            (1..=MAX_POINTS_PER_SIDE).contains(&per_side),
            "points_per_side",
            per_side,
            "a whole number from 1 to 1,024",
        )?;
        require(
            self.points_per_batch > 0,
            "points_per_batch",
            self.points_per_batch,
            "a whole number of at least 1",
        )?;
        for (option, value) in [
            ("pred_iou_thresh", self.pred_iou_thresh),
            ("stability_score_thresh", self.stability_score_thresh),
            ("box_nms_thresh", self.box_nms_thresh),
            ("crop_nms_thresh", self.crop_nms_thresh),
            ("crop_overlap_ratio", self.crop_overlap_ratio),
        ] {
            require(
                (0.0..=1.0).contains(&value),
                option,
                value,
                "a number from 0 to 1",
            )?;
        }
        let offset = self.stability_score_offset;
        require(
            offset.is_finite() && offset >= 0.0,
            "stability_score_offset",
            offset,
            "a finite number of at least 0",
        )?;
        require(
            self.mask_threshold.is_finite(),
            "mask_threshold",
            self.mask_threshold,
            "a finite number",
        )?;
        require(
            self.crop_n_layers <= MAX_CROP_LAYERS,
            "crop_n_layers",
            self.crop_n_layers,
            "a whole number from 0 to 8",
        )?;
        let factor = self.crop_n_points_downscale_factor;
        require(
            factor > 0 && self.points_in_layer(self.crop_n_layers as usize) > 0,
            "crop_n_points_downscale_factor",
            factor,
            "at least 1, and so small that the last of crop_n_layers has a point left of points_per_side",
        )
    }

    /// Points a side in a layer's parts.
    pub(super) fn points_in_layer(&self, layer: usize) -> usize {
        let divide = |points: usize, _| points / self.crop_n_points_downscale_factor;
        (0..layer).fold(self.points_per_side, divide)
    }
}

/// # Errors
/// `holds` is false.
pub(super) fn require(
    holds: bool,
    option: &'static str,
    value: impl ToString,
    wanted: &str,
) -> Result<(), PredictError> {
    if holds {
        return Ok(());
    }
    Err(PredictError::Option {
        option,
        value: value.to_string(),
        wanted: wanted.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut MaskGeneratorOptions)) -> &'static str {
        let mut options = MaskGeneratorOptions::default();
        change(&mut options);
        match options.check() {
            Err(PredictError::Option { option, .. }) => option,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_are_set_by_name() {
        let mut options = MaskGeneratorOptions::default();
        options.set("points_per_side", 16.0).unwrap();
        options.set("mask_threshold", -0.5).unwrap();
        options.set("use_m2m", 1.0).unwrap();
        assert_eq!(
            (options.points_per_side, options.mask_threshold, options.use_m2m),
            (16, -0.5, true)
        );
        for (option, value) in [
            ("points_per_side", 1.5),
            ("points_per_batch", -1.0),
            ("crop_n_layers", 1e10),
            ("min_mask_region_area", f64::NAN),
            ("multimask_output", 2.0),
            ("points", 1.0),
        ] {
            assert!(options.set(option, value).is_err(), "{option}");
        }
    }

    #[test]
    fn options_out_of_bounds_are_named() {
        assert_eq!(MaskGeneratorOptions::default().check(), Ok(()));
        assert_eq!(refused(|o| o.points_per_side = 0), "points_per_side");
        assert_eq!(refused(|o| o.points_per_side = 1025), "points_per_side");
        assert_eq!(refused(|o| o.points_per_batch = 0), "points_per_batch");
        assert_eq!(refused(|o| o.pred_iou_thresh = 1.1), "pred_iou_thresh");
        assert_eq!(
            refused(|o| o.stability_score_thresh = -0.1),
            "stability_score_thresh"
        );
        assert_eq!(refused(|o| o.box_nms_thresh = f64::NAN), "box_nms_thresh");
        assert_eq!(refused(|o| o.crop_nms_thresh = 2.0), "crop_nms_thresh");
        assert_eq!(refused(|o| o.crop_overlap_ratio = 1.5), "crop_overlap_ratio");
        assert_eq!(
            refused(|o| o.stability_score_offset = -1.0),
            "stability_score_offset"
        );
        assert_eq!(refused(|o| o.mask_threshold = f64::INFINITY), "mask_threshold");
        assert_eq!(refused(|o| o.crop_n_layers = 9), "crop_n_layers");
        let factor = "crop_n_points_downscale_factor";
        assert_eq!(refused(|o| o.crop_n_points_downscale_factor = 0), factor);
        assert_eq!(
            refused(|o| (o.crop_n_layers, o.crop_n_points_downscale_factor) = (2, 6)),
            factor
        );
    }
}
