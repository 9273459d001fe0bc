//! Depthwise convolutions of channels-last pictures (`torch.nn.Conv2d` with as many groups as channels, as in
//! `sam2.modeling.memory_encoder.CXBlock`).

use std::fmt::Write;

use crate::kernel::{Kernel, entry, info, vec4};

/// The number of neighbouring pixels of a row that an invocation computes, for four channels each.
const PIXELS: usize = 4;

/// `x` `[b, h, w, c]`, `weight` `[side, side, c]` and `bias` `[c]` to `[b, h, w, c]`. The picture is padded with zeros.
/// `side` is odd, and `c` is a multiple of 4.
pub fn depthwise([b, h, w, c]: [usize; 4], side: usize) -> Kernel {
    assert!(
        c.is_multiple_of(4) && side % 2 == 1,
        "{c} channels and a side of {side}: 4 must divide the channels, and the side must be odd"
    );
    let tiles = w.div_ceil(PIXELS);
    let count = b * h * tiles * c / 4;
    Kernel {
        key: format!("depthwise {side}"),
        inputs: vec![vec4("x"), vec4("weight"), vec4("bias")],
        output: "vec4<f32>",
        info: info([
            ("invocations", count),
            ("h", h),
            ("w", w),
            ("c", c / 4),
            ("tiles", tiles),
        ]),
        invocations: count,
        body: Box::new(move || body(side)),
    }
}

fn body(side: usize) -> String {
    let half = side / 2;
    let mut text = entry();
    let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
    line(format_args!(
        "  if (index >= info.invocations) {{ return; }}
  let h = i32(info.h);
  let w = i32(info.w);
  let c = info.c;
  let channel = index % c;
  let tile = index / c;
  let column = i32(tile % info.tiles) * {PIXELS};
  let lines = i32(tile / info.tiles);
  let row = lines % h;"
    ));
    for p in 0..PIXELS {
        line(format_args!("  var a{p} = bias[channel];"));
    }
    line(format_args!(
        "  for (var dy = 0; dy < {side}; dy++) {{
    let y = row + dy - {half};
    if (y < 0 || y >= h) {{ continue; }}
    let start = (lines + dy - {half}) * w;
    let taps = u32(dy) * {side}u * c + channel;"
    ));
    for p in 0..PIXELS + side - 1 {
        line(format_args!(
            "    let c{p} = column + {p} - {half};
    let x{p} = select(vec4<f32>(0.0), x[u32(start + clamp(c{p}, 0, w - 1)) * c + channel], c{p} >= 0 && c{p} < w);"
        ));
    }
    for dx in 0..side {
        line(format_args!("    let t{dx} = weight[taps + {dx}u * c];"));
        for p in 0..PIXELS {
            line(format_args!("    a{p} += x{} * t{dx};", p + dx));
        }
    }
    line(format_args!("  }}"));
    for p in 0..PIXELS {
        line(format_args!(
            "  if (column + {p} < w) {{ out[u32(lines * w + column + {p}) * c + channel] = a{p}; }}"
        ));
    }
    line(format_args!("}}"));
    text
}
