//! 2x2 max pooling of stride 2 (`sam2.modeling.backbones.hieradet.do_pool`).

use crate::kernel::{Kernel, entry, info, vec4};

/// `x` `[b, h, w, c]` to `[b, h/2, w/2, c]`. `h` and `w` are even, and `c` is a multiple of 4.
pub fn max_pool([b, h, w, c]: [usize; 4]) -> Kernel {
    assert!(
        h % 2 + w % 2 + c % 4 == 0,
        "{h} by {w} pixels of {c} channels: 2 must divide the sides, and 4 the channels"
    );
    let count = b * (h / 2) * (w / 2) * (c / 4);
    Kernel {
        key: "max_pool".into(),
        inputs: vec![vec4("x")],
        output: "vec4<f32>",
        info: info([("invocations", count), ("c", c / 4), ("out_w", w / 2)]),
        invocations: count,
        body: Box::new(|| {
            entry()
                + "
  let c = info.c;
  let w = info.out_w;
  if (index >= info.invocations) { return; }
  let pixel = index / c;
  // Two rows of the input make one row of the output, in all pictures one after another.
  let corner = (pixel / w * 4u * w + pixel % w * 2u) * c + index % c;
  let below = corner + 2u * w * c;
  out[index] = max(max(x[corner], x[corner + c]), max(x[below], x[below + c]));
}
"
        }),
    }
}
