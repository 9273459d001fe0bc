//! The choice among the decoder's masks, on the GPU: the stability rule of
//! `sam2.modeling.sam.mask_decoder.MaskDecoder._dynamic_multimask_via_stability`, and the best predicted IoU.

use std::fmt::Write;

use crate::kernel::{Input, Kernel, entry, info, vec4};

/// The number of partial sums that [`areas`] makes of a mask's pixels.
pub const SUMS: usize = 64;

/// The areas of the stability score. For the first of the `masks` `[b, count, pixels]` of each prompt, it counts the
/// logits above `delta` and those above `-delta`, as [`SUMS`] partial sums of both: `[b, 64, 2]`.
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

/// Chooses a mask for each prompt: its index and its predicted IoU, `[b, 2]`. `ious` is `[b, 4]`. With a `threshold`, the
/// first mask is chosen if it is stable, which means that its area above `delta` is at least `threshold` times that above
/// `-delta`; the second input is then the result of [`areas`]. Otherwise, the one of the other three with the best IoU is
/// chosen.
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
                // A product instead of a quotient makes a mask without any area stable, without a case of its own.
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

/// The options of [`pick`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picked {
    /// Whether `choices` `[b, 2]`, the result of [`choose`], say which values are taken. If not, the first ones are.
    pub chosen: bool,
    /// The length of `hidden`, whose value `i` modulo this length replaces value `i` of prompts whose `scores` `[b]`
    /// are not positive. 0 if there is no such input.
    pub hidden: usize,
}

/// Takes one of `values` `[b, count, p]` for each prompt: `[b, p]`. The inputs are `values`, then `choices`, `scores` and
/// `hidden` if `picked` has them.
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
