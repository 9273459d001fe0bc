//! Which of the decoder's masks is the answer, decided where they are: the stability rule of
//! `sam2.modeling.sam.mask_decoder.MaskDecoder._dynamic_multimask_via_stability`, and the best predicted IoU.

use std::fmt::Write;

use crate::kernel::{Input, Kernel, entry, info, vec4};

/// How many partial sums [`areas`] makes of a mask's pixels.
pub const SUMS: usize = 64;

/// The areas of the stability score: of the first of `masks` `[b, count, pixels]` of each `b`, how many logits are above
/// `delta` and how many above `-delta`, as [`SUMS`] partial sums of both, `[b, 64, 2]`.
pub fn areas(b: usize, count: usize, pixels: usize, delta: f32) -> Kernel {
    Kernel {
        key: format!("areas {delta:e}"),
        inputs: vec![Input("masks", "f32")],
        output: "vec2<f32>",
        info: info([
            ("invocations", b * SUMS),
            ("masks_length", count * pixels),
            ("pixels", pixels),
        ]),
        invocations: b * SUMS,
        body: Box::new(move || {
            format!(
                "{}  if (index >= info.invocations) {{ return; }}
  let first = index / {SUMS}u * info.masks_length;
  var sums = vec2<f32>(0.0);
  for (var i = index % {SUMS}u; i < info.pixels; i += {SUMS}u) {{
    sums += vec2<f32>(vec2<f32>(masks[first + i]) > vec2<f32>({delta:?}, -{delta:?}));
  }}
  out[index] = sums;
}}
",
                entry()
            )
        }),
    }
}

/// Which mask of each prompt is the answer: its number and its predicted IoU, `[b, 2]`. `ious` is `[b, 4]`. With a
/// `threshold` the first mask is the answer where it is stable: where its area above `delta` is at least `threshold` times
/// that above `-delta`, by `areas` as [`areas`] makes them. Else it is that of the other three with the best IoU.
pub fn choose(b: usize, threshold: Option<f32>) -> Kernel {
    let mut inputs = vec![vec4("ious")];
    if threshold.is_some() {
        inputs.push(Input("areas", "vec2<f32>"));
    }
    Kernel {
        key: format!("choose {threshold:?}"),
        inputs,
        output: "vec2<f32>",
        info: info([("prompts", b)]),
        invocations: b,
        body: Box::new(move || {
            let mut text = entry();
            text += "  if (index >= info.prompts) { return; }
  let each = ious[index];
  var best = vec2<f32>(1.0, each.y);
  if (each.z > best.y) { best = vec2<f32>(2.0, each.z); }
  if (each.w > best.y) { best = vec2<f32>(3.0, each.w); }
";
            if let Some(threshold) = threshold {
                // As a product instead of a quotient, a mask without any area needs no case of its own: it is stable.
                writeln!(
                    text,
                    "  var sums = vec2<f32>(0.0);
  for (var i = 0u; i < {SUMS}u; i++) {{ sums += areas[index * {SUMS}u + i]; }}
  if (sums.x >= sums.y * {threshold:?}) {{ best = vec2<f32>(0.0, each.x); }}"
                )
                .expect("text");
            }
            text + "  out[index] = best;\n}\n"
        }),
    }
}

/// What [`pick`] looks at besides the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picked {
    /// `choices` `[b, 2]`, as [`choose`] makes them, say which of the values are taken. Else the first ones are.
    pub chosen: bool,
    /// Length of `hidden`, which is taken where `scores` `[b]` are not positive: for value `i` of `p` its value `i` modulo
    /// this length. 0 if that never happens.
    pub hidden: usize,
}

/// One of `values` `[b, count, p]` for each `b`: `[b, p]`. The inputs are `values`, then `choices`, `scores` and `hidden`
/// where `picked` asks for them.
pub fn pick(b: usize, count: usize, p: usize, picked: Picked) -> Kernel {
    let mut inputs = vec![Input("values", "f32")];
    if picked.chosen {
        inputs.push(Input("choices", "vec2<f32>"));
    }
    if picked.hidden > 0 {
        inputs.extend([Input("scores", "f32"), Input("hidden", "f32")]);
    }
    let Picked { chosen, hidden } = picked;
    Kernel {
        key: format!("pick {chosen} {}", hidden > 0),
        inputs,
        output: "f32",
        info: info([
            ("invocations", b * p),
            ("p", p),
            ("values_length", count * p),
            ("hidden_length", hidden),
        ]),
        invocations: b * p,
        body: Box::new(move || {
            let which = if chosen { "u32(choices[prompt].x)" } else { "0u" };
            let value = format!("values[prompt * info.values_length + {which} * info.p + at]");
            let value = match hidden {
                0 => value,
                _ => format!("select(hidden[at % info.hidden_length], {value}, scores[prompt] > 0.0)"),
            };
            format!(
                "{}  if (index >= info.invocations) {{ return; }}
  let prompt = index / info.p;
  let at = index % info.p;
  out[index] = {value};
}}
",
                entry()
            )
        }),
    }
}
