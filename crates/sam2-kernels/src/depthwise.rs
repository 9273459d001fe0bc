//! Depthwise convolutions of channels-last pictures (`torch.nn.Conv2d` with as many groups as channels, as in
//! `sam2.modeling.memory_encoder.CXBlock`).

use std::fmt::Write;

use crate::Steps;
use crate::kernel::{Kernel, entry, info, vec4};

/// The number of neighbouring pixels of a row that an invocation computes, for four channels each.
const PIXELS: usize = 4;

/// `x` `[b, h, w, c]`, `weight` `[side, side, c]` and `bias` `[c]` to `[b, h / stride, w / stride, c]`. `stride` divides `h`
/// and `w`, and `c` is a multiple of 4.
pub fn depthwise([b, h, w, c]: [usize; 4], side: usize, steps: Steps) -> Kernel {
    assert!(
        c.is_multiple_of(4) && h % steps.stride + w % steps.stride == 0,
        "{h} by {w} pixels of {c} channels: {} must divide the sides, and 4 the channels",
        steps.stride
    );
    let (rows, columns) = (h / steps.stride, w / steps.stride);
    let tiles = columns.div_ceil(PIXELS);
    let count = b * rows * tiles * c / 4;
    Kernel {
        key: format!("depthwise {side} {}", steps.key()),
        inputs: vec![vec4("x"), vec4("weight"), vec4("bias")],
        output: "vec4<f32>",
        info: info([
            ("invocations", count),
            ("h", h),
            ("w", w),
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
  let h = i32(info.h);
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
        "  for (var dy = 0; dy < {side}; dy++) {{
    let y = i32(row * {stride}u) + dy - {padding};
    if (y < 0 || y >= h) {{ continue; }}
    let start = (i32(picture) * h + y) * w;
    let taps = u32(dy) * {side}u * c + channel;"
    ));
    for p in 0..stride * (PIXELS - 1) + side {
        line(format_args!(
            "    let c{p} = left + {p};
    let x{p} = select(vec4<f32>(0.0), x[u32(start + clamp(c{p}, 0, w - 1)) * c + channel], c{p} >= 0 && c{p} < w);"
        ));
    }
    for dx in 0..side {
        line(format_args!("    let t{dx} = weight[taps + {dx}u * c];"));
        for p in 0..PIXELS {
            line(format_args!("    a{p} += x{} * t{dx};", p * stride + dx));
        }
    }
    line(format_args!("  }}"));
    for p in 0..PIXELS {
        line(format_args!(
            "  if (column + {p}u < info.columns) {{ out[(lines * info.columns + column + {p}u) * c + channel] = activate(a{p}); }}"
        ));
    }
    line(format_args!("}}"));
    text
}
