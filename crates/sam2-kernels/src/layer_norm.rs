//! Layer normalisation, a row an invocation.

use crate::activation::Activation;
use crate::kernel::{Kernel, entry, fours, info};

/// `x` `[rows, c]` with `weight` and `bias` `[c]` to the same, then `activation`. 4 divides `c`.
pub fn layer_norm(rows: usize, c: usize, eps: f64, activation: Activation) -> Kernel {
    assert!(c.is_multiple_of(4), "{c} channels");
    Kernel {
        key: format!("layer_norm {eps:e} {activation:?}"),
        inputs: vec![fours("x"), fours("weight"), fours("bias")],
        output: "vec4<f32>",
        info: info(&[rows, c / 4]),
        invocations: rows,
        body: Box::new(move || {
            let text = "
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
";
            activation.text().to_owned() + &entry() + &text.replace("EPS", &format!("{eps:e}"))
        }),
    }
}
