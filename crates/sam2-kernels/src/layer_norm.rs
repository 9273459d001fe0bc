//! Layer normalisation over the last dimension (`torch.nn.LayerNorm`, or `sam2.modeling.sam2_utils.LayerNorm2d` on
//! channels-last pictures).

use crate::activation::Activation;
use crate::adapter::AdapterClass;
use crate::kernel::{GROUP, Kernel, entry, group_entry, info, vec4};

/// The number of invocations that share a row on a real GPU, so that neighbouring invocations read neighbouring values.
const LANES: usize = 8;

/// activation((x - mean) / √(variance + eps) · weight + bias): `x` `[rows, c]`, `weight` and `bias` `[c]`, to `[rows,
/// c]`. `c` is a multiple of 4.
pub fn layer_norm(rows: usize, c: usize, eps: f64, activation: Activation, class: AdapterClass) -> Kernel {
    assert!(c.is_multiple_of(4), "{c} channels, which 4 must divide");
    let shared = class == AdapterClass::Hardware;
    Kernel {
        key: format!("layer_norm {eps:e} {activation:?} {shared}"),
        inputs: vec![vec4("x"), vec4("weight"), vec4("bias")],
        output: "vec4<f32>",
        info: info([("rows", rows), ("c", c / 4)]),
        invocations: if shared { rows * LANES } else { rows },
        body: Box::new(move || {
            let body = if shared { shared_rows() } else { lone_rows() };
            activation.text().to_owned() + &body.replace("EPS", &format!("{eps:e}"))
        }),
    }
}

/// Each invocation computes one row.
fn lone_rows() -> String {
    entry()
        + "
  let c = info.c;
  if (index >= info.rows) { return; }
  let base = index * c;
  let count = f32(4u * c);
  var sums = vec4<f32>(0.0);
  for (var i = 0u; i < c; i++) { sums += x[base + i]; }
  let mean = dot(sums, vec4<f32>(1.0)) / count;
  var squares = vec4<f32>(0.0);
  for (var i = 0u; i < c; i++) {
    let d = x[base + i] - mean;
    squares += d * d;
  }
  let factor = 1.0 / sqrt(dot(squares, vec4<f32>(1.0)) / count + EPS);
  for (var i = 0u; i < c; i++) {
    out[base + i] = activate((x[base + i] - mean) * factor * weight[i] + bias[i]);
  }
}
"
}

/// Several invocations share each row and exchange their sums through workgroup memory.
fn shared_rows() -> String {
    let text = "
var<workgroup> parts: array<f32, GROUP>;
fn sum(local: u32, part: f32) -> f32 {
  workgroupBarrier();
  parts[local] = part;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) { sum += parts[local / LANES * LANES + i]; }
  return sum;
}
ENTRY
  let c = info.c;
  let row = group * (GROUP / LANES) + local / LANES;
  let lane = local % LANES;
  // Rows beyond the last are computed from the last and not written, as all invocations must reach the barriers.
  let base = min(row, info.rows - 1u) * c;
  let count = f32(4u * c);
  var sums = vec4<f32>(0.0);
  for (var i = lane; i < c; i += LANES) { sums += x[base + i]; }
  let mean = sum(local, dot(sums, vec4<f32>(1.0))) / count;
  var squares = vec4<f32>(0.0);
  for (var i = lane; i < c; i += LANES) {
    let d = x[base + i] - mean;
    squares += d * d;
  }
  let factor = 1.0 / sqrt(sum(local, dot(squares, vec4<f32>(1.0))) / count + EPS);
  if (row >= info.rows) { return; }
  for (var i = lane; i < c; i += LANES) {
    out[base + i] = activate((x[base + i] - mean) * factor * weight[i] + bias[i]);
  }
}
";
    text.replace("ENTRY", &group_entry())
        .replace("GROUP", &format!("{GROUP}u"))
        .replace("LANES", &format!("{LANES}u"))
}
