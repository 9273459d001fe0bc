//! Attention of a few tokens to very many on a real GPU, most of which would be idle with one invocation for each token
//! and head. So the invocations of a workgroup divide the keys among them, and their results are combined.

use std::fmt::Write;

use crate::attention_shape::{AttentionShape, HeadRows};
use crate::kernel::{GROUP, Kernel, group_entry, info, vec4};
use crate::online_softmax::next_keys;

/// The number of queries of a workgroup.
const QUERIES: usize = 2;
/// The most queries for which the keys are divided. With more, the other kernel keeps a GPU busy.
const MOST_QUERIES: usize = 64;
/// The fewest keys that are divided.
const LEAST_KEYS: usize = 4 * GROUP as usize;
/// The widest head that fits workgroup memory, in values.
const WIDEST: usize = 48;

/// Whether [`shared_attention`] supports this shape and is faster than [`attention`](crate::attention()): all tokens
/// attend to all keys, and there are few tokens and many keys.
pub fn supports_shared_attention(shape: &AttentionShape) -> bool {
    let [queries, keys] = [shape.queries, shape.keys].map(|[h, w]| h * w);
    let whole = shape.window == shape.keys && !shape.pools && !shape.causal;
    whole && queries <= MOST_QUERIES && keys >= LEAST_KEYS && shape.width <= WIDEST
}

/// The same as [`attention`](crate::attention()), for shapes that [`supports_shared_attention`] accepts.
pub fn shared_attention(shape: AttentionShape, [q, k, v]: [HeadRows; 3]) -> Kernel {
    let AttentionShape {
        batch, heads, width, ..
    } = shape;
    let [queries, keys] = [shape.queries, shape.keys].map(|[h, w]| h * w);
    let tiles = queries.div_ceil(QUERIES);
    let groups = batch * heads * tiles;
    Kernel {
        key: format!("shared_attention {width}"),
        inputs: vec![vec4("q"), vec4("k"), vec4("v")],
        output: "vec4<f32>",
        info: info([
            ("groups", groups),
            ("tiles", tiles),
            ("heads", heads),
            ("queries", queries),
            ("keys", keys),
            ("q_grids", q.batch),
            ("k_grids", k.batch),
            ("out_width", heads * width / 4),
            ("q_width", q.width / 4),
            ("q_offset", q.offset / 4),
            ("k_width", k.width / 4),
            ("k_offset", k.offset / 4),
            ("v_width", v.width / 4),
            ("v_offset", v.offset / 4),
        ]),
        invocations: groups * GROUP as usize,
        body: Box::new(move || body(width)),
    }
}

fn body(width: usize) -> String {
    let (vectors, scale) = (width / 4, 1.0 / (width as f32).sqrt());
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
    line(format_args!(
        "var<workgroup> largest: array<f32, {GROUP}>;
var<workgroup> sums: array<f32, {GROUP}>;
var<workgroup> parts: array<vec4<f32>, {parts}>;
{}  if (group >= info.groups) {{ return; }}
  let tile = group % info.tiles * {QUERIES}u;
  let head = group / info.tiles % info.heads * {vectors}u;
  let batch = group / info.tiles / info.heads;
  let queries = info.queries;
  let keys = info.keys;",
        group_entry(),
        parts = vectors * GROUP as usize,
    ));
    for i in 0..QUERIES {
        line(format_args!(
            "  let q{i} = (batch % info.q_grids * queries + min(tile + {i}u, queries - 1u)) * info.q_width
    + info.q_offset + head;
  var m{i} = -1e30; var l{i} = 0.0;"
        ));
        for d in 0..vectors {
            line(format_args!(
                "  let q{i}_{d} = {scale:?} * q[q{i} + {d}u]; var a{i}_{d} = vec4<f32>(0.0);"
            ));
        }
    }
    line(format_args!(
        "  for (var key = local; key < keys; key += {GROUP}u) {{
    let at = batch % info.k_grids * keys + key;
    let start = at * info.k_width + info.k_offset + head;
    let value = at * info.v_width + info.v_offset + head;"
    ));
    for i in 0..QUERIES {
        line(format_args!("    var s{i}_0 = 0.0;"));
    }
    for d in 0..vectors {
        line(format_args!("    let k{d} = k[start + {d}u];"));
        for i in 0..QUERIES {
            line(format_args!("    s{i}_0 += dot(q{i}_{d}, k{d});"));
        }
    }
    for i in 0..QUERIES {
        line(format_args!("{}", next_keys(i, 1)));
    }
    for d in 0..vectors {
        line(format_args!("    let v{d} = v[value + {d}u];"));
        for i in 0..QUERIES {
            line(format_args!("    a{i}_{d} = a{i}_{d} * f{i} + p{i}_0 * v{d};"));
        }
    }
    line(format_args!("  }}"));
    for i in 0..QUERIES {
        line(format_args!(
            "  workgroupBarrier();
  largest[local] = m{i};
  workgroupBarrier();
  var most{i} = m{i};
  for (var j = 0u; j < {GROUP}u; j++) {{ most{i} = max(most{i}, largest[j]); }}
  let w{i} = exp(m{i} - most{i});
  sums[local] = l{i} * w{i};"
        ));
        for d in 0..vectors {
            line(format_args!(
                "  parts[{}u + local] = a{i}_{d} * w{i};",
                d * GROUP as usize
            ));
        }
        line(format_args!(
            "  workgroupBarrier();
  if (local < {vectors}u && tile + {i}u < queries) {{
    var sum = 0.0;
    var mean = vec4<f32>(0.0);
    for (var j = 0u; j < {GROUP}u; j++) {{
      sum += sums[j];
      mean += parts[local * {GROUP}u + j];
    }}
    out[(batch * queries + tile + {i}u) * info.out_width + head + local] = mean / sum;
  }}"
        ));
    }
    line(format_args!("}}"));
    text
}
