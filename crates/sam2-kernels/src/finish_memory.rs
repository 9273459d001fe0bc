//! The last step of encoding a memory: the embedding that is added if the object is not visible, and the rounding to
//! bfloat16, in which `sam2.sam2_video_predictor` keeps memories.

use crate::kernel::{Input, Kernel, entry, info, vec4};

/// `x` `[rows, c]`, plus `absent` `[c]` if `score` `[1]` is not positive, to `[rows, c]`. Values are rounded to bfloat16
/// (to the nearest, ties to even), and stay f32. `c` is a multiple of 4.
pub fn finish_memory(rows: usize, c: usize) -> Kernel {
    assert!(c.is_multiple_of(4), "{c} channels, which 4 must divide");
    let count = rows * c / 4;
    Kernel {
        key: "finish_memory".into(),
        inputs: vec![vec4("x"), vec4("absent"), Input("score", "f32")],
        output: "vec4<f32>",
        info: info([("invocations", count), ("c", c / 4)]),
        invocations: count,
        body: Box::new(|| {
            entry()
                + "  if (index >= info.invocations) { return; }
  let v = x[index] + absent[index % info.c] * f32(score[0] <= 0.0);
  let bits = bitcast<vec4<u32>>(v);
  let even = (bits >> vec4<u32>(16u)) & vec4<u32>(1u);
  out[index] = bitcast<vec4<f32>>((bits + even + vec4<u32>(0x7fffu)) & vec4<u32>(0xffff0000u));
}
"
        }),
    }
}
