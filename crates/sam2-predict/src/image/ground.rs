//! The background of transparent pictures. The network has no transparency, so every picture is first blended with a grey
//! background, which is the same in the browser and in the command-line tool. The colours of fully transparent pixels,
//! which a file may contain, are never used.

/// The usual background: in the middle, so that black and white shapes are both visible.
const GREY: u8 = 128;
/// The backgrounds for pictures that are close to [`GREY`] themselves.
const WHITE_AND_BLACK: [u8; 2] = [255, 0];
/// Pixels that differ by less than this from the background in every channel cannot be told from it.
const NEAR: u8 = 32;
/// Another background is chosen if more than one visible pixel in this many could not be told from it.
const SHARE: u64 = 8;

/// The grey level of the background for a picture of RGBA bytes; `None` if the picture is opaque. It is 128, unless more
/// than an eighth of the visible pixels are close to that grey. Then it is white or black, whichever hides fewer pixels.
pub fn ground(rgba: &[u8]) -> Option<u8> {
    let pixels = rgba.as_chunks::<4>().0;
    if pixels.iter().all(|pixel| pixel[3] == 255) {
        return None;
    }
    let near = |ground: u8| -> u64 {
        let lost = |p: &&[u8; 4]| p[..3].iter().all(|&value| value.abs_diff(ground) < NEAR);
        pixels.iter().filter(lost).map(|pixel| u64::from(pixel[3])).sum()
    };
    let visible: u64 = pixels.iter().map(|pixel| u64::from(pixel[3])).sum();
    let lost = near(GREY);
    if lost * SHARE <= visible {
        return Some(GREY);
    }
    let best = WHITE_AND_BLACK.into_iter().min_by_key(|&ground| near(ground));
    best.filter(|&best| near(best) < lost).or(Some(GREY))
}

/// Blends a pixel with a background.
pub(crate) fn laid_on(ground: u8, [red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    let (over, under) = (u32::from(alpha), u32::from(255 - alpha) * u32::from(ground));
    [red, green, blue].map(|value| ((u32::from(value) * over + under + 127) / 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_is_only_in_the_alpha_can_be_seen() {
        let shape = |level: u8, alpha: u8| [[level, level, level, alpha], [9, 200, 30, 0]].concat();
        assert_eq!(ground(&shape(77, 255)[..4]), None);
        for (level, right) in [
            (0, 128),
            (255, 128),
            (90, 128),
            (128, 255),
            (110, 255),
            (150, 255),
        ] {
            for alpha in [255, 60] {
                let found = ground(&shape(level, alpha));
                assert_eq!(found, Some(right), "{level} {alpha}");
                assert!(level.abs_diff(right) >= 32);
            }
        }
        // A red of the same brightness stands out by its colour.
        assert_eq!(ground(&[230, 90, 90, 255, 0, 0, 0, 0]), Some(128));
        // Grey and white: black shows both.
        assert_eq!(
            ground(&[128, 128, 128, 255, 255, 255, 255, 255, 0, 0, 0, 0]),
            Some(0)
        );
        // Nothing is visible.
        assert_eq!(ground(&[1, 2, 3, 0]), Some(128));
    }

    #[test]
    fn what_alpha_hides_is_never_seen() {
        assert_eq!(laid_on(128, [1, 200, 255, 0]), [128; 3]);
        assert_eq!(laid_on(128, [1, 200, 255, 255]), [1, 200, 255]);
        assert_eq!(laid_on(0, [100, 100, 100, 128]), [50; 3]);
    }
}
