//! Layer normalisation.

use crate::activation::Activation;
use crate::adapter::AdapterClass;
use crate::kernel::{GROUP, Kernel, entry, fours, group_entry, info};

/// Invocations of a row on a real GPU. They read neighbouring values, which one invocation a row would not.
const LANES: usize = 8;

/// `x` `[rows, c]` with `weight` and `bias` `[c]` to the same, then `activation`. 4 divides `c`.
pub fn layer_norm(rows: usize, c: usize, eps: f64, activation: Activation, class: AdapterClass) -> Kernel {
    assert!(c.is_multiple_of(4), "{c} channels");
    let shared = class == AdapterClass::Hardware;
    Kernel {
        key: format!("layer_norm {eps:e} {activation:?} {shared}"),
        inputs: vec![fours("x"), fours("weight"), fours("bias")],
        output: "vec4<f32>",
        info: info(&[rows, c / 4]),
        invocations: if shared { rows * LANES } else { rows },
        body: Box::new(move || {
            let body = if shared { by_lanes() } else { alone() };
            activation.text().to_owned() + &body.replace("EPS", &format!("{eps:e}"))
        }),
    }
}

/// A row an invocation.
fn alone() -> String {
    entry()
        + "
  let c = info[0].y;
  if (index >= info[0].x) { return; }
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

/// A row several invocations, which tell each other their sums.
fn by_lanes() -> String {
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
  let c = info[0].y;
  let row = group * (GROUP / LANES) + local / LANES;
  let lane = local % LANES;
  // Rows beyond the last are computed from the last and not written: barriers are for all.
  let base = min(row, info[0].x - 1u) * c;
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
  if (row >= info[0].x) { return; }
  for (var i = lane; i < c; i += LANES) {
    out[base + i] = activate((x[base + i] - mean) * factor * weight[i] + bias[i]);
  }
}
";
    text.replace("ENTRY", &group_entry())
        .replace("GROUP", &format!("{GROUP}u"))
        .replace("LANES", &format!("{LANES}u"))
}
