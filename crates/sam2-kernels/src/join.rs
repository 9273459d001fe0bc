//! Joins memories and object pointers, with their position encodings, to one memory bank
//! (`sam2.modeling.sam2_base.SAM2Base._prepare_memory_conditioned_features`).

use std::fmt::Write;

use crate::kernel::{Input, Kernel, entry, info, vec4};

/// The most buffers that [`join`] takes at once. With the two position encodings and the output, these are eight storage
/// buffers, which is WebGPU's default limit for a kernel.
pub const JOINED: usize = 5;

/// One of the buffers that are joined.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// The number of its rows.
    pub rows: usize,
    /// The row of `temporal` that is added to all of its rows.
    pub time: Option<usize>,
}

/// Copies the rows of up to [`JOINED`] buffers, `c` wide, one after another into the output, from its row `first` on. The
/// other rows of the output do not change. Every missing buffer is bound to a placeholder, which is not read.
///
/// `positions` is the number of rows of the input `spatial`. With it, row `i` modulo this number is added to row `i` of
/// each part, and the row of `temporal` that [`Part::time`] names is added to the whole part. `c` is a multiple of 4.
pub fn join(parts: &[Part], c: usize, first: usize, positions: Option<usize>) -> Kernel {
    assert!(
        c.is_multiple_of(4) && (1..=JOINED).contains(&parts.len()),
        "{} parts of rows of {c} values: 1 to {JOINED} parts are joined, of rows that 4 divides",
        parts.len()
    );
    let mut inputs: Vec<Input> = ["x0", "x1", "x2", "x3", "x4"].map(vec4).to_vec();
    if positions.is_some() {
        inputs.extend([vec4("spatial"), vec4("temporal")]);
    }
    let c = c / 4;
    let count = parts.iter().map(|part| part.rows).sum::<usize>() * c;
    let part = |i: usize| parts.get(i).copied().unwrap_or_default();
    let length = |i: usize| part(i).rows * c;
    // 0 means none, so the rows of `temporal` are counted from 1.
    let time = |i: usize| part(i).time.map_or(0, |time| time + 1);
    Kernel {
        key: format!("join {}", positions.is_some()),
        inputs,
        output: "vec4<f32>",
        info: info([
            ("invocations", count),
            ("first", first * c),
            ("c", c),
            ("spatial_length", positions.unwrap_or(1) * c),
            ("length0", length(0)),
            ("time0", time(0)),
            ("length1", length(1)),
            ("time1", time(1)),
            ("length2", length(2)),
            ("time2", time(2)),
            ("length3", length(3)),
            ("time3", time(3)),
            ("length4", length(4)),
            ("time4", time(4)),
        ]),
        invocations: count,
        body: Box::new(move || {
            let mut text = entry();
            text += "  if (index >= info.invocations) { return; }
  var at = index;
  var value = vec4<f32>(0.0);
  var time = 0u;
  var found = false;
";
            for i in 0..JOINED {
                writeln!(
                    text,
                    "  if (!found) {{
    found = at < info.length{i};
    if (found) {{ value = x{i}[at]; time = info.time{i}; }} else {{ at -= info.length{i}; }}
  }}"
                )
                .expect("text");
            }
            if positions.is_some() {
                text += "  value += spatial[at % info.spatial_length];
  if (time > 0u) { value += temporal[(time - 1u) * info.c + at % info.c]; }
";
            }
            text + "  out[info.first + index] = value;
}
"
        }),
    }
}
