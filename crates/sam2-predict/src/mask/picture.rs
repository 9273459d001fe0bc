//! The object in a picture of its mask: one rule for every kind of picture that people and tools save masks as.

/// Which pixels of a mask's picture are the object, a byte a pixel, 0 or 1; none where that is no pixel.
///
/// `samples` are the file's own values, row by row, `channels` a pixel: grey, grey and alpha, RGB or RGBA. The object
/// is where a pixel's value is at least half of the largest in the picture, so masks of 0 and 1, of 0 and 255, labels of
/// 16 bits and soft edges all come out right. A pixel's value is its alpha if the alpha has a shape (it is not the same
/// everywhere), else the largest of its colours.
pub fn object_in_mask_picture<T: Copy + Into<f64>>(samples: &[T], channels: usize) -> Option<Vec<u8>> {
    let has_alpha = channels.is_multiple_of(2);
    let alpha = |pixel: &[T]| pixel[channels - 1].into();
    let mut alphas = samples.chunks_exact(channels).map(alpha);
    let first = alphas.next()?;
    let shaped = has_alpha && alphas.any(|alpha| alpha != first);
    let colours = if has_alpha { channels - 1 } else { channels };
    let value = |pixel: &[T]| -> f64 {
        if shaped {
            alpha(pixel)
        } else if has_alpha && first == 0.0 {
            0.0
        } else {
            pixel[..colours]
                .iter()
                .map(|&value| value.into())
                .fold(0.0, f64::max)
        }
    };
    let pixels = || samples.chunks_exact(channels).map(value);
    let largest = pixels().fold(0.0, f64::max);
    (largest > 0.0).then(|| pixels().map(|value| u8::from(value >= largest / 2.0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object<T: Copy + Into<f64>>(samples: &[T], channels: usize) -> Vec<u8> {
        object_in_mask_picture(samples, channels).expect("an object")
    }

    #[test]
    fn half_of_the_largest_value_is_the_threshold() {
        assert_eq!(object(&[0u8, 1, 1, 0], 1), [0, 1, 1, 0]);
        assert_eq!(object(&[0u8, 3, 20, 127, 128, 255], 1), [0, 0, 0, 0, 1, 1]);
        assert_eq!(object(&[0u16, 1, 0], 1), [0, 1, 0]);
        assert_eq!(object(&[0u16, 65_535, 40_000], 1), [0, 1, 1]);
        assert_eq!(object(&[0.0f32, 0.2, 0.9], 1), [0, 0, 1]);
        assert_eq!(object_in_mask_picture(&[0u8; 5], 1), None);
        assert_eq!(object_in_mask_picture::<u8>(&[], 3), None);
    }

    #[test]
    fn any_colour_is_the_object() {
        assert_eq!(
            object(&[0u8, 0, 0, 0, 0, 255, 0, 128, 0, 100, 0, 0], 3),
            [0, 1, 1, 0]
        );
    }

    #[test]
    fn alpha_counts_where_it_has_a_shape() {
        // White everywhere; the page's own overlay of a green at 0.6; an opaque picture.
        assert_eq!(object(&[255u8, 255, 255, 0, 255, 255, 255, 255], 4), [0, 1]);
        assert_eq!(object(&[0u8, 0, 0, 0, 0, 255, 0, 153], 4), [0, 1]);
        assert_eq!(object(&[0u8, 0, 0, 255, 9, 0, 0, 255], 4), [0, 1]);
        assert_eq!(object(&[7u8, 0, 7, 255], 2), [0, 1]);
        // Hidden colours are no object.
        assert_eq!(object_in_mask_picture(&[255u8, 255, 255, 0], 4), None);
    }
}
