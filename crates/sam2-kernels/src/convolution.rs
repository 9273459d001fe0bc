//! Convolutions of channels-last pictures (`torch.nn.Conv2d`): dense ones of few channels, such as the stems of `timm`'s
//! RepViT and EfficientNet, and depthwise ones, with as many groups as channels, as in
//! `sam2.modeling.memory_encoder.CXBlock`.

use std::fmt::Write;

use crate::Steps;
use crate::kernel::{Input, Kernel, entry, info, vec4};

/// The number of neighbouring pixels of a row that an invocation computes, for four channels each.
const PIXELS: usize = 4;

/// The channels of the input that a channel of the output reads.
#[derive(Clone, Copy, PartialEq)]
enum Reads {
    All,
    Its,
}

/// `x` `[b, h, w, input]`, `weight` `[side, side, input, c]` and `bias` `[c]` to `[b, h / stride, w / stride, c]`. `stride`
/// divides `h` and `w`, and `c` is a multiple of 4.
pub fn convolution([b, h, w, input]: [usize; 4], side: usize, c: usize, steps: Steps) -> Kernel {
    kernel(Reads::All, [b, h, w, input], side, c, steps)
}

/// `x` `[b, h, w, c]`, `weight` `[side, side, c]` and `bias` `[c]` to `[b, h / stride, w / stride, c]`. `stride` divides `h`
/// and `w`, and `c` is a multiple of 4.
pub fn depthwise([b, h, w, c]: [usize; 4], side: usize, steps: Steps) -> Kernel {
    kernel(Reads::Its, [b, h, w, 1], side, c, steps)
}

/// The kernel for filters of `[side, side, inputs, c]`.
fn kernel(reads: Reads, [b, h, w, inputs]: [usize; 4], side: usize, c: usize, steps: Steps) -> Kernel {
    assert!(
        c.is_multiple_of(4) && h % steps.stride + w % steps.stride == 0,
        "{h} by {w} pixels to {c} channels: {} must divide the sides, and 4 the channels",
        steps.stride
    );
    let (rows, columns) = (h / steps.stride, w / steps.stride);
    let tiles = columns.div_ceil(PIXELS);
    let count = b * rows * tiles * c / 4;
    let (name, x) = match reads {
        Reads::All => ("convolution", Input("x", "f32")),
        Reads::Its => ("depthwise", vec4("x")),
    };
    Kernel {
        key: format!("{name} {side} {}", steps.key()),
        inputs: vec![x, vec4("weight"), vec4("bias")],
        output: "vec4<f32>",
        info: info([
            ("invocations", count),
            ("h", h),
            ("w", w),
            ("inputs", inputs),
            ("c", c / 4),
            ("tiles", tiles),
            ("rows", rows),
            ("columns", columns),
        ]),
        invocations: count,
        body: Box::new(move || body(reads, side, steps)),
    }
}

fn body(reads: Reads, side: usize, steps: Steps) -> String {
    let Steps { stride, padding, .. } = steps;
    // The loop over the input's channels, the value `x` of a pixel's channel, and the filters between two of a row's.
    let (inputs, zero, value, next) = match reads {
        Reads::All => (
            "for (var taken = 0u; taken < info.inputs; taken++)",
            "0.0",
            "* info.inputs + taken",
            "info.inputs * c",
        ),
        Reads::Its => ("", "vec4<f32>(0.0)", "* c + channel", "c"),
    };
    let filter = match reads {
        Reads::All => format!("(dy * {side}u * info.inputs + taken) * c + channel"),
        Reads::Its => format!("dy * {side}u * c + channel"),
    };
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
    {inputs} {{
      let taps = {filter};
      let next = {next};"
    ));
    for p in 0..stride * (PIXELS - 1) + side {
        line(format_args!(
            "      let c{p} = left + {p};
      let x{p} = select({zero}, x[u32(start + clamp(c{p}, 0, w - 1)) {value}], c{p} >= 0 && c{p} < w);"
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
