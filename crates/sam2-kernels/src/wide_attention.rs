//! softmax(q kᵀ) v of one wide head over very many keys, such as those of a memory bank, without holding all scores. It is
//! the attention of `sam2.modeling.sam.transformer.RoPEAttention`, whose scale and rotation are applied before.
//!
//! On a real GPU a workgroup takes 32 queries through all keys, 32 at a time: their scores are products of tiles in
//! workgroup memory, and each query's maximum and sum are kept up (as in FlashAttention, Dao et al. 2022). Elsewhere there
//! are no barriers, and each invocation takes a few queries.

use std::fmt::Write;

use crate::adapter::AdapterClass;
use crate::kernel::{GROUP, Kernel, entry, group_entry, info, vec4};
use crate::online_softmax::next_keys;

/// How many queries and how many keys a workgroup's tile has.
const TILE: usize = 32;
/// How many vectors of four values of each query and key are in workgroup memory at once.
const SLICE: usize = 4;
/// How many queries and keys an invocation takes at once where it works alone.
const QUERIES: usize = 4;
const KEYS: usize = 4;

/// Which of all keys a launch reads. Keys that are too many for one buffer come in several parts, and each launch
/// continues the softmax of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPart {
    /// Whether these are the first keys. Otherwise the output of the launch before is the last input.
    pub first: bool,
    /// Whether these are the last keys. Otherwise the output is not yet divided by the sum of the weights, and each row
    /// ends with the softmax's state so far.
    pub last: bool,
}

impl KeyPart {
    /// All keys at once.
    pub const WHOLE: Self = Self {
        first: true,
        last: true,
    };

    /// The number of f32 values in a row of the output, where the attention's values have a width of `values`.
    pub fn row(self, values: usize) -> usize {
        match self.last {
            true => values,
            false => values + STATE,
        }
    }
}

/// The number of f32 values of the softmax's state: the largest score so far, one or two partial sums of the weights, and
/// zeros up to a vector of four.
const STATE: usize = 4;

/// `q` `[n, width]`, already scaled by 1 / √d, `k` `[m, width]` and `v` `[m, values]` to `[n, values]`. 4 divides both
/// widths.
pub fn wide_attention(
    [n, m]: [usize; 2],
    width: usize,
    values: usize,
    part: KeyPart,
    class: AdapterClass,
) -> Kernel {
    assert!(
        width.is_multiple_of(4) && values.is_multiple_of(4),
        "widths of {width} and {values}, which 4 must divide"
    );
    // In a workgroup each invocation holds one column of four values, so there must be as many invocations.
    let shared = class == AdapterClass::Hardware && values / 4 <= GROUP as usize;
    let invocations = match shared {
        true => n.div_ceil(TILE) * GROUP as usize,
        false => n.div_ceil(QUERIES),
    };
    let values = values / 4;
    let mut inputs = vec![vec4("q"), vec4("k"), vec4("v")];
    if !part.first {
        inputs.push(vec4("before"));
    }
    Kernel {
        key: format!("wide_attention {shared} {values} {part:?}"),
        inputs,
        output: "vec4<f32>",
        info: info([("n", n), ("m", m), ("width", width / 4)]),
        invocations,
        body: Box::new(move || match shared {
            true => shared_keys(values, part),
            false => lone_queries(values, part),
        }),
    }
}

/// Each invocation takes its own queries. `values` is counted in vectors of four, as in all that follows.
fn lone_queries(values: usize, part: KeyPart) -> String {
    let row = values + STATE / 4;
    let mut text = entry();
    let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
    line(format_args!(
        "  let n = info.n;
  let m = info.m;
  let width = info.width;
  let first = index * {QUERIES}u;
  if (first >= n) {{ return; }}"
    ));
    for i in 0..QUERIES {
        line(format_args!(
            "  let q{i} = min(first + {i}u, n - 1u) * width;
  var m{i} = -1e30; var l{i} = 0.0; var a{i}: array<vec4<f32>, {values}>;"
        ));
        if !part.first {
            line(format_args!(
                "  let b{i} = min(first + {i}u, n - 1u) * {row}u;
  m{i} = before[b{i} + {values}u].x; l{i} = before[b{i} + {values}u].y;
  for (var c = 0u; c < {values}u; c++) {{ a{i}[c] = before[b{i} + c]; }}"
            ));
        }
    }
    line(format_args!("  for (var key = 0u; key < m; key += {KEYS}u) {{"));
    for j in 0..KEYS {
        line(format_args!("    let t{j} = min(key + {j}u, m - 1u);"));
        for i in 0..QUERIES {
            line(format_args!("    var s{i}_{j} = 0.0;"));
        }
    }
    line(format_args!("    for (var c = 0u; c < width; c++) {{"));
    for i in 0..QUERIES {
        line(format_args!("      let x{i} = q[q{i} + c];"));
    }
    for j in 0..KEYS {
        line(format_args!("      let y{j} = k[t{j} * width + c];"));
        for i in 0..QUERIES {
            line(format_args!("      s{i}_{j} += dot(x{i}, y{j});"));
        }
    }
    line(format_args!("    }}"));
    for i in 0..QUERIES {
        for j in 1..KEYS {
            // Beyond the last key it is taken again, with no weight.
            line(format_args!(
                "    s{i}_{j} = select(-1e30, s{i}_{j}, key + {j}u < m);"
            ));
        }
        line(format_args!("{}", next_keys(i, KEYS)));
    }
    line(format_args!("    for (var c = 0u; c < {values}u; c++) {{"));
    for j in 0..KEYS {
        line(format_args!("      let v{j} = v[t{j} * {values}u + c];"));
    }
    for i in 0..QUERIES {
        let sum = (0..KEYS).fold(format!("a{i}[c] * f{i}"), |text, j| {
            format!("{text} + p{i}_{j} * v{j}")
        });
        line(format_args!("      a{i}[c] = {sum};"));
    }
    line(format_args!("    }}\n  }}"));
    for i in 0..QUERIES {
        let write = match part.last {
            true => format!(
                "for (var c = 0u; c < {values}u; c++) {{ out[(first + {i}u) * {values}u + c] = a{i}[c] / l{i}; }}"
            ),
            false => format!(
                "for (var c = 0u; c < {values}u; c++) {{ out[(first + {i}u) * {row}u + c] = a{i}[c]; }}
    out[(first + {i}u) * {row}u + {values}u] = vec4<f32>(m{i}, l{i}, 0.0, 0.0);"
            ),
        };
        line(format_args!("  if (first + {i}u < n) {{\n    {write}\n  }}"));
    }
    line(format_args!("}}"));
    text
}

/// Each workgroup takes a tile of queries.
fn shared_keys(values: usize, part: KeyPart) -> String {
    let row_width = values + STATE / 4;
    // Of the output each invocation computes one column of some rows.
    let columns = values.next_power_of_two().max(2);
    let rows = TILE * columns / GROUP as usize;
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
    // In a slice the same vector of all rows lies together, first that of rows 0, 4, 8 and so on, then that of rows 1, 5, 9
    // and so on, so that neighbouring invocations read neighbouring values.
    line(format_args!(
        "var<workgroup> qs: array<vec4<f32>, {slice}>;
var<workgroup> ks: array<vec4<f32>, {slice}>;
var<workgroup> weights: array<vec4<f32>, {scores}>;
var<workgroup> factors: array<f32, {TILE}>;
var<workgroup> halves: array<f32, {GROUP}>;
{}  let n = info.n;
  let m = info.m;
  let width = info.width;
  let top = group * {TILE}u;
  // Of the scores an invocation computes 4 x 4; in the softmax it has half a row.
  let ty = local / 8u;
  let tx = local % 8u;
  let half = local / 2u * 8u + local % 2u * 4u;
  var largest = -1e30;
  var sum = 0.0;
  let column = local % {columns}u;
  let row = local / {columns}u * {rows}u;",
        group_entry(),
        slice = TILE * SLICE,
        scores = TILE * TILE / 4,
    ));
    for r in 0..rows {
        line(format_args!("  var a{r} = vec4<f32>(0.0);"));
    }
    if !part.first {
        line(format_args!(
            "  let softmax = before[min(top + local / 2u, n - 1u) * {row_width}u + {values}u];
  largest = softmax.x;
  sum = select(softmax.z, softmax.y, local % 2u == 0u);"
        ));
        for r in 0..rows {
            line(format_args!(
                "  a{r} = before[min(top + row + {r}u, n - 1u) * {row_width}u + min(column, {values}u - 1u)];"
            ));
        }
    }
    line(format_args!(
        "  for (var first = 0u; first < m; first += {TILE}u) {{"
    ));
    for r in 0..4 {
        for j in 0..4 {
            line(format_args!("    var s{r}_{j} = 0.0;"));
        }
    }
    line(format_args!(
        "    for (var slice = 0u; slice < width; slice += {SLICE}u) {{
      workgroupBarrier();
      for (var l = local; l < {}u; l += {GROUP}u) {{
        let c = slice + l % {SLICE}u;
        let r = l / {SLICE}u;
        let to = l % {SLICE}u * {TILE}u + r % 4u * 8u + r / 4u;
        let at = min(c, width - 1u);
        // Beyond the width queries are zero, so that what keys have there does not count.
        qs[to] = select(vec4<f32>(0.0), q[min(top + r, n - 1u) * width + at], c < width);
        ks[to] = k[min(first + r, m - 1u) * width + at];
      }}
      workgroupBarrier();
      for (var i = 0u; i < {}u; i += {TILE}u) {{",
        TILE * SLICE,
        TILE * SLICE
    ));
    for r in 0..4 {
        line(format_args!("        let x{r} = qs[i + {}u + ty];", 8 * r));
    }
    for j in 0..4 {
        line(format_args!("        let y{j} = ks[i + {}u + tx];", 8 * j));
        for r in 0..4 {
            line(format_args!("        s{r}_{j} += dot(x{r}, y{j});"));
        }
    }
    line(format_args!(
        "      }}
    }}
    let left = first + 4u * tx + vec4<u32>(0u, 1u, 2u, 3u);"
    ));
    for r in 0..4 {
        // Beyond the last key it is taken again, with no weight.
        line(format_args!(
            "    weights[(4u * ty + {r}u) * 8u + tx] = select(vec4<f32>(-1e30), vec4<f32>(s{r}_0, s{r}_1, s{r}_2, s{r}_3),
      left < vec4<u32>(m));"
        ));
    }
    line(format_args!(
        "    workgroupBarrier();
    let most = max(max(weights[half], weights[half + 1u]), max(weights[half + 2u], weights[half + 3u]));
    halves[local] = max(max(most.x, most.y), max(most.z, most.w));
    workgroupBarrier();
    let next = max(largest, max(halves[local / 2u * 2u], halves[local / 2u * 2u + 1u]));
    let factor = exp(largest - next);
    largest = next;
    var sums = vec4<f32>(0.0);
    for (var i = 0u; i < 4u; i++) {{
      let p = exp(weights[half + i] - next);
      weights[half + i] = p;
      sums += p;
    }}
    sum = sum * factor + dot(sums, vec4<f32>(1.0));
    factors[local / 2u] = factor;
    workgroupBarrier();"
    ));
    for r in 0..rows {
        line(format_args!("    a{r} *= factors[row + {r}u];"));
    }
    line(format_args!(
        "    for (var i = 0u; i < {}u; i++) {{
      let key = first + 4u * i;
      let at = min(column, {values}u - 1u);",
        TILE / 4
    ));
    for j in 0..4 {
        line(format_args!(
            "      let v{j} = v[min(key + {j}u, m - 1u) * {values}u + at];"
        ));
    }
    for r in 0..rows {
        line(format_args!(
            "      let p{r} = weights[(row + {r}u) * 8u + i];
      a{r} += p{r}.x * v0 + p{r}.y * v1 + p{r}.z * v2 + p{r}.w * v3;"
        ));
    }
    line(format_args!(
        "    }}
  }}
  workgroupBarrier();
  halves[local] = sum;
  workgroupBarrier();"
    ));
    for r in 0..rows {
        let write = match part.last {
            true => format!(
                "out[(top + row + {r}u) * {values}u + column] = a{r} / (halves[2u * (row + {r}u)] + halves[2u * (row + {r}u) + 1u]);"
            ),
            false => format!("out[(top + row + {r}u) * {row_width}u + column] = a{r};"),
        };
        line(format_args!(
            "  if (top + row + {r}u < n && column < {values}u) {{\n    {write}\n  }}"
        ));
    }
    if !part.last {
        line(format_args!(
            "  if (local % 2u == 0u && top + local / 2u < n) {{
    out[(top + local / 2u) * {row_width}u + {values}u] = vec4<f32>(largest, halves[local], halves[local + 1u], 0.0);
  }}"
        ));
    }
    line(format_args!("}}"));
    text
}
