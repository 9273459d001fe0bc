//! Masks as run lengths, as pixels, and as outlines.

mod fill;
mod outline;
mod part;
mod runs;
mod simplify;

use sam2_predict::Rle;

use crate::LabelsError;
pub(crate) use fill::check_places;
pub use fill::fill_even_odd;
pub(crate) use part::Part;
pub use runs::{area, bounding_box};
pub(crate) use runs::{of_runs, runs, union};

/// A closed outline; the last point joins the first, which is not repeated. In pixels: the pixel of column `x` and row `y`
/// reaches from `x` to `x + 1` and from `y` to `y + 1`.
pub type Ring = Vec<[f64; 2]>;

/// An outline, and after it the outlines of its holes, as in GeoJSON.
pub type Polygon = Vec<Ring>;

/// The least IoU of outlines with their mask: where a tolerance costs more in a small or ragged mask, it is halved.
const LEAST_IOU: f64 = 0.99;

/// The outlines along the pixels' edges, with their holes; none of an empty mask. Pixels that touch at a corner only are
/// not joined. As one looks at the picture, outlines go counterclockwise and holes clockwise.
///
/// `tolerance` is how far from the exact outline the polygons may be, in pixels. Under 0.5 they are exact, and
/// [`fill_even_odd`] gives the same mask again; with more their IoU with the mask is still 0.99 or better.
///
/// # Errors
/// The tolerance is not a number from 0.
pub fn to_polygons(mask: &Rle, tolerance: f64) -> Result<Vec<Polygon>, LabelsError> {
    if !(tolerance >= 0.0 && tolerance.is_finite()) {
        return Err(LabelsError::Tolerance { tolerance });
    }
    let exact = outline::outlines(mask);
    if tolerance < 0.5 {
        return Ok(exact);
    }
    let smooth = simplify::without_stairs(&exact);
    let mut within = tolerance - 0.5;
    while within > 0.05 {
        let simple = simplify::simplify(&smooth, within);
        // With points left out, an outline may cross itself.
        let filled = fill::fill_uncrossed(&simple, crate::Size::of(mask));
        if filled.is_some_and(|filled| iou(&filled, mask) >= LEAST_IOU) {
            return Ok(simple);
        }
        within /= 2.0;
    }
    Ok(smooth)
}

/// Intersection over union; 1 of two empty masks.
fn iou(a: &Rle, b: &Rle) -> f64 {
    let either = area(&union(&[a, b]));
    let both = area(a) + area(b) - either;
    if either == 0 {
        1.0
    } else {
        both as f64 / either as f64
    }
}
