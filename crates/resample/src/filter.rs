//! An antialiasing filter along one axis. It widens with the reduction, so that every source pixel contributes.

use std::ops::Range;

/// The shape of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// `max(0, 1 - |x|)`, the bilinear filter.
    Triangle,
    /// Keys' cubic filter with a = -0.5, the bicubic filter of Pillow.
    Cubic,
}

impl Kernel {
    /// The radius of the filter in source pixels, if the axis is not reduced.
    fn support(self) -> f64 {
        match self {
            Self::Triangle => 1.0,
            Self::Cubic => 2.0,
        }
    }

    fn value(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        match (self, x.abs()) {
            (Self::Triangle, x) => (1.0 - x).max(0.0),
            (Self::Cubic, x) if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            (Self::Cubic, x) if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            (Self::Cubic, _) => 0.0,
        }
    }
}

/// The weights that resize one axis from `input` to `output` pixels (`precompute_coeffs` of Pillow's `Resample.c`, which
/// PyTorch's `antialias=True` follows). If the axis grows, this is plain interpolation.
///
/// Only one number is stored for each output pixel. Weights are computed when they are asked for.
#[derive(Clone, Debug)]
pub struct Filter {
    kernel: Kernel,
    input: usize,
    scale: f64,
    /// The sum of each output pixel's weights before they are normalised.
    totals: Vec<f64>,
}

impl Filter {
    /// A filter from `input` to `output` pixels, both at least 1.
    pub fn new(kernel: Kernel, input: usize, output: usize) -> Self {
        let mut filter = Self {
            kernel,
            input,
            scale: input as f64 / output as f64,
            totals: Vec::new(),
        };
        let total = |i| filter.window(i).map(|j| filter.value(i, j)).sum();
        filter.totals = (0..output).map(total).collect();
        filter
    }

    /// The number of source pixels.
    pub fn input(&self) -> usize {
        self.input
    }

    /// The number of output pixels.
    pub fn output(&self) -> usize {
        self.totals.len()
    }

    /// The source pixels that output pixel `i` reads. Both ends increase or stay the same as `i` grows.
    pub fn window(&self, i: usize) -> Range<usize> {
        let (center, reach) = (self.center(i), self.kernel.support() * self.stretch());
        let start = (center - reach + 0.5).max(0.0) as usize;
        start..((center + reach + 0.5) as usize).min(self.input)
    }

    /// The weight of source pixel `j` in the window of output pixel `i`. The weights of a window add up to 1.
    pub fn weight(&self, i: usize, j: usize) -> f64 {
        self.value(i, j) / self.totals[i]
    }

    fn value(&self, i: usize, j: usize) -> f64 {
        self.kernel
            .value((j as f64 - self.center(i) + 0.5) / self.stretch())
    }

    /// The centre of output pixel `i`, in source pixels.
    fn center(&self, i: usize) -> f64 {
        (i as f64 + 0.5) * self.scale
    }

    fn stretch(&self) -> f64 {
        self.scale.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_add_up_to_one_and_cover_the_source() {
        for kernel in [Kernel::Triangle, Kernel::Cubic] {
            for (input, output) in [(1, 7), (5, 5), (7, 3), (1000, 64), (3, 512)] {
                let filter = Filter::new(kernel, input, output);
                let mut covered = vec![false; input];
                let mut last = 0..0;
                for i in 0..output {
                    let window = filter.window(i);
                    assert!(window.start >= last.start && window.end >= last.end && window.end <= input);
                    let sum: f64 = window.clone().map(|j| filter.weight(i, j)).sum();
                    assert!((sum - 1.0).abs() < 1e-12);
                    window
                        .clone()
                        .for_each(|j| covered[j] |= filter.weight(i, j) > 0.0);
                    last = window;
                }
                assert!(covered.into_iter().all(|c| c), "{kernel:?} {input} -> {output}");
            }
        }
    }

    #[test]
    fn an_axis_that_stays_is_copied() {
        for kernel in [Kernel::Triangle, Kernel::Cubic] {
            let filter = Filter::new(kernel, 9, 9);
            for i in 0..9 {
                assert_eq!(filter.weight(i, i), 1.0);
                assert!(filter.window(i).all(|j| j == i || filter.weight(i, j) == 0.0));
            }
        }
    }
}
