//! Every kernel against the same in plain loops over f64, on the shapes of the four official variants and of nano.

mod common;

use common::{CLASSES, Gpu, assert_close, check_linear, doubles, erf, product, random};
use sam2_kernels::{
    Activation, AdapterClass, AttentionShape, HeadRows, LinearShape, Patches, ResidualShape, attention,
    layer_norm, mask_product, max_pool, patch_embed,
};

/// Width of the first stage and its heads: nano, tiny and small, base+, large.
const TRUNKS: [(usize, usize); 4] = [(32, 1), (96, 1), (112, 2), (144, 2)];

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Gelu => 0.5 * x * (1.0 + erf(x / 2f64.sqrt())),
        Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}

#[test]
fn linear_of_every_width() {
    let gpu = Gpu::open();
    // The trunks' widths and the decoder's, few rows and many, tiles that are cut off on both sides.
    let mut shapes = vec![
        (1, 256, 32),
        (4, 256, 4),
        (5, 4, 16),
        (9, 256, 2048),
        (8, 2048, 256),
    ];
    for (width, _) in TRUNKS {
        shapes.extend([
            (65, width, 3 * width),
            (33, 4 * width, width),
            (130, width, 4 * width),
        ]);
    }
    for (rows, k, n) in shapes {
        for activation in [
            Activation::None,
            Activation::Relu,
            Activation::Gelu,
            Activation::QuickGelu,
            Activation::Sigmoid,
        ] {
            // Sums of about 1, whatever their length.
            let weight: Vec<f32> = random(k * n, 2)
                .into_iter()
                .map(|w| w / (k as f32).sqrt())
                .collect();
            let (x, bias) = (random(rows * k, 1), random(n, 3));
            let shape = LinearShape {
                rows,
                k,
                n,
                activation,
                ..LinearShape::default()
            };
            let inputs: &[&[f32]] = &[&x, &weight, &bias];
            let wanted: Vec<f64> = product(&doubles(&x), &weight, &bias)
                .into_iter()
                .map(|x| activate(activation, x))
                .collect();
            check_linear(
                &gpu,
                shape,
                inputs,
                &wanted,
                &format!("{rows} x {k} x {n} {activation:?}"),
            );
        }
    }
}

#[test]
fn linear_adds_what_is_to_be_added() {
    let gpu = Gpu::open();
    for (rows, plus, repeated) in [(2, 1, 2), (24, 24, 24), (72, 8, 36)] {
        let (k, n) = (32, 36);
        let (x, weight, bias) = (random(rows * k, 1), random(k * n, 2), random(n, 3));
        let (more, residual) = (random(plus * k, 4), random(repeated * n, 5));
        let shape = LinearShape {
            rows,
            k,
            n,
            plus,
            residual: ResidualShape::Repeated(repeated),
            activation: Activation::Gelu,
            ..LinearShape::default()
        };
        let inputs: &[&[f32]] = &[&x, &weight, &bias, &more, &residual];
        let sum: Vec<f64> = x
            .iter()
            .zip(more.iter().cycle())
            .map(|(x, y)| f64::from(*x) + f64::from(*y))
            .collect();
        let wanted: Vec<f64> = product(&sum, &weight, &bias)
            .into_iter()
            .zip(residual.iter().cycle())
            .map(|(x, y)| activate(Activation::Gelu, x + f64::from(*y)))
            .collect();
        check_linear(
            &gpu,
            shape,
            inputs,
            &wanted,
            &format!("{rows} rows, {plus} and {repeated} added"),
        );
    }
}

#[test]
fn linear_takes_matrices_modulo_their_number() {
    let gpu = Gpu::open();
    let (rows, groups, k, n) = (12, 4, 64, 8);
    let (x, weight, bias) = (
        random(rows * k, 1),
        random(groups * k * n, 2),
        random(groups * n, 3),
    );
    let shape = LinearShape {
        rows,
        k,
        n,
        groups,
        activation: Activation::Relu,
        ..LinearShape::default()
    };
    let inputs: &[&[f32]] = &[&x, &weight, &bias];
    let mut wanted = Vec::new();
    for (i, row) in doubles(&x).chunks_exact(k).enumerate() {
        let group = i % groups;
        let out = product(row, &weight[group * k * n..][..k * n], &bias[group * n..][..n]);
        wanted.extend(out.into_iter().map(|x| x.max(0.0)));
    }
    check_linear(&gpu, shape, inputs, &wanted, "groups");
}

#[test]
fn linear_adds_a_coarser_picture() {
    let gpu = Gpu::open();
    let (b, h, w, k, n) = (2, 6, 10, 36, 36);
    let (x, weight, bias) = (random(b * h * w * k, 1), random(k * n, 2), random(n, 3));
    let coarse = random(b * h / 2 * w / 2 * n, 4);
    let shape = LinearShape {
        rows: b * h * w,
        k,
        n,
        residual: ResidualShape::Coarser { width: w / 2 },
        ..LinearShape::default()
    };
    let inputs: &[&[f32]] = &[&x, &weight, &bias, &coarse];
    let mut wanted = product(&doubles(&x), &weight, &bias);
    for (i, value) in wanted.iter_mut().enumerate() {
        let (channel, pixel) = (i % n, i / n);
        let (x, y, picture) = (pixel % w, pixel / w % h, pixel / w / h);
        *value += f64::from(coarse[((picture * h / 2 + y / 2) * w / 2 + x / 2) * n + channel]);
    }
    check_linear(&gpu, shape, inputs, &wanted, "coarser");
}

#[test]
fn patches_are_gathered_and_spread() {
    let gpu = Gpu::open();
    // Rows of patches, and the values of the picture's that each row has, in order.
    let (b, h, w, c) = (2, 5, 9, 8);
    let rows = b * h * w;
    let place = |row: usize, part: usize, channel: usize| {
        let (x, y) = (row % w, row / w);
        ((2 * y + part / 2) * 2 * w + 2 * x + part % 2) * c + channel
    };
    let (weight, bias) = (random(4 * c * 4 * c, 2), random(4 * c, 3));

    let picture = random(rows * 4 * c, 1);
    let shape = LinearShape {
        rows,
        k: 4 * c,
        n: 4 * c,
        patches: Patches::Merge { width: w },
        ..LinearShape::default()
    };
    let inputs: &[&[f32]] = &[&picture, &weight, &bias];
    let gathered: Vec<f64> = (0..rows * 4 * c)
        .map(|i| f64::from(picture[place(i / (4 * c), i / c % 4, i % c)]))
        .collect();
    check_linear(&gpu, shape, inputs, &product(&gathered, &weight, &bias), "merge");

    let (x, residual) = (random(rows * 4 * c, 1), random(rows / b * 4 * c, 4));
    let shape = LinearShape {
        rows,
        k: 4 * c,
        n: 4 * c,
        patches: Patches::Expand { width: w },
        residual: ResidualShape::Repeated(rows / b),
        ..LinearShape::default()
    };
    let inputs: &[&[f32]] = &[&x, &weight, &bias, &residual];
    let mut wanted = vec![0.0; rows * 4 * c];
    for (i, value) in product(&doubles(&x), &weight, &bias).into_iter().enumerate() {
        let to = place(i / (4 * c), i / c % 4, i % c);
        wanted[to] = value + f64::from(residual[to % residual.len()]);
    }
    check_linear(&gpu, shape, inputs, &wanted, "expand");
}

#[test]
fn layer_norm_of_every_width() {
    let gpu = Gpu::open();
    let widths = TRUNKS.iter().flat_map(|&(c, _)| [c, 2 * c, 4 * c, 8 * c]);
    for c in widths.chain([4, 16, 64, 256]) {
        for activation in [Activation::None, Activation::Gelu] {
            let rows = 67;
            let (x, weight, bias) = (random(rows * c, 1), random(c, 2), random(c, 3));
            let mut wanted = Vec::new();
            for row in doubles(&x).chunks_exact(c) {
                let mean = row.iter().sum::<f64>() / c as f64;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / c as f64;
                for (i, x) in row.iter().enumerate() {
                    let y = (x - mean) / (variance + 1e-6).sqrt() * f64::from(weight[i]) + f64::from(bias[i]);
                    wanted.push(activate(activation, y));
                }
            }
            for class in CLASSES {
                let kernel = layer_norm(rows, c, 1e-6, activation, class);
                let found = gpu.run(&kernel, &[&x, &weight, &bias], rows * c);
                assert_close(&found, &wanted, 3e-6, &format!("{c} channels, {class:?}"));
            }
        }
    }
}

/// Attention over grids and windows, padding attended to as what `padding` says.
fn attended(
    shape: AttentionShape,
    q: (&[f32], HeadRows),
    kv: (&[f32], HeadRows, HeadRows),
    padding: &[f32],
) -> Vec<f64> {
    let AttentionShape {
        batch,
        heads,
        width,
        queries,
        keys,
        window,
        pools,
        causal,
    } = shape;
    let step = if pools { 2 } else { 1 };
    let mut out = Vec::new();
    for b in 0..batch {
        for place in 0..queries[0] * queries[1] {
            let (y, x) = (place / queries[1], place % queries[1]);
            for head in 0..heads {
                let at =
                    |row: usize, d: usize| f64::from(q.0[row * q.1.width + q.1.offset + head * width + d]);
                let query: Vec<f64> = (0..width)
                    .map(|d| {
                        let mut largest = f64::MIN;
                        for dy in 0..step {
                            for dx in 0..step {
                                let row =
                                    ((b % q.1.batch) * queries[0] * step + y * step + dy) * queries[1] * step
                                        + x * step
                                        + dx;
                                largest = largest.max(at(row, d));
                            }
                        }
                        largest
                    })
                    .collect();
                let corner = if window == keys {
                    [0, 0]
                } else {
                    [y * step / window[0] * window[0], x * step / window[1] * window[1]]
                };
                let mut tokens = Vec::new();
                for ky in corner[0]..corner[0] + window[0] {
                    for kx in corner[1]..corner[1] + window[1] {
                        if causal && kx > x {
                            continue;
                        }
                        let row = ((b % kv.1.batch) * keys[0] + ky) * keys[1] + kx;
                        let value = |layout: HeadRows, d: usize| {
                            let within = layout.offset + head * width + d;
                            f64::from(if ky < keys[0] && kx < keys[1] {
                                kv.0[row * layout.width + within]
                            } else {
                                padding[within]
                            })
                        };
                        let score = (0..width).map(|d| query[d] * value(kv.1, d)).sum::<f64>();
                        let values: Vec<f64> = (0..width).map(|d| value(kv.2, d)).collect();
                        tokens.push((score / (width as f64).sqrt(), values));
                    }
                }
                let max = tokens.iter().fold(f64::MIN, |max, (score, _)| max.max(*score));
                let sum: f64 = tokens.iter().map(|(score, _)| (score - max).exp()).sum();
                for d in 0..width {
                    out.push(
                        tokens
                            .iter()
                            .map(|(score, v)| (score - max).exp() / sum * v[d])
                            .sum(),
                    );
                }
            }
        }
    }
    out
}

fn check_attention(gpu: &Gpu, shape: AttentionShape, classes: &[AdapterClass]) {
    let (inner, step) = (shape.heads * shape.width, if shape.pools { 2 } else { 1 });
    // One projection for all three where the grids agree, else two.
    let joint = shape.keys == shape.queries.map(|side| side * step);
    let tokens = shape.batch * shape.keys[0] * shape.keys[1];
    let layout = |offset: usize, width: usize| HeadRows {
        batch: shape.batch,
        width,
        offset,
    };
    let (kv, q) = if joint {
        (random(tokens * 3 * inner, 1), None)
    } else {
        let queries = shape.batch * shape.queries[0] * shape.queries[1];
        (random(tokens * 3 * inner, 1), Some(random(queries * inner, 2)))
    };
    // Scores of some size, so that the largest matters.
    let kv: Vec<f32> = kv.into_iter().map(|x| 3.0 * x).collect();
    let padding = random(3 * inner, 3);
    let (k, v) = (layout(inner, 3 * inner), layout(2 * inner, 3 * inner));
    let (q_values, q) = match &q {
        None => (&kv, layout(0, 3 * inner)),
        Some(q) => (q, layout(0, inner)),
    };
    for &class in classes {
        let kernel = attention(shape, [q, k, v], class);
        let mut inputs: Vec<&[f32]> = vec![q_values, &kv, &kv];
        if shape.pads() {
            inputs.push(&padding);
        }
        let length = shape.batch * shape.queries[0] * shape.queries[1] * inner;
        let found = gpu.run(&kernel, &inputs, length);
        let wanted = attended(shape, (q_values, q), (&kv, k, v), &padding);
        assert_close(&found, &wanted, 5e-6, &format!("{shape:?}"));
    }
}

#[test]
fn attention_in_windows() {
    let gpu = Gpu::open();
    // Windows that fit, and ones that go over one edge or both; with and without pooled queries.
    let cases = [
        ([16, 8], 8, false),
        ([10, 14], 7, false),
        ([18, 20], 14, false),
        ([18, 20], 14, true),
    ];
    for (width, heads) in TRUNKS {
        let nano = width == 32;
        // Making a pipeline takes a software adapter seconds, so only nano is tried in every way.
        let more = [([16, 16], 16, false), ([8, 12], 4, true)];
        let classes = if nano { &CLASSES[..] } else { &CLASSES[..1] };
        for &(keys, window, pools) in cases.iter().chain(more.iter().filter(|_| nano)) {
            check_attention(
                &gpu,
                AttentionShape {
                    batch: 2,
                    heads: heads * 2,
                    width: width / heads,
                    queries: keys.map(|side| if pools { side / 2 } else { side }),
                    keys,
                    window: [window, window],
                    pools,
                    causal: false,
                },
                classes,
            );
        }
    }
}

#[test]
fn attention_over_all_tokens() {
    let gpu = Gpu::open();
    // Tokens to a picture and back in the decoder, tokens among themselves, a global block; micro's narrow heads too.
    for (n, m, width) in [
        (8, 300, 16),
        (7, 257, 8),
        (9, 300, 32),
        (301, 9, 16),
        (7, 7, 32),
        (64, 64, 96),
        (1, 5, 4),
        (65, 130, 8),
    ] {
        // On a real GPU keys are shared out where there are many of them for few tokens.
        let classes = &CLASSES[..if n < 10 && m > 256 { 2 } else { 1 }];
        check_attention(&gpu, AttentionShape::tokens(2, 8, width, n, m), classes);
    }
    // A text's tokens, each of which sees itself and those before it.
    for (n, width) in [(16, 16), (7, 64), (1, 8), (13, 4)] {
        check_attention(&gpu, AttentionShape::causal(3, 2, width, n), &CLASSES);
    }
}

#[test]
fn attention_of_a_batch_to_one_picture() {
    let gpu = Gpu::open();
    for (m, class) in [(21, AdapterClass::Software), (300, AdapterClass::Hardware)] {
        let shape = AttentionShape::tokens(3, 2, 8, 5, m);
        let (q, k, v) = (random(3 * 5 * 16, 1), random(m * 16, 2), random(m * 16, 3));
        let layout = |batch| HeadRows {
            batch,
            width: 16,
            offset: 0,
        };
        let kernel = attention(shape, [layout(3), layout(1), layout(1)], class);
        let found = gpu.run(&kernel, &[&q, &k, &v], 3 * 5 * 16);
        let both: Vec<f32> = k
            .chunks(16)
            .zip(v.chunks(16))
            .flat_map(|(k, v)| [k, v].concat())
            .collect();
        let at = |offset| HeadRows {
            batch: 1,
            width: 32,
            offset,
        };
        let wanted = attended(shape, (&q, layout(3)), (&both, at(0), at(16)), &[]);
        assert_close(&found, &wanted, 5e-6, "one picture");
    }
}

#[test]
fn max_pool_is_the_largest_of_four() {
    let gpu = Gpu::open();
    let (b, h, w, c) = (2, 6, 8, 12);
    let x = random(b * h * w * c, 1);
    let found = gpu.run(&max_pool([b, h, w, c]), &[&x], b * h * w * c / 4);
    let wanted: Vec<f64> = (0..b * h * w * c / 4)
        .map(|i| {
            let (channel, pixel) = (i % c, i / c);
            let (column, row) = (pixel % (w / 2), pixel / (w / 2));
            let at = |dy: usize, dx: usize| x[((2 * row + dy) * w + 2 * column + dx) * c + channel];
            f64::from(at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1)))
        })
        .collect();
    assert_close(&found, &wanted, 0.0, "max pool");
}

#[test]
fn masks_are_products_of_tokens_and_pixels() {
    let gpu = Gpu::open();
    let (b, p, c) = (3, 70, 32);
    let (hyper, pixels) = (random(b * 4 * c, 1), random(b * p * c, 2));
    let found = gpu.run(&mask_product(b, p, c), &[&hyper, &pixels], b * 4 * p);
    let mut wanted = Vec::new();
    for (tokens, pixels) in hyper.chunks_exact(4 * c).zip(pixels.chunks_exact(p * c)) {
        for token in tokens.chunks_exact(c) {
            for pixel in pixels.chunks_exact(c) {
                wanted.push(
                    token
                        .iter()
                        .zip(pixel)
                        .map(|(a, b)| f64::from(*a) * f64::from(*b))
                        .sum(),
                );
            }
        }
    }
    assert_close(&found, &wanted, 2e-6, "masks");
}

#[test]
fn patch_embed_is_a_convolution() {
    let gpu = Gpu::open();
    for (c, _) in TRUNKS {
        let (b, h, w) = (2, 24, 32);
        let (x, weight, bias) = (random(b * 3 * h * w, 1), random(147 * c, 2), random(c, 3));
        let position = random(h / 4 * w / 4 * c, 4);
        let length = b * h / 4 * w / 4 * c;
        let found = gpu.run(
            &patch_embed([b, h, w], c),
            &[&x, &weight, &bias, &position],
            length,
        );
        let mut wanted = Vec::new();
        for i in 0..length {
            let (channel, token) = (i % c, i / c);
            let (column, row, picture) = (
                token % (w / 4),
                token / (w / 4) % (h / 4),
                token / (w / 4) / (h / 4),
            );
            let mut sum = f64::from(bias[channel]) + f64::from(position[i % position.len()]);
            for tap in 0..147 {
                let (plane, dy, dx) = (tap / 49, tap / 7 % 7, tap % 7);
                let (y, x_) = (4 * row + dy, 4 * column + dx);
                if y < 3 || x_ < 3 || y >= h + 3 || x_ >= w + 3 {
                    continue;
                }
                let pixel = x[((picture * 3 + plane) * h + y - 3) * w + x_ - 3];
                sum += f64::from(pixel) * f64::from(weight[tap * c + channel]);
            }
            wanted.push(sum);
        }
        assert_close(&found, &wanted, 2e-6, &format!("{c} channels"));
    }
}

#[test]
fn a_write_that_is_too_short_is_caught() {
    let gpu = Gpu::open();
    let dims = [1, 32, 32, 4];
    let x = random(32 * 32 * 4, 1);
    let whole = gpu.run(&max_pool(dims), &[&x], 1024);
    assert_close(&whole, &doubles(&whole), 0.0, "whole");
    let mut kernel = max_pool(dims);
    // One workgroup of four, as if the kernel's author had counted wrongly.
    assert_eq!(kernel.invocations, 256);
    kernel.invocations = 64;
    let short = gpu.run(&kernel, &[&x], 1024);
    assert_eq!(short[..256], whole[..256]);
    assert!(short[256..].iter().all(|value| value.is_nan()));
    let caught = std::panic::catch_unwind(|| assert_close(&short, &doubles(&whole), 0.0, "short"));
    assert!(
        caught.is_err(),
        "what is not a number passes for the wanted value"
    );
}
