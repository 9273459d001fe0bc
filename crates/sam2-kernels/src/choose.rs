//! Which of the decoder's masks is the answer, decided where they are.

use std::fmt::Write;

use crate::kernel::{Input, Kernel, entry, fours, info};

/// How many sums there are of a mask's pixels.
pub const SUMS: usize = 64;

/// `masks` `[b, count, pixels]`: of the first mask of each `b`, how many logits are above `delta` and how many
/// above `-delta`, as 64 sums of both, `[b, 64, 2]`.
pub fn areas(b: usize, count: usize, pixels: usize, delta: f32) -> Kernel {
    Kernel {
        key: format!("areas {delta:e}"),
        inputs: vec![Input("masks", "f32")],
        output: "vec2<f32>",
        info: info(&[b * SUMS, count * pixels, pixels]),
        invocations: b * SUMS,
        body: Box::new(move || {
            format!(
                "{}  if (index >= info[0].x) {{ return; }}
  let first = index / {SUMS}u * info[0].y;
  var sums = vec2<f32>(0.0);
  for (var i = index % {SUMS}u; i < info[0].z; i += {SUMS}u) {{
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

/// Which mask of each prompt is the answer: a number, and its predicted IoU. `ious` is `[b, 4]`; with a `threshold` the
/// first mask is the answer if it is stable, which `areas` say; else the one of the others with the best IoU. To `[b, 2]`.
pub fn choose(b: usize, threshold: Option<f32>) -> Kernel {
    let mut inputs = vec![fours("ious")];
    if threshold.is_some() {
        inputs.push(Input("areas", "vec2<f32>"));
    }
    Kernel {
        key: format!("choose {threshold:?}"),
        inputs,
        output: "vec2<f32>",
        info: info(&[b]),
        invocations: b,
        body: Box::new(move || {
            let mut text = entry();
            text += "  if (index >= info[0].x) { return; }
  let each = ious[index];
  var best = vec2<f32>(1.0, each.y);
  if (each.z > best.y) { best = vec2<f32>(2.0, each.z); }
  if (each.w > best.y) { best = vec2<f32>(3.0, each.w); }
";
            if let Some(threshold) = threshold {
                // As a product, so that an empty union needs no case of its own.
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
    /// `choices` `[b, 2]` as [`choose`] makes them say which of the values are taken; else the first ones are.
    pub chosen: bool,
    /// Where `scores` `[b]` are not positive, `hidden` `[length]` is taken instead, value `i` of `p`
    /// being its value `i` modulo this length; 0 for never.
    pub hidden: usize,
}

/// One of `values` `[b, count, p]` for each `b`, then `choices`, `scores` and `hidden` where they are wanted: `[b, p]`.
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
        info: info(&[b * p, p, count * p, hidden]),
        invocations: b * p,
        body: Box::new(move || {
            let which = if chosen { "u32(choices[prompt].x)" } else { "0u" };
            let value = format!("values[prompt * info[0].z + {which} * info[0].y + at]");
            let value = match hidden {
                0 => value,
                _ => format!("select(hidden[at % info[0].w], {value}, scores[prompt] > 0.0)"),
            };
            format!(
                "{}  if (index >= info[0].x) {{ return; }}
  let prompt = index / info[0].y;
  let at = index % info[0].y;
  out[index] = {value};
}}
",
                entry()
            )
        }),
    }
}
