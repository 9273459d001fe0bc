//! The first step of Hiera: a 7x7 convolution of stride 4 and padding 3, from planes of pixels to channels-last tokens
//! (`sam2.modeling.backbones.utils.PatchEmbed`).

use std::fmt::Write;

use crate::kernel::{Input, Kernel, entry, info, vec4};

const KERNEL: usize = 7;
const STRIDE: usize = 4;
const PADDING: usize = 3;
/// The number of neighbouring tokens of a row that an invocation computes, for eight channels each.
const TOKENS: usize = 4;

/// Pictures `x` `[b, 3, h, w]`, `weight` `[3 * 7 * 7, c]` and `bias` `[c]` to tokens `[b, h/4, w/4, c]`, to which
/// `position` `[h/4, w/4, c]` is added. `h` is a multiple of 4, `w` of 16, and `c` of 8.
pub fn patch_embed([b, h, w]: [usize; 3], c: usize) -> Kernel {
    assert!(
        h % STRIDE + w % (TOKENS * STRIDE) + c % 8 == 0,
        "{h} by {w} pixels to {c} channels: 4 must divide the height, 16 the width, and 8 the channels"
    );
    let tokens = (h / STRIDE) * (w / STRIDE);
    let count = b * tokens * c / (TOKENS * 8);
    Kernel {
        key: "patch_embed".into(),
        inputs: vec![Input("x", "f32"), vec4("weight"), vec4("bias"), vec4("position")],
        output: "vec4<f32>",
        info: info([
            ("invocations", count),
            ("h", h),
            ("w", w),
            ("c", c / 4),
            ("position_length", tokens * c / 4),
        ]),
        invocations: count,
        body: Box::new(body),
    }
}

fn body() -> String {
    let mut text = entry()
        + "
  let h = info.h;
  let w = info.w;
  let c = info.c;
  if (index >= info.invocations) { return; }
  let pairs = c / 2u;
  let channel = index % pairs * 2u;
  let tile = index / pairs;
  let tiles = w / 16u;
  let column = tile % tiles * 4u;
  let row = tile / tiles % (h / 4u);
  let picture = tile / tiles / (h / 4u);
  let left = i32(column) * 4 - 3;
";
    for t in 0..TOKENS {
        writeln!(text, "  var a{t} = bias[channel]; var b{t} = bias[channel + 1u];").expect("text");
    }
    text += "
  for (var plane = 0u; plane < 3u; plane++) {
    for (var dy = 0u; dy < 7u; dy++) {
      let y = i32(row * 4u + dy) - 3;
      if (y < 0 || y >= i32(h)) { continue; }
      let line = i32(((picture * 3u + plane) * h + u32(y)) * w);
      let first = (plane * 49u + dy * 7u) * c + channel;
";
    // The pixels that the tokens read. Only the first can be beyond an edge, because rows consist of whole tiles.
    let span = STRIDE * (TOKENS - 1) + KERNEL;
    for p in 0..span {
        let at = format!("line + left + {p}");
        if p < PADDING {
            writeln!(
                text,
                "      let in{p} = left + {p} >= 0;
      let p{p} = select(0.0, x[u32(select(line, {at}, in{p}))], in{p});"
            )
        } else {
            writeln!(text, "      let p{p} = x[u32({at})];")
        }
        .expect("text");
    }
    for dx in 0..KERNEL {
        writeln!(
            text,
            "      let u{dx} = weight[first + {dx}u * c]; let v{dx} = weight[first + {dx}u * c + 1u];"
        )
        .expect("text");
        for t in 0..TOKENS {
            let p = STRIDE * t + dx;
            writeln!(text, "      a{t} += p{p} * u{dx}; b{t} += p{p} * v{dx};").expect("text");
        }
    }
    text += "
    }
  }
  let to = ((picture * (h / 4u) + row) * (w / 4u) + column) * c + channel;
";
    for t in 0..TOKENS {
        writeln!(
            text,
            "  let o{t} = to + {t}u * c;
  out[o{t}] = a{t} + position[o{t} % info.position_length];
  out[o{t} + 1u] = b{t} + position[(o{t} + 1u) % info.position_length];"
        )
        .expect("text");
    }
    text + "}\n"
}
