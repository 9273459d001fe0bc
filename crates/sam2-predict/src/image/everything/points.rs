//! Where the network is asked (`sam2.utils.amg.build_point_grid`).

/// `per_side` squared points in a part of the picture of that size, row by row, in pixels of the part. They are spaced
/// evenly, half a step from the edges; computed in f64 as NumPy's `linspace` does.
pub fn point_grid(per_side: usize, [width, height]: [usize; 2]) -> Vec<[f32; 2]> {
    let first = 1.0 / (2 * per_side) as f64;
    let last = 1.0 - first;
    let step = (last - first) / (per_side.max(2) - 1) as f64;
    let place = |i: usize| {
        if i > 0 && i + 1 == per_side {
            last
        } else {
            i as f64 * step + first
        }
    };
    let row = |y: usize| {
        (0..per_side).map(move |x| {
            [
                (place(x) * width as f64) as f32,
                (place(y) * height as f64) as f32,
            ]
        })
    };
    (0..per_side).flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_step_from_the_edges() {
        assert_eq!(point_grid(1, [10, 30]), [[5.0, 15.0]]);
        assert_eq!(
            point_grid(2, [10, 30]),
            [[2.5, 7.5], [7.5, 7.5], [2.5, 22.5], [7.5, 22.5]]
        );
        let points = point_grid(8, [320, 240]);
        assert_eq!(
            (points[0], points[7], points[63]),
            ([20.0, 15.0], [300.0, 15.0], [300.0, 225.0])
        );
    }
}
