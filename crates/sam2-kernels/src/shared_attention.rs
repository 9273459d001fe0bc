//! Attention of a few tokens to very many on a real GPU, where an invocation for each token and head were far too few: a
//! workgroup shares the keys, and puts together what its invocations made of theirs.

use std::fmt::Write;

use crate::attention::{AttentionShape, HeadRows};
use crate::kernel::{GROUP, Kernel, fours, group_entry, info};
use crate::online_softmax::next_keys;

/// Queries of a workgroup.
const QUERIES: usize = 2;
/// More queries keep a GPU busy by themselves.
const MOST_QUERIES: usize = 64;
/// Fewer keys are not worth being shared.
const LEAST_KEYS: usize = 4 * GROUP as usize;
/// A wider head has no room in workgroup memory.
const WIDEST: usize = 48;

/// Whether keys are better shared: each token must attend to all.
pub fn supports_shared_attention(shape: &AttentionShape) -> bool {
    let [queries, keys] = [shape.queries, shape.keys].map(|[h, w]| h * w);
    let whole = shape.window == shape.keys && !shape.pools;
    whole && queries <= MOST_QUERIES && keys >= LEAST_KEYS && shape.width <= WIDEST
}

/// As [`crate::attention`], where [`supports_shared_attention`].
pub fn shared_attention(shape: AttentionShape, [q, k, v]: [HeadRows; 3]) -> Kernel {
    let AttentionShape {
        batch, heads, width, ..
    } = shape;
    let [queries, keys] = [shape.queries, shape.keys].map(|[h, w]| h * w);
    let tiles = queries.div_ceil(QUERIES);
    let groups = batch * heads * tiles;
    Kernel {
        key: format!("shared_attention {width}"),
        inputs: vec![fours("q"), fours("k"), fours("v")],
        output: "vec4<f32>",
        info: info(&[
            groups,
            tiles,
            heads,
            queries,
            keys,
            q.batch,
            k.batch,
            heads * width / 4,
            q.width / 4,
            q.offset / 4,
            k.width / 4,
            k.offset / 4,
            v.width / 4,
            v.offset / 4,
        ]),
        invocations: groups * GROUP as usize,
        body: Box::new(move || body(width)),
    }
}

fn body(width: usize) -> String {
    let (fours, scale) = (width / 4, 1.0 / (width as f32).sqrt());
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
    line(format_args!(
        "var<workgroup> largest: array<f32, {GROUP}>;
var<workgroup> sums: array<f32, {GROUP}>;
var<workgroup> parts: array<vec4<f32>, {parts}>;
{}  if (group >= info[0].x) {{ return; }}
  let tile = group % info[0].y * {QUERIES}u;
  let head = group / info[0].y % info[0].z * {fours}u;
  let batch = group / info[0].y / info[0].z;
  let queries = info[0].w;
  let keys = info[1].x;",
        group_entry(),
        parts = fours * GROUP as usize,
    ));
    for i in 0..QUERIES {
        line(format_args!(
            "  let q{i} = (batch % info[1].y * queries + min(tile + {i}u, queries - 1u)) * info[2].x + info[2].y + head;
  var m{i} = -1e30; var l{i} = 0.0;"
        ));
        for d in 0..fours {
            line(format_args!(
                "  let q{i}_{d} = {scale:?} * q[q{i} + {d}u]; var a{i}_{d} = vec4<f32>(0.0);"
            ));
        }
    }
    line(format_args!(
        "  for (var key = local; key < keys; key += {GROUP}u) {{
    let at = batch % info[1].z * keys + key;
    let start = at * info[2].z + info[2].w + head;
    let value = at * info[3].x + info[3].y + head;"
    ));
    for i in 0..QUERIES {
        line(format_args!("    var s{i}_0 = 0.0;"));
    }
    for d in 0..fours {
        line(format_args!("    let k{d} = k[start + {d}u];"));
        for i in 0..QUERIES {
            line(format_args!("    s{i}_0 += dot(q{i}_{d}, k{d});"));
        }
    }
    for i in 0..QUERIES {
        line(format_args!("{}", next_keys(i, 1)));
    }
    for d in 0..fours {
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
        for d in 0..fours {
            line(format_args!(
                "  parts[{}u + local] = a{i}_{d} * w{i};",
                d * GROUP as usize
            ));
        }
        line(format_args!(
            "  workgroupBarrier();
  if (local < {fours}u && tile + {i}u < queries) {{
    var sum = 0.0;
    var mean = vec4<f32>(0.0);
    for (var j = 0u; j < {GROUP}u; j++) {{
      sum += sums[j];
      mean += parts[local * {GROUP}u + j];
    }}
    out[(batch * queries + tile + {i}u) * info[1].w + head + local] = mean / sum;
  }}"
        ));
    }
    line(format_args!("}}"));
    text
}
