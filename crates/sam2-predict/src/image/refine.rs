//! A mask predicted again on the part of the picture around it, which the network then sees larger. (The official code
//! has no such function.)

use sam2_resample::bilinear_above;

use crate::mask::{MASK_THRESHOLD, set_run};
use crate::{BoxPrompt, ImagePredictor, LowResMask, Mask, PictureRef, PredictError, Prompt};

/// The part's side, as a multiple of the object's longer side.
const CONTEXT: usize = 2;
/// A mask that was predicted on a part of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct RefinedMask {
    /// The mask of the part. Its width and height are the part's.
    pub mask: LowResMask,
    /// A logit that is positive if the object is visible.
    pub object_score: f32,
    /// The part: left, top, right, bottom in the picture's pixels, the last two exclusive.
    pub part: [usize; 4],
    /// The picture's width and height, in pixels.
    picture: [usize; 2],
}

impl RefinedMask {
    /// The mask in the picture's size. Outside the part it is empty.
    pub fn to_mask(&self) -> Mask {
        let [left, top, right, bottom] = self.part;
        let size = [bottom - top, right - left];
        let [width, height] = self.picture;
        let mut bits = vec![0; (width * height).div_ceil(8)];
        bilinear_above(
            &self.mask.mask_logits(),
            [self.mask.side(); 2],
            size,
            size.map(|side| 0..side),
            MASK_THRESHOLD,
            |y, run| {
                let first = (top + y) * width + left;
                set_run(&mut bits, first + run.start..first + run.end);
            },
        );
        Mask::from_bits(bits, self.mask.score(), width, height)
    }
}

impl ImagePredictor {
    /// Predicts a mask again on the part of the picture around it, at the picture's own resolution: the part is encoded,
    /// and the mask and its box are the prompt. This takes as long as [`Self::set_image`], and is worth it for objects
    /// that are small in a large picture.
    ///
    /// # Errors
    /// The mask is empty or not of the picture's size, or the device failed.
    pub async fn refine(&self, picture: PictureRef<'_>, mask: &Mask) -> Result<RefinedMask, PredictError> {
        let size = [picture.width(), picture.height()];
        if [mask.width(), mask.height()] != size {
            return Err(PredictError::MaskOfAnotherPicture {
                mask: [mask.width(), mask.height()],
                picture: size,
            });
        }
        let [x0, y0, x1, y1] = mask.bounding_box().ok_or(PredictError::EmptyMask)?;
        let part = part_around([x0, y0, x1 + 1, y1 + 1], size, self.config().image_size);
        let [left, top, ..] = part;
        let prompt = Prompt {
            box_: Some(BoxPrompt {
                x0: (x0 - left) as f32,
                y0: (y0 - top) as f32,
                x1: (x1 + 1 - left) as f32,
                y1: (y1 + 1 - top) as f32,
            }),
            mask: Some(mask.to_logits(part, self.config().mask_side())),
            ..Prompt::default()
        };
        let pixels = picture.crop(part);
        let image = self.set_image(picture.part(&pixels, part)?).await?;
        let mut prediction = self.predict(&image, &prompt).await?;
        Ok(RefinedMask {
            mask: prediction.masks.remove(0),
            object_score: prediction.object_score,
            part,
            picture: size,
        })
    }
}

/// A square around an object's box, or what of it fits into the picture, moved so that it lies inside. All boxes are left,
/// top, right, bottom, the last two exclusive. Its side is at least half of the network's, as smaller parts would only be
/// enlarged.
fn part_around([x0, y0, x1, y1]: [usize; 4], [width, height]: [usize; 2], image_size: usize) -> [usize; 4] {
    let side = (CONTEXT * (x1 - x0).max(y1 - y0)).max(image_size / 2);
    let along = |low: usize, high: usize, size: usize| {
        let side = side.min(size);
        let first = ((low + high) / 2).saturating_sub(side / 2).min(size - side);
        [first, first + side]
    };
    let ([left, right], [top, bottom]) = (along(x0, x1, width), along(y0, y1, height));
    [left, top, right, bottom]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_is_a_square_inside_the_picture() {
        let picture = [1000, 600];
        assert_eq!(
            part_around([400, 200, 500, 260], picture, 100),
            [350, 130, 550, 330]
        );
        // At the picture's edges it is moved.
        assert_eq!(part_around([0, 0, 100, 10], picture, 100), [0, 0, 200, 200]);
        assert_eq!(
            part_around([950, 590, 1000, 600], picture, 100),
            [900, 500, 1000, 600]
        );
        // A part is not smaller than half of what the network sees, and not larger than the picture.
        assert_eq!(
            part_around([500, 300, 501, 301], picture, 100),
            [475, 275, 525, 325]
        );
        assert_eq!(
            part_around([300, 100, 700, 500], picture, 100),
            [100, 0, 900, 600]
        );
        assert_eq!(part_around([0, 0, 3, 3], [3, 3], 100), [0, 0, 3, 3]);
    }

    #[test]
    fn a_refined_mask_lies_at_its_place() {
        let mask = LowResMask::new(vec![-1.0, 1.0, -1.0, -1.0], 2, 0.9, [2, 2]);
        let refined = RefinedMask {
            mask,
            object_score: 1.0,
            part: [3, 1, 5, 3],
            picture: [6, 4],
        };
        let whole = refined.to_mask();
        assert_eq!(whole.bounding_box(), Some([4, 1, 4, 1]));
        assert_eq!([whole.width(), whole.height(), whole.area()], [6, 4, 1]);
        assert_eq!(whole.score(), 0.9);
    }
}
