//! The last of a memory, and how memories become a bank.

use std::fmt::Write;

use crate::kernel::{Input, Kernel, entry, fours, info};

/// `x` `[rows, c]`, plus `absent` `[c]` where `score` `[1]` is not positive, to the nearest numbers that bfloat16 has, of
/// two equally near ones the even one; still as f32. 4 divides `c`.
pub fn finish_memory(rows: usize, c: usize) -> Kernel {
    assert!(c.is_multiple_of(4), "{c} channels");
    let count = rows * c / 4;
    Kernel {
        key: "finish_memory".into(),
        inputs: vec![fours("x"), fours("absent"), Input("score", "f32")],
        output: "vec4<f32>",
        info: info(&[count, c / 4]),
        invocations: count,
        body: Box::new(|| {
            entry()
                + "  if (index >= info[0].x) { return; }
  let v = x[index] + absent[index % info[0].y] * f32(score[0] <= 0.0);
  let bits = bitcast<vec4<u32>>(v);
  let even = (bits >> vec4<u32>(16u)) & vec4<u32>(1u);
  out[index] = bitcast<vec4<f32>>((bits + even + vec4<u32>(0x7fffu)) & vec4<u32>(0xffff0000u));
}
"
        }),
    }
}

/// Buffers that [`join`] takes at once.
pub const JOINED: usize = 5;

/// One of the buffers that are joined.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// Its rows.
    pub rows: usize,
    /// Which row of `temporal` is added to its rows.
    pub time: Option<usize>,
}

/// The rows, `c` wide, of up to [`JOINED`] buffers one after another, into the output from row `first` on; the rest of it
/// is left as it is. With `positions`, the number of rows of another buffer, its row `i` modulo this number is added to
/// each part's row `i`, and one row of `temporal` to a whole part. The last buffer stands in for those that are missing. 4 divides `c`.
pub fn join(parts: &[Part], c: usize, first: usize, positions: Option<usize>) -> Kernel {
    assert!(
        c.is_multiple_of(4) && (1..=JOINED).contains(&parts.len()),
        "{} parts, {c} wide",
        parts.len()
    );
    let mut inputs: Vec<Input> = ["x0", "x1", "x2", "x3", "x4"].map(fours).to_vec();
    if positions.is_some() {
        inputs.extend([fours("spatial"), fours("temporal")]);
    }
    let c = c / 4;
    let count = parts.iter().map(|part| part.rows).sum::<usize>() * c;
    let mut sizes = vec![count, first * c, c, positions.unwrap_or(1) * c];
    // Of each part how long it is, and its time.
    for i in 0..JOINED {
        let part = parts.get(i).copied().unwrap_or_default();
        sizes.extend([part.rows * c, part.time.map_or(0, |time| time + 1)]);
    }
    Kernel {
        key: format!("join {}", positions.is_some()),
        inputs,
        output: "vec4<f32>",
        info: info(&sizes),
        invocations: count,
        body: Box::new(move || {
            let mut text = entry();
            text += "  if (index >= info[0].x) { return; }
  var at = index;
  var value = vec4<f32>(0.0);
  var time = 0u;
  var found = false;
";
            for i in 0..JOINED {
                let word = |j: usize| {
                    format!(
                        "info[{}].{}",
                        1 + (2 * i + j) / 4,
                        ["x", "y", "z", "w"][(2 * i + j) % 4]
                    )
                };
                writeln!(
                    text,
                    "  if (!found) {{
    found = at < {length};
    if (found) {{ value = x{i}[at]; time = {time}; }} else {{ at -= {length}; }}
  }}",
                    length = word(0),
                    time = word(1),
                )
                .expect("text");
            }
            if positions.is_some() {
                text += "  value += spatial[at % info[0].w];
  if (time > 0u) { value += temporal[(time - 1u) * info[0].z + at % info[0].z]; }
";
            }
            text + "  out[info[0].y + index] = value;
}
"
        }),
    }
}
