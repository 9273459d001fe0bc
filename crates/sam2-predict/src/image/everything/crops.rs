//! The parts of a picture that are looked at (`sam2.utils.amg.generate_crop_boxes`).

/// A part of the picture: left, top, right, bottom; the last two are not included.
pub type CropBox = [usize; 4];

/// Every part with its layer. The first is the whole picture, layer 0; layer `n` has `4^n` parts, which overlap by
/// `overlap_ratio` of the short side in layer 1, and by half of that in each layer after it. The left edge changes
/// last.
pub fn crop_boxes([width, height]: [usize; 2], layers: u32, overlap_ratio: f64) -> Vec<(CropBox, usize)> {
    let short_side = width.min(height) as f64;
    let mut boxes = vec![([0, 0, width, height], 0)];
    for layer in 1..=layers {
        let per_side = 1usize << layer;
        let overlap = (overlap_ratio * short_side * (2.0 / per_side as f64)) as usize;
        let length = |whole: usize| (overlap * (per_side - 1) + whole).div_ceil(per_side);
        let (crop_width, crop_height) = (length(width), length(height));
        for column in 0..per_side {
            for row in 0..per_side {
                let x0 = (crop_width - overlap) * column;
                let y0 = (crop_height - overlap) * row;
                let (x1, y1) = ((x0 + crop_width).min(width), (y0 + crop_height).min(height));
                boxes.push(([x0, y0, x1, y1], layer as usize));
            }
        }
    }
    boxes
}

/// Whether a box `[left, top, right, bottom]` has an edge within 20 pixels of the part's edge that is not also within
/// 20 pixels of the picture's: the object was cut off (`sam2.utils.amg.is_box_near_crop_edge`).
pub fn is_cut_off(bounds: [usize; 4], crop: CropBox, [width, height]: [usize; 2]) -> bool {
    const NEAR: usize = 20;
    let picture = [0, 0, width, height];
    (0..4)
        .any(|side| bounds[side].abs_diff(crop[side]) <= NEAR && bounds[side].abs_diff(picture[side]) > NEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_official_code() {
        // `generate_crop_boxes((240, 320), 1, 512 / 1500)`.
        let boxes = crop_boxes([320, 240], 1, 512.0 / 1500.0);
        assert_eq!(boxes[..2], [([0, 0, 320, 240], 0), ([0, 0, 201, 161], 1)]);
        assert_eq!(boxes.len(), 5);
        assert_eq!(boxes[2].0[..2], [0, 80]);
        assert_eq!(boxes[3].0, [120, 0, 320, 161]);
        assert_eq!(boxes[4].0[2..], [320, 240]);
        assert_eq!(crop_boxes([640, 480], 2, 0.3).len(), 1 + 4 + 16);
    }

    #[test]
    fn an_object_at_the_edge_of_the_picture_is_not_cut_off() {
        let crop = [100, 0, 200, 100];
        assert!(is_cut_off([120, 30, 150, 60], crop, [400, 300]));
        assert!(!is_cut_off([121, 30, 150, 60], crop, [400, 300]));
        assert!(!is_cut_off([121, 0, 150, 60], crop, [400, 300]));
        assert!(is_cut_off([121, 0, 180, 60], crop, [400, 300]));
    }
}
