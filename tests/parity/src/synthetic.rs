//! The synthetic picture of `make_fixture.py` (`synth_image`), by the same formula.

/// Red, green, blue, row by row.
pub fn picture(width: usize, height: usize) -> Vec<u8> {
    let (w, h) = (width as f64, height as f64);
    let discs = [
        (0.3, 0.45, 0.18, [220.0, 60.0, 50.0]),
        (0.72, 0.35, 0.12, [40.0, 190.0, 80.0]),
        (0.6, 0.75, 0.15, [60.0, 80.0, 220.0]),
    ];
    let rows = (0.1 * h) as usize..(0.25 * h) as usize;
    let columns = (0.08 * w) as usize..(0.3 * w) as usize;

    let mut pixels = Vec::with_capacity(3 * width * height);
    for row in 0..height {
        for column in 0..width {
            let (x, y) = (column as f64, row as f64);
            let texture = 12.0 * (x / 5.0).sin() * (y / 7.0).cos();
            let gradients = [
                60.0 + 120.0 * x / w,
                90.0 + 80.0 * y / h,
                140.0 - 60.0 * x / w + 30.0 * y / h,
            ];
            let mut color = gradients.map(|value| value + texture);
            for (cx, cy, radius, disc) in discs {
                if (x - cx * w).powi(2) + (y - cy * h).powi(2) < (radius * w.min(h)).powi(2) {
                    color = disc.map(|value| value + 10.0 * (x / 3.0).sin());
                }
            }
            if rows.contains(&row) && columns.contains(&column) {
                color = [240.0, 230.0, 90.0];
            }
            pixels.extend(color.map(|value| value.round_ties_even().clamp(0.0, 255.0) as u8));
        }
    }
    pixels
}
