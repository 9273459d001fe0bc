//! What is known of a mask that was found.

use crate::Rle;

/// A mask that was found, in the picture's pixels; the fields have the official names.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskRecord {
    /// The mask, of the picture's size.
    pub segmentation: Rle,
    /// Pixels of the mask.
    pub area: usize,
    /// Around the mask: left, top, and how far the last column and row are from the first. Of a mask of one pixel the
    /// last two are 0.
    pub bbox: [usize; 4],
    /// The IoU with the true mask that the network expects.
    pub predicted_iou: f32,
    /// The point at which the network was asked.
    pub point_coords: [f32; 2],
    /// IoU of the masks at a higher and at a lower threshold; not a number where both are empty.
    pub stability_score: f32,
    /// The part of the picture in which it was found: left, top, width, height.
    pub crop_box: [usize; 4],
}

impl MaskRecord {
    /// Left, top, right and bottom of [`Self::bbox`], the last pixels included.
    pub(super) fn bounds(&self) -> [f32; 4] {
        let [x, y, width, height] = self.bbox;
        [x, y, x + width, y + height].map(|edge| edge as f32)
    }
}
