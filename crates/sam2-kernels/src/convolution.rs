//! Dense convolutions of channels-last pictures with few channels (`torch.nn.Conv2d`), such as the stems of `timm`'s RepViT
//! and EfficientNet.

use std::fmt::Write;

use crate::Steps;
use crate::kernel::{Input, Kernel, entry, info, vec4};

/// The number of neighbouring pixels of a row that an invocation computes, for four channels each.
const PIXELS: usize = 4;

/// `x` `[b, h, w, input]`, `weight` `[side, side, input, c]` and `bias` `[c]` to `[b, h / stride, w / stride, c]`. `stride`
/// divides `h` and `w`, and `c` is a multiple of 4.
pub fn convolution([b, h, w, input]: [usize; 4], side: usize, c: usize, steps: Steps) -> Kernel {
    assert!(
        c.is_multiple_of(4) && h % steps.stride + w % steps.stride == 0,
        "{h} by {w} pixels to {c} channels: {} must divide the sides, and 4 the channels",
        steps.stride
    );
    let (rows, columns) = (h / steps.stride, w / steps.stride);
    let tiles = columns.div_ceil(PIXELS);
    let count = b * rows * tiles * c / 4;
    Kernel {
        key: format!("convolution {side} {}", steps.key()),
        inputs: vec![Input("x", "f32"), vec4("weight"), vec4("bias")],
        output: "vec4<f32>",
        info: info([
            ("invocations", count),
            ("h", h),
            ("w", w),
            ("inputs", input),
            ("c", c / 4),
            ("tiles", tiles),
            ("rows", rows),
            ("columns", columns),
        ]),
        invocations: count,
        body: Box::new(move || body(side, steps)),
    }
}

fn body(side: usize, steps: Steps) -> String {
    let Steps { stride, padding, .. } = steps;
    let mut text = String::from(steps.activation.text()) + &entry();
    let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
    line(format_args!(
        "  if (index >= info.invocations) {{ return; }}
  let w = i32(info.w);
  let c = info.c;
  let channel = index % c;
  let tile = index / c;
  let column = tile % info.tiles * {PIXELS}u;
  let lines = tile / info.tiles;
  let row = lines % info.rows;
  let picture = lines / info.rows;
  let left = i32(column * {stride}u) - {padding};"
    ));
    for p in 0..PIXELS {
        line(format_args!("  var a{p} = bias[channel];"));
    }
    line(format_args!(
        "  for (var dy = 0u; dy < {side}u; dy++) {{
    let y = i32(row * {stride}u + dy) - {padding};
    if (y < 0 || y >= i32(info.h)) {{ continue; }}
    let start = i32(picture * info.h + u32(y)) * w;
    for (var taken = 0u; taken < info.inputs; taken++) {{
      let taps = (dy * {side}u * info.inputs + taken) * c + channel;
      let next = info.inputs * c;"
    ));
    let span = stride * (PIXELS - 1) + side;
    for p in 0..span {
        line(format_args!(
            "      let c{p} = left + {p};
      let x{p} = select(0.0, x[u32(start + clamp(c{p}, 0, w - 1)) * info.inputs + taken], c{p} >= 0 && c{p} < w);"
        ));
    }
    for dx in 0..side {
        line(format_args!("      let t{dx} = weight[taps + {dx}u * next];"));
        for p in 0..PIXELS {
            line(format_args!("      a{p} += x{} * t{dx};", p * stride + dx));
        }
    }
    line(format_args!("    }}\n  }}"));
    for p in 0..PIXELS {
        line(format_args!(
            "  if (column + {p}u < info.columns) {{ out[(lines * info.columns + column + {p}u) * c + channel] = activate(a{p}); }}"
        ));
    }
    line(format_args!("}}"));
    text
}
