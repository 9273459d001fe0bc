//! 2x2 maximum.

use crate::kernel::{Kernel, entry, fours, info};

/// `x` `[b, h, w, c]` to `[b, h/2, w/2, c]`; `h` and `w` are even, and 4 divides `c`.
pub fn max_pool([b, h, w, c]: [usize; 4]) -> Kernel {
    assert!(h % 2 + w % 2 + c % 4 == 0, "{h} by {w}, {c} channels");
    let count = b * (h / 2) * (w / 2) * (c / 4);
    Kernel {
        key: "max_pool".into(),
        inputs: vec![fours("x")],
        output: "vec4<f32>",
        info: info(&[count, c / 4, w / 2]),
        invocations: count,
        body: Box::new(|| {
            entry()
                + "
  let c = info[0].y;
  let w = info[0].z;
  if (index >= info[0].x) { return; }
  let pixel = index / c;
  // Rows of the output are whole, so pairs of input rows follow one another over all pictures.
  let corner = (pixel / w * 4u * w + pixel % w * 2u) * c + index % c;
  let below = corner + 2u * w * c;
  out[index] = max(max(x[corner], x[corner + c]), max(x[below], x[below + c]));
}
"
        }),
    }
}
