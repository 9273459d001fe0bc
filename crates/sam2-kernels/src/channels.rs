//! Means and factors of a picture's channels (squeeze-and-excitation, `timm.layers.SqueezeExcite`).

use crate::kernel::{Kernel, entry, info, vec4};

/// `x` `[b, pixels, c]` to `[b, parts, c]`: part `i` is the sum of the pixels `i`, `i + parts`, `i + 2 parts`, …, divided by
/// `divisor`. `c` is a multiple of 4. Few parts of a large picture would occupy few invocations, so a mean is computed in two
/// steps.
pub fn channel_sums([b, pixels, c]: [usize; 3], parts: usize, divisor: usize) -> Kernel {
    assert!(c.is_multiple_of(4), "{c} channels: 4 must divide them");
    let count = b * parts * c / 4;
    Kernel {
        key: "channel_sums".into(),
        inputs: vec![vec4("x")],
        output: "vec4<f32>",
        info: info([
            ("invocations", count),
            ("pixels", pixels),
            ("parts", parts),
            ("divisor", divisor),
            ("c", c / 4),
        ]),
        invocations: count,
        body: Box::new(|| {
            entry()
                + "
  if (index >= info.invocations) { return; }
  let c = info.c;
  let channel = index % c;
  let part = index / c % info.parts;
  let picture = index / c / info.parts;
  var sum = vec4<f32>(0.0);
  for (var pixel = part; pixel < info.pixels; pixel += info.parts) {
    sum += x[(picture * info.pixels + pixel) * c + channel];
  }
  out[index] = sum / f32(info.divisor);
}
"
        }),
    }
}

/// `x` `[b, pixels, c]`, each channel of each picture multiplied by one of `factors` `[b, c]`. `c` is a multiple of 4.
pub fn scale_channels([b, pixels, c]: [usize; 3]) -> Kernel {
    assert!(c.is_multiple_of(4), "{c} channels: 4 must divide them");
    let count = b * pixels * c / 4;
    Kernel {
        key: "scale_channels".into(),
        inputs: vec![vec4("x"), vec4("factors")],
        output: "vec4<f32>",
        info: info([("invocations", count), ("pixels", pixels), ("c", c / 4)]),
        invocations: count,
        body: Box::new(|| {
            entry()
                + "
  if (index >= info.invocations) { return; }
  let c = info.c;
  let picture = index / c / info.pixels;
  out[index] = x[index] * factors[picture * c + index % c];
}
"
        }),
    }
}
