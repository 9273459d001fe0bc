//! Resizing as transformers' `Owlv2ImageProcessor` does it, after scikit-image: a Gaussian blur that grows with the
//! reduction, then plain bilinear interpolation.

use std::ops::Range;

use crate::antialias::{Axis, Float, Read, resize};
use crate::interpolate::bilinear_taps;

/// Resizes from `from` to `to`, both `[height, width]` and reduced by the same factor, as
/// `torchvision.transforms.v2.functional.gaussian_blur` with a standard deviation of (factor - 1) / 2 and then
/// `F.interpolate(mode="bilinear")` do. Pictures that grow are only interpolated.
///
/// `read` reads a row of the source's `channels`. The result is `[channels, height, width]`.
pub fn blurred(channels: usize, from: [usize; 2], to: [usize; 2], read: Read<f32>) -> Vec<f32> {
    let [rows, columns] = [0, 1].map(|axis| Blur::new(from[axis], to[axis]));
    resize::<Float>(&rows, &columns, channels, read)
}

/// The weights of one axis: those of the interpolation, of which each is spread out by the Gaussian. Beyond an edge, the
/// picture is mirrored at its last pixel.
struct Blur {
    input: usize,
    /// For each output pixel, the two source pixels that are interpolated and their weights.
    taps: Vec<([usize; 2], [f32; 2])>,
    /// The Gaussian's weights from its centre on.
    gaussian: Vec<f64>,
}

impl Blur {
    fn new(input: usize, output: usize) -> Self {
        let taps = bilinear_taps(input, output);
        // In f32, as in the processor, since the number of weights depends on it.
        let sigma = ((input as f32 / output as f32 - 1.0) / 2.0).max(0.0);
        // Mirrored once, a picture reaches no further than its own length.
        let radius = ((3.0 * sigma).ceil() as usize).min(input - 1);
        let value = |i: usize| (-0.5 * (i as f64 / f64::from(sigma)).powi(2)).exp();
        let half: Vec<f64> = match radius {
            0 => vec![1.0],
            _ => (0..=radius).map(value).collect(),
        };
        let total = 2.0 * half.iter().sum::<f64>() - 1.0;
        Self {
            input,
            taps: taps.iter().map(|tap| (tap.at, tap.weights)).collect(),
            gaussian: half.into_iter().map(|weight| weight / total).collect(),
        }
    }

    fn radius(&self) -> usize {
        self.gaussian.len() - 1
    }

    /// The weight of a pixel of the picture that is mirrored on both sides.
    fn mirrored(&self, i: usize, j: isize) -> f64 {
        let (at, weights) = self.taps[i];
        let of = |at: usize, weight: f32| {
            let distance = (j - at as isize).unsigned_abs();
            self.gaussian.get(distance).map_or(0.0, |g| g * f64::from(weight))
        };
        of(at[0], weights[0]) + of(at[1], weights[1])
    }
}

impl Axis for Blur {
    fn input(&self) -> usize {
        self.input
    }

    fn output(&self) -> usize {
        self.taps.len()
    }

    fn window(&self, i: usize) -> Range<usize> {
        let ([low, high], _) = self.taps[i];
        low.saturating_sub(self.radius())..(high + self.radius() + 1).min(self.input)
    }

    fn weight(&self, i: usize, j: usize) -> f64 {
        let (own, last) = (j as isize, self.input as isize - 1);
        let mut weight = self.mirrored(i, own);
        if own > 0 {
            weight += self.mirrored(i, -own);
        }
        if own < last {
            weight += self.mirrored(i, 2 * last - own);
        }
        weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::of_pixels;

    #[test]
    fn weights_add_up_to_one() {
        for (input, output) in [(9, 9), (5, 8), (10, 7), (200, 96), (97, 3), (4, 1), (1, 5)] {
            let blur = Blur::new(input, output);
            for i in 0..output {
                let window = blur.window(i);
                let sum: f64 = window.map(|j| blur.weight(i, j)).sum();
                assert!((sum - 1.0).abs() < 1e-6, "{input} -> {output}, pixel {i}: {sum}");
            }
        }
    }

    #[test]
    fn a_picture_that_grows_is_interpolated() {
        let values: Vec<f32> = (0..12).map(|i| (i * i % 7) as f32).collect();
        let read = of_pixels(|y, x| values[4 * y + x]);
        let ours = blurred(1, [3, 4], [6, 8], &read);
        let wanted = crate::bilinear(&values, 1, [3, 4], [6, 8]);
        assert!(ours.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
