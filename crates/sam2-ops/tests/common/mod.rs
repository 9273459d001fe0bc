//! Compares every operation of two implementations, on the shapes of the published networks and on unusual ones.

pub mod bench;

use bench::{Bench, Numbers, numbers};
use burn::tensor::Tensor;
use sam2_ops::{
    Activation, Attention, BatchNorm, Convolution, ConvolutionOptions, ConvolutionParameters, DepthwiseConv,
    GroupedMlp, Hidden, Implementation, KeyGroup, KeyPositions, Keys, LayerNorm, Linear, LinearOptions,
    MaskDownSampler, MaskForMemory, Mlp, OutputUpscaling, PatchEmbed, PatchMerge, Picture, Projections,
    Residual, RotaryAttention, RotaryPositions, SqueezeExcite, Stability, WindowedAttention, by_rows,
    by_windows, choose, latent_attention, pick, windowed_attention,
};

/// The largest allowed difference, as a fraction of the largest value.
const TOLERANCE: f32 = 1e-4;

/// Compares every operation of `ours` with that of `reference`. Widths that `ours` does not support are left out.
///
/// # Panics
/// If the results of an operation differ.
pub fn compare_all(reference: &Implementation, ours: &Implementation) {
    let pair = Pair { reference, ours };
    linear_layers(&pair);
    perceptrons(&pair);
    attentions(&pair);
    rotary_attentions(&pair);
    latent_attentions(&pair);
    windowed_attentions(&pair);
    convolutions(&pair);
    mask_down_samplers(&pair);
    output_upscalings(&pair);
    norms_and_pools(&pair);
    choices(&pair);
    memories(&pair);
    parts_of_pictures(&pair);
}

struct Pair<'a> {
    reference: &'a Implementation,
    ours: &'a Implementation,
}

impl Pair<'_> {
    /// Whether `ours` supports all of these widths.
    fn takes(&self, widths: &[usize]) -> bool {
        let multiple = self.ours.width_multiple();
        widths.iter().all(|width| width.is_multiple_of(multiple))
    }

    /// Runs an operation on both, and compares the results.
    fn same(&self, what: &str, run: impl Fn(Bench) -> Numbers) {
        let [wanted, ours] = [self.reference, self.ours].map(|implementation| run(Bench(implementation)));
        assert_eq!(ours.shape, wanted.shape, "{what}: shape");
        let largest = wanted.values.iter().fold(0f32, |a, b| a.max(b.abs()));
        assert!(largest > 0.0, "{what}: the reference gives only zeros");
        for (i, (a, b)) in ours.values.iter().zip(&wanted.values).enumerate() {
            // The comparison is written so that NaN fails.
            let is_near = (a - b).abs() <= TOLERANCE * largest;
            assert!(
                is_near,
                "{what}: value {i} is {a}, expected {b}; the largest is {largest}"
            );
        }
    }
}

/// All activations, and none.
const ACTIVATIONS: [Option<Activation>; 6] = [
    None,
    Some(Activation::Relu),
    Some(Activation::Relu6),
    Some(Activation::Gelu),
    Some(Activation::QuickGelu),
    Some(Activation::Sigmoid),
];

fn linear_layers(pair: &Pair) {
    // The trunks' widths, the decoder's, and odd ones.
    for [n, input, output] in [
        [70, 96, 288],
        [65, 112, 336],
        [64, 144, 432],
        [130, 256, 64],
        [9, 256, 4],
        [1, 32, 32],
        [33, 7, 13],
        [2, 16, 1],
    ] {
        if !pair.takes(&[input, output]) {
            continue;
        }
        for (i, activation) in ACTIVATIONS.into_iter().enumerate() {
            // Each of the options with each of the others.
            for [plus, residual] in [[0, 0], [n, 0], [0, n], [1, 1], [n, 1]] {
                let what = format!("linear {n} {input} {output}, +{plus} +{residual}, {activation:?}");
                if i > 0 && plus != residual {
                    continue;
                }
                pair.same(&what, |bench| {
                    let layer = bench.load(|weights| Linear::load(weights, input, output));
                    let rows = |name, count, width| (count > 0).then(|| bench.tensor(name, [count, width]));
                    let options = LinearOptions {
                        plus: rows("plus", plus, input),
                        residual: rows("residual", residual, output).map(Residual::Rows),
                        activation,
                    };
                    numbers(layer.forward_with::<2>(bench.tensor("x", [n, input]), options))
                });
            }
        }
    }
    pair.same("linear onto a coarser picture", |bench| {
        let layer = bench.load(|weights| Linear::load_conv_1x1(weights, 96, 64));
        let options = LinearOptions {
            residual: Some(Residual::Coarser(bench.tensor("coarser", [2, 3, 5, 64]))),
            ..LinearOptions::default()
        };
        numbers(layer.forward_with::<4>(bench.tensor("x", [2, 6, 10, 96]), options))
    });
}

fn perceptrons(pair: &Pair) {
    for (n, widths, activation) in [
        (100, &[96, 384, 96][..], Activation::Gelu),
        (49, &[112, 448, 112], Activation::Gelu),
        (64, &[144, 576, 144], Activation::Gelu),
        (9, &[256, 2048, 256], Activation::Relu),
        (3, &[256, 256, 256, 4], Activation::Relu),
        (3, &[256, 256, 256, 1], Activation::Relu),
        // So many hidden values that the CPU computes parts of the rows, the last of which is smaller.
        (2100, &[32, 2048, 32], Activation::Relu),
        (5, &[8, 12], Activation::Gelu),
        (97, &[10, 7, 3], Activation::Gelu),
        (50, &[64, 256, 64], Activation::QuickGelu),
    ] {
        let (input, output) = (widths[0], widths[widths.len() - 1]);
        // The width of the output may be any.
        if !pair.takes(&widths[..widths.len() - 1]) {
            continue;
        }
        let mlp = |bench: &Bench| bench.load(|weights| Mlp::load(weights, widths, activation));
        pair.same(&format!("perceptron {n} {widths:?}"), |bench| {
            numbers(mlp(&bench).forward::<2>(bench.tensor("x", [n, input])))
        });
        pair.same(&format!("perceptron {n} {widths:?}, then sigmoid"), |bench| {
            let x = bench.tensor::<2>("x", [n, input]);
            numbers(mlp(&bench).forward_activated(x, Activation::Sigmoid))
        });
        if pair.takes(&[output]) {
            pair.same(&format!("perceptron {n} {widths:?}, onto a residual"), |bench| {
                let [x, residual] =
                    [("x", input), ("residual", output)].map(|(name, c)| bench.tensor::<2>(name, [n, c]));
                numbers(mlp(&bench).forward_onto(x, residual))
            });
        }
    }
    // A ConvNeXt block's, whose output is scaled.
    for n in [50, 1100] {
        pair.same("scaled perceptron", |bench| {
            let names = ["pwconv1", "pwconv2"];
            let widths = [64, 4096, 64];
            let mlp = bench
                .load(|weights| Mlp::load_named(weights, names, widths, Activation::Gelu, Some("gamma")));
            let [x, residual] = ["x", "residual"].map(|name| bench.tensor::<2>(name, [n, 64]));
            numbers(mlp.forward_onto(x, residual))
        });
    }
    for b in [1, 3] {
        pair.same("grouped perceptrons", |bench| {
            let widths = &[256, 256, 256, 32];
            let mlps = bench.load(|weights| GroupedMlp::load(weights, 4, widths, Activation::Relu));
            numbers(mlps.forward(bench.tensor("x", [b, 4, 256])))
        });
    }
}

/// The form of a picture for an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PictureKind {
    /// One picture for all prompts.
    Shared,
    /// One picture for all prompts, projected in advance.
    SharedProjected,
    /// One picture for each prompt.
    Own,
}

fn attentions(pair: &Pair) {
    use PictureKind::{Own, Shared, SharedProjected};
    // (prompts, tokens, pixels, width, width of all heads, heads): few tokens and many, the network's widths and others.
    for [b, n, m, dim, internal, heads] in [
        [1, 8, 130, 256, 128, 8],
        [3, 9, 64, 256, 128, 8],
        [2, 7, 50, 256, 256, 8],
        [2, 40, 36, 64, 32, 8],
        [2, 5, 33, 24, 12, 3],
    ] {
        let attention = |bench: &Bench| bench.load(|weights| Attention::load(weights, dim, internal, heads));
        let sizes = format!("{b} prompts, {n} tokens, {m} pixels, {dim} {internal} {heads}");
        let tokens = |bench: &Bench| {
            [
                bench.tensor("tokens", [b, n, dim]),
                bench.tensor("positions", [b, n, dim]),
            ]
        };
        pair.same(&format!("attention among tokens, {sizes}"), |bench| {
            let [tokens, _] = tokens(&bench);
            numbers(attention(&bench).among_tokens(tokens, None, None))
        });
        pair.same(&format!("attention among earlier tokens, {sizes}"), |bench| {
            let [tokens, residual] = tokens(&bench);
            numbers(attention(&bench).among_earlier(tokens, residual))
        });
        pair.same(
            &format!("attention among tokens with positions, {sizes}"),
            |bench| {
                let [tokens, positions] = tokens(&bench);
                numbers(attention(&bench).among_tokens(tokens.clone(), Some(positions), Some(tokens)))
            },
        );
        for kind in [Shared, SharedProjected, Own] {
            // As in the network, the projections belong to two attentions, one to the picture and one from it.
            let picture = |bench: &Bench, attention: &Attention| {
                let pictures = if kind == Own { b } else { 1 };
                let mut picture = Picture::new(
                    bench.tensor("picture", [pictures, m, dim]),
                    bench.tensor("picture's positions", [1, m, dim]),
                );
                if kind == SharedProjected {
                    let (keys, values) = attention.project_keys(&picture);
                    picture.projections = Some(Projections {
                        keys,
                        values,
                        queries: attention.project_queries(&picture),
                    });
                }
                picture
            };
            for wanted in [n, 6.min(n)] {
                let what = format!("attention to a picture ({kind:?}), {wanted} wanted, {sizes}");
                pair.same(&what, |bench| {
                    let attention = attention(&bench);
                    let ([tokens, positions], picture) = (tokens(&bench), picture(&bench, &attention));
                    let x = attention.to_picture(tokens, positions, &picture, wanted);
                    numbers(x.narrow(1, 0, wanted))
                });
            }
            pair.same(&format!("a picture's attention ({kind:?}), {sizes}"), |bench| {
                let attention = attention(&bench);
                let norm = bench.load(|mut weights| LayerNorm::load(weights.at("norm"), dim, 1e-5));
                let ([tokens, positions], picture) = (tokens(&bench), picture(&bench, &attention));
                numbers(attention.of_picture(&picture, tokens, positions, &norm))
            });
        }
    }
}

fn rotary_attentions(pair: &Pair) {
    // The last one's pictures are more than a block of keys, and their rows end within blocks.
    for [side, dim, kv_dim] in [[16, 256, 64], [5, 32, 16], [6, 8, 4], [24, 64, 64]] {
        if !pair.takes(&[dim, kv_dim]) {
            continue;
        }
        let n = side * side;
        let attention = |bench: &Bench| {
            bench.load(|weights| {
                let theta = 10_000.0;
                let table = RotaryPositions { side, dim, theta }.parameter(&weights);
                RotaryAttention::load(weights, dim, kv_dim, [table.clone(), table])
            })
        };
        let pixels = |bench: &Bench| {
            [
                bench.tensor("queries", [n, dim]),
                bench.tensor("residual", [n, dim]),
            ]
        };
        pair.same(
            &format!("rotary attention to a picture, {side} {dim} {kv_dim}"),
            |bench| {
                let [queries, residual] = pixels(&bench);
                let keys = Keys::of_picture(bench.tensor("keys", [n, kv_dim]));
                numbers(attention(&bench).forward(queries, &keys, residual))
            },
        );
        for (memories, pointers) in [(1, 0), (3, 20)] {
            let what = format!(
                "rotary attention to {memories} memories and {pointers} tokens, {side} {dim} {kv_dim}"
            );
            pair.same(&what, |bench| {
                let positions = |name, count| {
                    Some(KeyPositions {
                        spatial: bench.tensor(name, [count, kv_dim]),
                        temporal: bench.tensor("temporal", [7, kv_dim]),
                    })
                };
                let memory = |i: usize| (bench.tensor(&format!("memory {i}"), [n, kv_dim]), Some(2 * i));
                let mut groups = vec![KeyGroup {
                    parts: (0..memories).map(memory).collect(),
                    positions: positions("spatial", n),
                    rotated: true,
                }];
                if pointers > 0 {
                    groups.push(KeyGroup {
                        parts: vec![(bench.tensor("pointers", [pointers, kv_dim]), None)],
                        positions: positions("pointers' positions", pointers),
                        rotated: false,
                    });
                }
                let [queries, residual] = pixels(&bench);
                let keys = Keys::new(bench.0, groups, dim);
                assert_eq!(keys.rotated(), memories * n);
                numbers(attention(&bench).forward(queries, &keys, residual))
            });
        }
        // Keys on a coarser grid than the queries', as a perceiver makes them.
        pair.same(
            &format!("rotary attention to keys of another grid, {side} {dim} {kv_dim}"),
            |bench| {
                let key_side = side.div_ceil(2);
                let attention = bench.load(|weights| {
                    let tables = [side, key_side].map(|side| {
                        let theta = 10_000.0;
                        RotaryPositions { side, dim, theta }.parameter(&weights)
                    });
                    RotaryAttention::load(weights, dim, kv_dim, tables)
                });
                let part = |name, count| (bench.tensor(name, [count, kv_dim]), None);
                let on_grid = key_side * key_side;
                let groups = [
                    (vec![part("first", on_grid), part("second", on_grid)], true),
                    (vec![part("latents", 7)], false),
                ];
                let groups = groups.map(|(parts, rotated)| KeyGroup {
                    parts,
                    positions: None,
                    rotated,
                });
                let [queries, residual] = pixels(&bench);
                let keys = Keys::new(bench.0, groups.into(), dim);
                numbers(attention.forward(queries, &keys, residual))
            },
        );
        // Two pictures in a part, positions for one of them; tokens in several parts that share a position; no positions.
        pair.same(
            &format!("rotary attention to uneven keys, {side} {dim} {kv_dim}"),
            |bench| {
                let part = |name, count| bench.tensor(name, [count, kv_dim]);
                let positions = |count| {
                    Some(KeyPositions {
                        spatial: part("spatial", count),
                        temporal: part("temporal", 3),
                    })
                };
                let groups = vec![
                    KeyGroup {
                        parts: vec![(part("pictures", 2 * n), Some(1)), (part("picture", n), None)],
                        positions: positions(n),
                        rotated: true,
                    },
                    KeyGroup {
                        parts: vec![(part("four", 4), Some(0)), (part("eight", 8), Some(2))],
                        positions: positions(4),
                        rotated: false,
                    },
                    KeyGroup {
                        parts: vec![(part("three", 3), None)],
                        positions: None,
                        rotated: false,
                    },
                ];
                let [queries, residual] = pixels(&bench);
                let keys = Keys::new(bench.0, groups, dim);
                numbers(attention(&bench).forward(queries, &keys, residual))
            },
        );
    }
}

fn latent_attentions(pair: &Pair) {
    // EdgeTAM's latents: all to a memory, each to a window, and among themselves; then odd sizes.
    for [b, n, m, c] in [
        [1, 256, 4096, 64],
        [256, 1, 16, 64],
        [1, 256, 256, 64],
        [3, 5, 7, 12],
        [2, 1, 3, 5],
    ] {
        if !pair.takes(&[c]) {
            continue;
        }
        pair.same(&format!("attention of latents, {b} {n} {m} {c}"), |bench| {
            let q = bench.tensor("q", [b, n, c]);
            let [k, v] = ["k", "v"].map(|name| bench.tensor(name, [b, m, c]));
            numbers(latent_attention(bench.0, q, k, v))
        });
    }
}

fn windowed_attentions(pair: &Pair) {
    // (b, h, w, c, heads, window, pools)
    for (b, h, w, c, num_heads, window, pools) in [
        // The stages of tiny and small, base-plus, and large: whole windows, and windows that extend beyond the edge.
        (1, 16, 24, 96, 1, 8, false),
        (1, 16, 24, 192, 2, 8, true),
        (1, 8, 12, 384, 4, 4, true),
        (1, 20, 30, 384, 4, 14, false),
        (1, 32, 32, 768, 8, 14, true),
        (1, 16, 16, 768, 8, 7, false),
        (2, 16, 16, 112, 2, 8, false),
        (1, 16, 16, 224, 4, 8, true),
        (1, 32, 16, 144, 2, 8, false),
        (1, 32, 32, 576, 8, 16, false),
        (1, 16, 32, 1152, 16, 16, true),
        (1, 16, 16, 1152, 16, 8, false),
        // All tokens attend to all tokens.
        (1, 64, 64, 96, 1, 0, false),
        (2, 16, 12, 448, 8, 0, false),
        (2, 8, 6, 64, 2, 0, true),
        // Smaller than a window; one row of windows; one column of them.
        (1, 6, 4, 32, 1, 8, false),
        (1, 6, 4, 32, 1, 8, true),
        (1, 4, 9, 16, 2, 4, false),
        (3, 10, 4, 16, 4, 4, true),
        (1, 5, 7, 9, 3, 2, false),
    ] {
        if !pair.takes(&[c, c / num_heads]) {
            continue;
        }
        let attention = WindowedAttention {
            num_heads,
            window,
            pools,
        };
        pair.same(
            &format!("attention in windows, {b} {h} {w} {c}, {attention:?}"),
            |bench| {
                let qkv = bench.tensor("qkv", [b, h, w, 3 * c]);
                let padding = bench.load(|mut weights| weights.parameter("padding", [3 * c]));
                numbers(windowed_attention(bench.0, qkv, &padding, attention))
            },
        );
    }
}

fn convolutions(pair: &Pair) {
    for (b, h, w, c) in [
        (1, 64, 64, 96),
        (1, 32, 48, 112),
        (2, 32, 32, 144),
        (1, 4, 8, 32),
        (1, 8, 4, 7),
    ] {
        if !pair.takes(&[c]) {
            continue;
        }
        pair.same(&format!("patch embedding {b} {h} {w} {c}"), |bench| {
            let embed = bench.load(|mut weights| {
                let positions = weights.parameter("positions", [1, h / 4, w / 4, c])?;
                PatchEmbed::load(weights, c, positions)
            });
            numbers(embed.forward(bench.tensor("picture", [b, 3, h, w])))
        });
    }
    for (b, h, w, input, output) in [(1, 16, 16, 4, 16), (2, 6, 10, 96, 64), (1, 2, 4, 3, 5)] {
        if !pair.takes(&[input, output]) {
            continue;
        }
        pair.same(&format!("patch merging {b} {h} {w} {input} {output}"), |bench| {
            let merge = bench.load(|weights| PatchMerge::load(weights, input, output));
            numbers(merge.forward(bench.tensor("x", [b, h, w, input])))
        });
    }
    for (b, h, w, c, kernel) in [
        (1, 16, 16, 256, 7),
        (2, 9, 5, 24, 3),
        (1, 2, 3, 4, 7),
        (1, 7, 8, 96, 5),
        (1, 6, 4, 5, 3),
    ] {
        if !pair.takes(&[c]) {
            continue;
        }
        pair.same(
            &format!("depthwise convolution {b} {h} {w} {c}, kernel {kernel}"),
            |bench| {
                let conv = bench.load(|weights| DepthwiseConv::load(weights, c, kernel));
                numbers(conv.forward(bench.tensor("x", [b, h, w, c])))
            },
        );
    }
    // The stems and the depthwise convolutions of RepViT and EfficientNet-Lite, on squares and on other pictures.
    for (b, h, w, input, c, kernel, activation) in [
        (1, 32, 32, 3, 24, 3, Some(Activation::Gelu)),
        (2, 6, 10, 24, 48, 3, None),
        (1, 8, 4, 16, 8, 5, Some(Activation::Relu6)),
        (1, 2, 6, 5, 7, 3, Some(Activation::Sigmoid)),
    ] {
        if !pair.takes(&[c]) {
            continue;
        }
        for options in [
            ConvolutionOptions::centred(kernel, 1),
            ConvolutionOptions::centred(kernel, 2),
            ConvolutionOptions::same(kernel, 2),
        ] {
            let options = ConvolutionOptions {
                activation,
                ..options
            };
            pair.same(
                &format!("convolution {b} {h} {w} {input} {c} {kernel}, {options:?}"),
                |bench| {
                    let conv = bench.load(|mut weights| {
                        let parameters =
                            ConvolutionParameters::load(&mut weights, [c, input, kernel], options)?;
                        Ok(Convolution::new(&weights, parameters))
                    });
                    numbers(conv.forward(bench.tensor("x", [b, h, w, input])))
                },
            );
            pair.same(
                &format!("depthwise {b} {h} {w} {c} {kernel}, {options:?}"),
                |bench| {
                    let conv = bench.load(|mut weights| {
                        let weight = weights.parameter("weight", [c, 1, kernel, kernel])?;
                        let parameters = BatchNorm::load(weights.at("bn"), c, 1e-5)?.after(weight, options);
                        Ok(DepthwiseConv::new(&weights, parameters))
                    });
                    numbers(conv.forward(bench.tensor("x", [b, h, w, c])))
                },
            );
        }
    }
    for (b, h, w, c) in [(1, 16, 16, 48), (2, 3, 5, 192), (1, 1, 1, 16), (1, 40, 30, 7)] {
        if pair.takes(&[c]) {
            pair.same(&format!("squeeze and excite {b} {h} {w} {c}"), |bench| {
                let se = bench.load(|weights| SqueezeExcite::load(weights, c));
                numbers(se.forward(bench.tensor("x", [b, h, w, c])))
            });
        }
    }
}

fn mask_down_samplers(pair: &Pair) {
    // Sides of the features' grid: a strip of the CPU's, several with a rest, and the usual ratio of logits to pixels
    // or not.
    for (side, logits) in [(4, 16), (8, 32), (20, 80), (6, 13)] {
        for binarize in [false, true] {
            pair.same(&format!("mask down to {side}, binary: {binarize}"), |bench| {
                let sampler = bench.load(|weights| MaskDownSampler::load(weights, 256));
                let mask = MaskForMemory {
                    low_res_masks: bench.tensor("logits", [1, logits, logits]),
                    image_size: 16 * side,
                    binarize,
                    scale: 20.0,
                    bias: -10.0,
                };
                let residual = bench.tensor("residual", [1, side, side, 256]);
                numbers(sampler.forward_onto(mask, residual))
            });
        }
    }
}

fn output_upscalings(pair: &Pair) {
    for (b, h, w, dim, masks) in [(1, 8, 8, 256, 4), (3, 4, 6, 256, 4), (2, 3, 5, 64, 1)] {
        pair.same(&format!("masks {b} {h} {w} {dim} {masks}"), |bench| {
            let upscaling = bench.load(|weights| OutputUpscaling::load(weights, dim));
            numbers(upscaling.masks(
                bench.tensor("src", [b, h, w, dim]),
                bench.tensor("feat_s1", [1, 2 * h, 2 * w, dim / 4]),
                bench.tensor("feat_s0", [1, 4 * h, 4 * w, dim / 8]),
                bench.tensor("hyper_in", [b, masks, dim / 8]),
            ))
        });
    }
}

fn norms_and_pools(pair: &Pair) {
    for [n, c] in [[50, 96], [9, 1152], [3, 4], [5, 37]] {
        if !pair.takes(&[c]) {
            continue;
        }
        for activation in ACTIVATIONS {
            pair.same(&format!("layer norm {n} {c}, {activation:?}"), |bench| {
                let norm = bench.load(|weights| LayerNorm::load(weights, c, 1e-6));
                let x = bench.tensor::<3>("x", [2, n, c]);
                numbers(match activation {
                    None => norm.forward(x),
                    Some(activation) => norm.forward_activated(x, activation),
                })
            });
        }
    }
    for shape in [[1, 8, 8, 96], [2, 6, 2, 112], [3, 2, 4, 5]] {
        if pair.takes(&[shape[3]]) {
            pair.same(&format!("largest of 2x2, {shape:?}"), |bench| {
                numbers(bench.0.max_pool(bench.tensor("x", shape)))
            });
        }
    }
}

fn choices(pair: &Pair) {
    // Several prompts, some of them with a stable mask.
    let stability = Stability {
        delta: 0.05,
        threshold: 0.95,
    };
    for [b, n, pixels] in [[1, 4, 64], [7, 4, 256], [2, 3, 1024]] {
        for stability in [None, Some(stability)] {
            let what = format!("a choice of {n} masks, {b} prompts, {stability:?}");
            let choice = |bench: &Bench| {
                let masks = bench.tensor("masks", [b, n, pixels]);
                choose(bench.0, masks, bench.tensor("ious", [b, n]), stability)
            };
            pair.same(&what, |bench| numbers(choice(&bench).ious()));
            for (q, chooses) in [(1, true), (4, true), (4, false)] {
                let values = |bench: &Bench| bench.tensor("values", [b, n, pixels]);
                pair.same(&format!("{what}, picked"), |bench| {
                    let choice = chooses.then(|| choice(&bench));
                    numbers(pick(bench.0, values(&bench), choice.as_ref(), None))
                });
                pair.same(&format!("{what}, picked where the object is"), |bench| {
                    let choice = chooses.then(|| choice(&bench));
                    let hidden = Hidden {
                        object_score_logits: bench.tensor("scores", [b, 1]),
                        instead: bench.tensor("instead", [q]),
                    };
                    numbers(pick(bench.0, values(&bench), choice.as_ref(), Some(hidden)))
                });
            }
        }
    }
}

fn memories(pair: &Pair) {
    for score in [-0.5, 0.0, 2.0] {
        for has_absent in [false, true] {
            pair.same(&format!("a memory, score {score}, {has_absent}"), |bench| {
                let absent = has_absent.then(|| bench.tensor("absent", [64]));
                let score = bench.tensor("score", [1]) * 0.0 + score;
                numbers(
                    bench
                        .0
                        .finish_memory(bench.tensor("memory", [100, 64]), absent, score),
                )
            });
        }
    }
    pair.same("matrices below each other", |bench| {
        let parts = [("a", 3), ("b", 1), ("c", 8)].map(|(name, rows)| bench.tensor(name, [rows, 32]));
        numbers(bench.0.stack(parts.to_vec()))
    });
}

fn parts_of_pictures(pair: &Pair) {
    // A picture with more rows than a CPU computes at once, a smaller one, and several pictures.
    for (b, h, w, window) in [(1, 72, 80, 8), (1, 45, 60, 7), (2, 16, 16, 8), (1, 64, 64, 0)] {
        pair.same(&format!("a block in windows of {window}, {b} {h} {w}"), |bench| {
            windowed_block(&bench, [b, h, w], window, |norm, x| {
                by_rows(bench.0, x, |x| norm.forward(x))
            })
        });
    }
}

/// Attention in windows of a picture `[b, h, w]`, and a normalisation by `normalise`, which is called once for each part.
pub fn windowed_block(
    bench: &Bench,
    [b, h, w]: [usize; 3],
    window: usize,
    normalise: impl Fn(&LayerNorm, Tensor<4>) -> Tensor<4> + Sync,
) -> Numbers {
    let c = 8;
    let qkv = bench.load(|mut weights| Linear::load(weights.at("qkv"), c, 3 * c));
    let norm = bench.load(|mut weights| LayerNorm::load(weights.at("norm"), c, 1e-6));
    let padding = bench.load(|mut weights| weights.parameter("qkv.bias", [3 * c]));
    let attention = WindowedAttention {
        num_heads: 2,
        window,
        pools: false,
    };
    let x = by_windows(bench.0, bench.tensor("x", [b, h, w, c]), window, 3 * c, |x| {
        normalise(
            &norm,
            windowed_attention(bench.0, qkv.forward(x), &padding, attention),
        )
    });
    numbers(x)
}
