//! The kernels of a video's memory, and what they ask of the linear layer, against plain loops over f64, on the widths of
//! the official variants (which are alike there), of nano and of the tests' micro; with fewer tokens.

mod common;

use common::{CLASSES, Gpu, assert_close, check_linear, doubles, erf, product, random};
use sam2_kernels::{
    Activation, KeyPart, LinearShape, MaskScale, Part, Patches, Picked, Steps, areas, channel_sums, choose,
    convolution, depthwise, finish_memory, join, mask_convolution, pick, scale_channels, wide_attention,
};

#[test]
fn linear_rotates_the_first_rows() {
    let gpu = Gpu::open();
    // Whole images and then pointers; tiles that are cut off.
    for (rows, rotary, rotated, k, n) in [(9, 4, 8, 32, 16), (150, 36, 144, 64, 256), (70, 70, 70, 256, 128)]
    {
        let (x, weight, bias) = (random(rows * k, 1), random(k * n, 2), random(n, 3));
        let table = random(rotary * n, 4);
        let mut wanted = product(&doubles(&x), &weight, &bias);
        for (i, pair) in wanted.chunks_exact_mut(2).enumerate() {
            if 2 * i < rotated * n {
                let at = 2 * i % table.len();
                let (cos, sin) = (f64::from(table[at]), f64::from(table[at + 1]));
                let [a, b] = [pair[0], pair[1]];
                (pair[0], pair[1]) = (a * cos - b * sin, a * sin + b * cos);
            }
        }
        let shape = LinearShape {
            rows,
            k,
            n,
            rotary,
            rotated,
            ..LinearShape::default()
        };
        check_linear(
            &gpu,
            shape,
            &[&x, &weight, &bias, &table],
            &wanted,
            &format!("{rows} rows"),
        );
    }
}

#[test]
fn linear_is_a_strided_convolution() {
    let gpu = Gpu::open();
    // The mask's convolutions.
    for (b, h, w, c, n) in [(2, 3, 5, 4, 16), (1, 8, 8, 16, 64), (1, 9, 10, 64, 256)] {
        let (x, weight, bias) = (random(b * 4 * h * w * c, 1), random(9 * c * n, 2), random(n, 3));
        let mut gathered = Vec::new();
        for row in 0..b * h * w {
            let (x_, y, picture) = (row % w, row / w % h, row / w / h);
            for tap in 0..9 {
                let (dy, dx) = (2 * y + tap / 3, 2 * x_ + tap % 3);
                for channel in 0..c {
                    gathered.push(if dy == 0 || dx == 0 {
                        0.0
                    } else {
                        x[((picture * 2 * h + dy - 1) * 2 * w + dx - 1) * c + channel]
                    });
                }
            }
        }
        let shape = LinearShape {
            rows: b * h * w,
            k: 9 * c,
            n,
            patches: Patches::Around { height: h, width: w },
            ..LinearShape::default()
        };
        let wanted = product(&doubles(&gathered), &weight, &bias);
        check_linear(
            &gpu,
            shape,
            &[&x, &weight, &bias],
            &wanted,
            &format!("{c} to {n} channels"),
        );
    }
}

#[test]
fn wide_attention_of_every_width() {
    let gpu = Gpu::open();
    // Of a full bank's 28,736 keys the last one has as many as Mesa's CPU driver gets through: it leaves a shader's loops
    // after 65,535 rounds, all of them counted.
    let official = [(37, 100, 256, 64), (33, 33, 256, 256), (9, 3_100, 256, 64)];
    let nano = [(64, 230, 128, 32), (64, 64, 128, 128)];
    let micro = [(256, 528, 64, 16), (100, 100, 64, 64)];
    // Widths of one's own, the last one too wide for a workgroup; fewer tokens than a tile.
    let own = [(1, 1, 12, 4), (5, 31, 20, 12), (3, 40, 16, 264)];
    for (n, m, width, values) in official.into_iter().chain(nano).chain(micro).chain(own) {
        let (q, k, v) = (random(n * width, 1), random(m * width, 2), random(m * values, 3));
        // Scores of some size, so that the largest matters.
        let q: Vec<f32> = q.into_iter().map(|x| x * 8.0 / (width as f32).sqrt()).collect();
        let mut wanted = Vec::new();
        for query in q.chunks_exact(width) {
            let scores: Vec<f64> = k
                .chunks_exact(width)
                .map(|key| {
                    query
                        .iter()
                        .zip(key)
                        .map(|(a, b)| f64::from(*a) * f64::from(*b))
                        .sum()
                })
                .collect();
            let max = scores.iter().fold(f64::MIN, |max, score| max.max(*score));
            let sum: f64 = scores.iter().map(|score| (score - max).exp()).sum();
            for column in 0..values {
                let parts = scores.iter().zip(v.chunks_exact(values));
                wanted.push(
                    parts
                        .map(|(score, v)| (score - max).exp() / sum * f64::from(v[column]))
                        .sum(),
                );
            }
        }
        for class in CLASSES {
            let kernel = wide_attention([n, m], width, values, KeyPart::WHOLE, class);
            let found = gpu.run(&kernel, &[&q, &k, &v], n * values);
            assert_close(
                &found,
                &wanted,
                5e-6,
                &format!("{n} x {m}, {width}, {values}, {class:?}"),
            );
        }
    }
}

#[test]
fn wide_attention_in_parts() {
    /// Keys of a workgroup's tile.
    const TILE: usize = 32;
    let gpu = Gpu::open();
    for (n, m, width, values) in [(37, 100, 256, 64), (5, 31, 20, 12)] {
        let (q, k, v) = (random(n * width, 1), random(m * width, 2), random(m * values, 3));
        for class in CLASSES {
            let kernel = wide_attention([n, m], width, values, KeyPart::WHOLE, class);
            let whole = gpu.run(&kernel, &[&q, &k, &v], n * values);
            for size in [TILE, 3 * TILE, 7] {
                let mut found: Vec<f32> = Vec::new();
                for first in (0..m).step_by(size) {
                    let end = m.min(first + size);
                    let part = KeyPart {
                        first: first == 0,
                        last: end == m,
                    };
                    let kernel = wide_attention([n, end - first], width, values, part, class);
                    let mut inputs = vec![
                        &q[..],
                        &k[first * width..end * width],
                        &v[first * values..end * values],
                    ];
                    if !part.first {
                        inputs.push(&found);
                    }
                    found = gpu.run(&kernel, &inputs, n * part.row(values));
                }
                let what = format!("{n} x {m}, {width}, {values}, {class:?}, by {size}");
                // Parts of whole tiles give the same bits.
                match size.is_multiple_of(TILE) {
                    true => assert!(found == whole, "{what}: other bits"),
                    false => assert_close(&found, &doubles(&whole), 5e-6, &what),
                }
            }
        }
    }
}

/// The convolution of `x` `[b, h, w, input]` by `weight` `[side, side, taken, c]`, where `taken` is 1 for a depthwise one.
fn convolved(
    x: &[f32],
    [b, h, w, input]: [usize; 4],
    weight: &[f32],
    [side, taken]: [usize; 2],
    bias: &[f32],
    steps: Steps,
) -> Vec<f64> {
    let (c, [rows, columns]) = (bias.len(), [h, w].map(|n| n / steps.stride));
    let value = |i: usize| {
        let (to, column, row) = (i % c, i / c % columns, i / c / columns % rows);
        let picture = i / c / columns / rows;
        let mut sum = f64::from(bias[to]);
        for tap in 0..side * side {
            let place = |at: usize, tap: usize, end: usize| {
                (at * steps.stride + tap)
                    .checked_sub(steps.padding)
                    .filter(|&at| at < end)
            };
            let (Some(y), Some(x_)) = (place(row, tap / side, h), place(column, tap % side, w)) else {
                continue;
            };
            for from in 0..taken {
                let channel = if taken == 1 { to % input } else { from };
                let value = x[((picture * h + y) * w + x_) * input + channel];
                sum += f64::from(value) * f64::from(weight[(tap * taken + from) * c + to]);
            }
        }
        match steps.activation {
            Activation::Relu6 => sum.clamp(0.0, 6.0),
            _ => sum,
        }
    };
    (0..b * rows * columns * c).map(value).collect()
}

/// A stride, the padding above and to the left, and an activation.
fn steps(stride: usize, padding: usize, activation: Activation) -> Steps {
    Steps {
        stride,
        padding,
        activation,
    }
}

#[test]
fn depthwise_is_a_convolution_of_each_channel() {
    let gpu = Gpu::open();
    for (b, h, w, c, side, steps) in [
        (2, 9, 13, 8, 7, steps(1, 3, Activation::None)),
        (1, 3, 2, 256, 7, steps(1, 3, Activation::None)),
        (1, 16, 16, 64, 7, steps(1, 3, Activation::None)),
        (1, 5, 6, 4, 3, steps(1, 1, Activation::Relu6)),
        (2, 6, 10, 8, 3, steps(2, 1, Activation::None)),
        (1, 8, 6, 8, 3, steps(2, 0, Activation::Relu6)),
        (1, 4, 12, 4, 5, steps(2, 1, Activation::None)),
    ] {
        let (x, weight, bias) = (random(b * h * w * c, 1), random(side * side * c, 2), random(c, 3));
        let weight: Vec<f32> = weight.into_iter().map(|x| 4.0 * x).collect();
        let wanted = convolved(&x, [b, h, w, c], &weight, [side, 1], &bias, steps);
        let kernel = depthwise([b, h, w, c], side, steps);
        let found = gpu.run(&kernel, &[&x, &weight, &bias], wanted.len());
        assert_close(&found, &wanted, 8e-6, &format!("{h} x {w} x {c}, {steps:?}"));
    }
}

#[test]
fn a_dense_convolution_takes_all_channels() {
    let gpu = Gpu::open();
    for (b, h, w, input, c, side, steps) in [
        (2, 8, 12, 3, 8, 3, steps(2, 1, Activation::Relu6)),
        (1, 6, 10, 3, 4, 3, steps(2, 0, Activation::None)),
        (1, 5, 7, 6, 12, 3, steps(1, 1, Activation::None)),
    ] {
        let (x, bias) = (random(b * h * w * input, 1), random(c, 3));
        let weight: Vec<f32> = random(side * side * input * c, 2)
            .into_iter()
            .map(|x| 4.0 * x)
            .collect();
        let wanted = convolved(&x, [b, h, w, input], &weight, [side, input], &bias, steps);
        let kernel = convolution([b, h, w, input], side, c, steps);
        let found = gpu.run(&kernel, &[&x, &weight, &bias], wanted.len());
        assert_close(&found, &wanted, 1e-5, &format!("{h} x {w} x {c}, {steps:?}"));
    }
}

#[test]
fn channels_are_summed_and_scaled() {
    let gpu = Gpu::open();
    for (b, pixels, c, parts) in [(2, 70, 8, 16), (1, 5, 4, 5), (3, 1, 16, 1)] {
        let (x, factors) = (random(b * pixels * c, 1), random(b * c, 2));
        let sums = gpu.run(&channel_sums([b, pixels, c], parts, 1), &[&x], b * parts * c);
        let means = gpu.run(&channel_sums([b, parts, c], 1, pixels), &[&sums], b * c);
        let wanted: Vec<f64> = (0..b * c)
            .map(|i| {
                let pixel = |at| f64::from(x[(i / c * pixels + at) * c + i % c]);
                (0..pixels).map(pixel).sum::<f64>() / pixels as f64
            })
            .collect();
        assert_close(&means, &wanted, 2e-6, &format!("means of {pixels} pixels"));

        let found = gpu.run(&scale_channels([b, pixels, c]), &[&x, &factors], x.len());
        let factor = |i: usize| f64::from(factors[i / (pixels * c) * c + i % c]);
        let wanted: Vec<f64> = x
            .iter()
            .enumerate()
            .map(|(i, x)| f64::from(*x) * factor(i))
            .collect();
        assert_close(&found, &wanted, 2e-6, "scaled");
    }
}

#[test]
fn masks_are_stretched_and_convolved() {
    let gpu = Gpu::open();
    let (side, size, eps) = (8, 32, 1e-6);
    let logits: Vec<f32> = random(side * side, 1).into_iter().map(|x| 4.0 * x).collect();
    let (weight, affine) = (random(36, 2), random(12, 3));
    let axis = |i: usize| {
        let at = ((i as f64 + 0.5) * 0.25 - 0.5).max(0.0);
        let low = (at as usize).min(side - 1);
        (low, (low + 1).min(side - 1), at - low as f64)
    };
    for binarize in [false, true] {
        let pixel = |y: usize, x: usize| {
            let ((top, bottom, down), (left, right, across)) = (axis(y), axis(x));
            let at = |y: usize, x: usize| f64::from(logits[y * side + x]);
            let row = |y: usize| at(y, left) * (1.0 - across) + at(y, right) * across;
            let logit = row(top) * (1.0 - down) + row(bottom) * down;
            let value = match binarize {
                true => f64::from(u8::from(logit > 0.0)),
                false => 1.0 / (1.0 + (-logit).exp()),
            };
            value * 20.0 - 10.0
        };
        let mut wanted = Vec::new();
        for place in 0..size * size / 4 {
            let (y, x) = (place / (size / 2) * 2, place % (size / 2) * 2);
            let mut sums: Vec<f64> = affine[..4].iter().map(|&x| f64::from(x)).collect();
            for tap in 0..9 {
                let (dy, dx) = (y + tap / 3, x + tap % 3);
                if dy > 0 && dx > 0 {
                    for (sum, w) in sums.iter_mut().zip(&weight[4 * tap..]) {
                        *sum += f64::from(*w) * pixel(dy - 1, dx - 1);
                    }
                }
            }
            let mean = sums.iter().sum::<f64>() / 4.0;
            let variance = sums.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4.0;
            for (i, x) in sums.into_iter().enumerate() {
                let x = (x - mean) / (variance + eps).sqrt() * f64::from(affine[4 + i])
                    + f64::from(affine[8 + i]);
                wanted.push(0.5 * x * (1.0 + erf(x / 2f64.sqrt())));
            }
        }
        let mask = MaskScale {
            binarize,
            scale: 20.0,
            bias: -10.0,
        };
        let kernel = mask_convolution(side, size, mask, eps);
        let found = gpu.run(&kernel, &[&logits, &weight, &affine], wanted.len());
        assert_close(&found, &wanted, 5e-6, &format!("{mask:?}"));
    }
}

#[test]
fn memories_are_rounded_to_even() {
    let gpu = Gpu::open();
    // Every last bit and its neighbours of the halves, in some sizes and both signs.
    let heads = [
        0x3f80_0000u32,
        0x3f81_0000,
        0x3fff_0000,
        0x4234_0000,
        0xbf80_0000,
        0x80c3_0000,
    ];
    let x: Vec<f32> = heads
        .into_iter()
        .flat_map(|head| [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff].map(|last| f32::from_bits(head | last)))
        .collect();
    let absent = vec![0.0, 1.0, 2.0, 0.25];
    for score in [1.0, 0.0, -1.0f32] {
        let wanted: Vec<f64> = x
            .iter()
            .zip(absent.iter().cycle())
            .map(|(x, absent)| if score > 0.0 { *x } else { x + absent })
            .map(|x| {
                let (low, high) = (x.to_bits() & 0xffff_0000, (x.to_bits() & 0xffff_0000) + 0x1_0000);
                let far = x.to_bits() - low;
                let up = far > 0x8000 || far == 0x8000 && low & 0x1_0000 != 0;
                f64::from(f32::from_bits(if up { high } else { low }))
            })
            .collect();
        let found = gpu.run(&finish_memory(x.len() / 4, 4), &[&x, &absent, &[score]], x.len());
        assert_close(&found, &wanted, 0.0, &format!("score {score}"));
    }
}

#[test]
fn parts_are_joined() {
    let gpu = Gpu::open();
    let (c, lengths, times) = (8, [4, 2, 4], [Some(2), None, Some(0)]);
    let parts: Vec<Vec<f32>> = (0..).zip(lengths).map(|(i, rows)| random(rows * c, i)).collect();
    let inputs: Vec<&[f32]> = (0..5).map(|i| &parts[i.min(2)][..]).collect();
    let (positions, table) = (random(4 * c, 7), random(3 * c, 8));
    for placed in [false, true] {
        let described: Vec<Part> = lengths
            .into_iter()
            .zip(times)
            .map(|(rows, time)| Part { rows, time })
            .collect();
        let kernel = join(&described, c, 0, placed.then_some(4));
        let mut inputs = inputs.clone();
        if placed {
            inputs.extend([&positions[..], &table[..]]);
        }
        let found = gpu.run(&kernel, &inputs, 10 * c);
        let mut wanted = Vec::new();
        for (part, time) in parts.iter().zip(times) {
            for (i, value) in part.iter().enumerate() {
                let time = time.map_or(0.0, |time: usize| table[time * c + i % c]);
                let more = if placed {
                    positions[i % positions.len()] + time
                } else {
                    0.0
                };
                wanted.push(f64::from(value + more));
            }
        }
        assert_close(&found, &wanted, 1e-6, "joined");
    }
    // Two after a first one, that is not there.
    let found = gpu.run(
        &join(&[Part { rows: 2, time: None }], c, 1, None),
        &[&parts[1][..]; 5],
        3 * c,
    );
    assert!(found[..c].iter().all(|x| x.is_nan()));
    assert_eq!(found[c..], parts[1]);
}

#[test]
fn the_answer_is_chosen() {
    let gpu = Gpu::open();
    let (b, count, pixels, delta, threshold) = (3, 4, 150, 0.05, 0.9);
    let mut masks = random(b * count * pixels, 1);
    // The second prompt's first mask is stable, the third's is empty.
    masks[count * pixels..][..pixels].fill(3.0);
    masks[2 * count * pixels..][..pixels].fill(-3.0);
    let ious = [0.9, 0.1, 0.3, 0.2, 0.0, 0.5, 0.4, 0.6, 0.1, 0.7, 0.7, 0.2];
    let sums = gpu.run(&areas(b, count, pixels, delta), &[&masks], b * 128);
    for prompt in 0..b {
        let of = |kind: usize| (0..64).map(|i| sums[prompt * 128 + 2 * i + kind]).sum::<f32>();
        let first = &masks[prompt * count * pixels..][..pixels];
        let above = |limit: f32| first.iter().filter(|&&x| x > limit).count() as f32;
        assert_eq!([of(0), of(1)], [above(delta), above(-delta)]);
    }
    let best = gpu.run(&choose(b, None), &[&ious], 2 * b);
    assert_eq!(best, [2.0, 0.3, 3.0, 0.6, 1.0, 0.7]);
    let choices = gpu.run(&choose(b, Some(threshold)), &[&ious, &sums], 2 * b);
    assert_eq!(choices, [2.0, 0.3, 0.0, 0.0, 0.0, 0.1]);

    let (scores, hidden) = ([1.0, -1.0, 0.0], [-7.0, -8.0]);
    for (chosen, hides) in [(true, false), (true, true), (false, true)] {
        let picked = Picked {
            chosen,
            hidden: if hides { 2 } else { 0 },
        };
        let mut inputs: Vec<&[f32]> = vec![&masks];
        if chosen {
            inputs.push(&best);
        }
        if hides {
            inputs.extend([&scores[..], &hidden[..]]);
        }
        let found = gpu.run(&pick(b, count, pixels, picked), &inputs, b * pixels);
        for (i, value) in found.into_iter().enumerate() {
            let (prompt, at) = (i / pixels, i % pixels);
            let which = if chosen { best[2 * prompt] as usize } else { 0 };
            let wanted = match hides && scores[prompt] <= 0.0 {
                true => hidden[at % 2],
                false => masks[(prompt * count + which) * pixels + at],
            };
            assert_eq!(value, wanted, "{picked:?}, {i}");
        }
    }
}
