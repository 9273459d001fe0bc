//! softmax(q kᵀ / √d) v of several heads, without storing all scores. Each invocation goes through the keys of a few
//! queries of one head, and keeps a running maximum, sum and mean. This is the attention of
//! `sam2.modeling.backbones.hieradet.MultiScaleAttention` and `sam2.modeling.sam.transformer.Attention`.
//!
//! Queries, keys and values are read from the projections' output. The positions of a window's tokens are computed, so
//! that nothing is copied into windows and back.

use std::fmt::Write;

use crate::adapter::AdapterClass;
use crate::attention_shape::{AttentionShape, HeadRows};
use crate::kernel::{Kernel, entry, info, vec4};
use crate::online_softmax::next_keys;
use crate::shared_attention::{shared_attention, supports_shared_attention};

/// The number of keys of one step. With several, the running mean is rescaled less often.
const KEYS: usize = 4;

/// `q`, `k` and `v`, whose rows are tokens, to `[batch * queries, heads * width]`. If windows extend beyond an edge
/// ([`AttentionShape::pads`]), there is a fourth input: the row of every padding token, with keys and values at the
/// offsets that they have in the rows of `k` and `v`. All widths and offsets are multiples of 4.
pub fn attention(shape: AttentionShape, [q, k, v]: [HeadRows; 3], class: AdapterClass) -> Kernel {
    let AttentionShape {
        batch,
        heads,
        width,
        queries,
        keys,
        window,
        pools,
        causal,
    } = shape;
    let step = if pools { 2 } else { 1 };
    // If one window contains all keys, the grids of queries and keys may differ.
    let whole = window == keys;
    let query_window = if whole {
        queries
    } else {
        window.map(|side| side / step)
    };
    let agree = keys == queries.map(|side| side * step);
    assert!(
        agree || whole && !pools,
        "{shape:?}: keys must have the grid of the queries, or twice its sides where they are pooled"
    );
    assert!(
        whole || window.iter().all(|side| side.is_multiple_of(step)),
        "{shape:?}: a window's sides must be even where queries are pooled"
    );
    assert!(
        !causal || queries == keys && whole && queries[0] == 1,
        "{shape:?}: causal attention is of one row of tokens"
    );
    let divided = [width, q.width, q.offset, k.width, k.offset, v.width, v.offset];
    assert!(
        divided.iter().all(|value| value.is_multiple_of(4)),
        "widths and offsets of {divided:?}, which 4 must divide"
    );
    if class == AdapterClass::Hardware && supports_shared_attention(&shape) {
        return shared_attention(shape, [q, k, v]);
    }

    let windows = [0, 1].map(|axis| keys[axis].div_ceil(window[axis]));
    let window_count = query_window[0] * query_window[1];
    let variant = Variant {
        vectors: width / 4,
        queries: queries_at_once(width, window_count, class),
        pools,
        padded: shape.pads(),
        causal,
        scale: 1.0 / (width as f32).sqrt(),
    };
    let tiles = window_count.div_ceil(variant.queries);
    let total = batch * windows[0] * windows[1] * heads * tiles;
    let mut inputs = vec![vec4("q"), vec4("k"), vec4("v")];
    if variant.padded {
        inputs.push(vec4("padding"));
    }
    Kernel {
        key: format!("attention {variant:?}"),
        inputs,
        output: "vec4<f32>",
        info: info([
            ("queries_h", queries[0]),
            ("queries_w", queries[1]),
            ("query_window_h", query_window[0]),
            ("query_window_w", query_window[1]),
            ("keys_h", keys[0]),
            ("keys_w", keys[1]),
            ("window_h", window[0]),
            ("window_w", window[1]),
            ("windows_across", windows[1]),
            ("windows", windows[0] * windows[1]),
            ("heads", heads),
            ("invocations", total),
            ("tiles", tiles),
            ("q_width", q.width / 4),
            ("q_offset", q.offset / 4),
            ("k_width", k.width / 4),
            ("k_offset", k.offset / 4),
            ("v_width", v.width / 4),
            ("v_offset", v.offset / 4),
            ("out_width", heads * width / 4),
            ("q_grids", q.batch),
            ("k_grids", k.batch),
        ]),
        invocations: total,
        body: Box::new(move || variant.text()),
    }
}

/// The number of queries of an invocation: as many as fit its registers. A software adapter's registers are cached
/// memory, so more fit.
fn queries_at_once(width: usize, queries: usize, class: AdapterClass) -> usize {
    let room = match class {
        AdapterClass::Software => 192,
        AdapterClass::Hardware => 96,
    };
    [4, 2]
        .into_iter()
        .find(|&count| count * width <= room && queries >= count)
        .unwrap_or(1)
}

/// A variant of the kernel.
#[derive(Clone, Copy, Debug)]
struct Variant {
    /// The width of a head, in vectors of four values.
    vectors: usize,
    queries: usize,
    pools: bool,
    padded: bool,
    causal: bool,
    scale: f32,
}

impl Variant {
    fn text(self) -> String {
        let Self {
            vectors,
            queries,
            pools,
            padded,
            causal,
            scale,
        } = self;
        let mut text = entry();
        let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
        line(format_args!(
            "  if (index >= info.invocations) {{ return; }}
  let tile = index % info.tiles * {queries}u;
  let head = index / info.tiles % info.heads;
  let windows = index / info.tiles / info.heads;
  let window = windows % info.windows;
  let batch = windows / info.windows;
  let wy = window / info.windows_across;
  let wx = window % info.windows_across;
  let count = info.query_window_h * info.query_window_w;"
        ));
        for i in 0..queries {
            line(format_args!(
                "  let y{i} = wy * info.query_window_h + (tile + {i}u) / info.query_window_w;
  let x{i} = wx * info.query_window_w + (tile + {i}u) % info.query_window_w;
  let valid{i} = tile + {i}u < count && y{i} < info.queries_h && x{i} < info.queries_w;
  let qy{i} = min(y{i}, info.queries_h - 1u);
  let qx{i} = min(x{i}, info.queries_w - 1u);"
            ));
            if pools {
                line(format_args!(
                    "  let q{i} = (((batch % info.q_grids) * 2u * info.queries_h + 2u * qy{i}) * 2u * info.queries_w + 2u * qx{i})
    * info.q_width + info.q_offset + head * {vectors}u;
  let below{i} = q{i} + 2u * info.queries_w * info.q_width;"
                ));
            } else {
                line(format_args!(
                    "  let q{i} = (((batch % info.q_grids) * info.queries_h + qy{i}) * info.queries_w + qx{i}) * info.q_width
    + info.q_offset + head * {vectors}u;"
                ));
            }
            for d in 0..vectors {
                if pools {
                    line(format_args!(
                        "  let q{i}_{d} = {scale:?} * max(max(q[q{i} + {d}u], q[q{i} + info.q_width + {d}u]),
    max(q[below{i} + {d}u], q[below{i} + info.q_width + {d}u]));"
                    ));
                } else {
                    line(format_args!("  let q{i}_{d} = {scale:?} * q[q{i} + {d}u];"));
                }
            }
        }
        line(format_args!(
            "  let top = wy * info.window_h;
  let left = wx * info.window_w;
  let bottom = min(top + info.window_h, info.keys_h);
  let right = min(left + info.window_w, info.keys_w);"
        ));
        for i in 0..queries {
            line(format_args!("  var m{i} = -1e30; var l{i} = 0.0;"));
            for d in 0..vectors {
                line(format_args!("  var a{i}_{d} = vec4<f32>(0.0);"));
            }
        }
        if padded {
            // All padding tokens have the same key and value, so they are one token whose weight is multiplied by their
            // number.
            line(format_args!(
                "  let pads = f32(info.window_h * info.window_w - (bottom - top) * (right - left));
  if (pads > 0.0) {{
    let pk = info.k_offset + head * {vectors}u;
    let pv = info.v_offset + head * {vectors}u;"
            ));
            for i in 0..queries {
                line(format_args!("    m{i} = 0.0; l{i} = pads;"));
            }
            for d in 0..vectors {
                line(format_args!(
                    "    let pk{d} = padding[pk + {d}u]; let pv{d} = padding[pv + {d}u] * pads;"
                ));
                for i in 0..queries {
                    line(format_args!(
                        "    m{i} += dot(q{i}_{d}, pk{d}); a{i}_{d} = pv{d};"
                    ));
                }
            }
            line(format_args!("  }}"));
        }
        line(format_args!(
            "  let grid = (batch % info.k_grids) * info.keys_h;
  for (var y = top; y < bottom; y++) {{
    let start = (grid + y) * info.keys_w;
    for (var x = left; x < right; x += {KEYS}u) {{"
        ));
        for j in 0..KEYS {
            // Beyond the window's edge, its last key is read again with a weight of zero.
            line(format_args!(
                "      let t{j} = start + min(x + {j}u, right - 1u);
      let k{j} = t{j} * info.k_width + info.k_offset + head * {vectors}u;"
            ));
            for i in 0..queries {
                line(format_args!("      var s{i}_{j} = 0.0;"));
            }
            for d in 0..vectors {
                line(format_args!("      let k{j}_{d} = k[k{j} + {d}u];"));
                for i in 0..queries {
                    line(format_args!("      s{i}_{j} += dot(q{i}_{d}, k{j}_{d});"));
                }
            }
            // A causal query has seen the first key before any that is hidden from it, whose weight is then zero.
            for i in 0..queries {
                if causal {
                    line(format_args!(
                        "      s{i}_{j} = select(-1e30, s{i}_{j}, x + {j}u <= qx{i});"
                    ));
                } else if j > 0 {
                    line(format_args!(
                        "      s{i}_{j} = select(-1e30, s{i}_{j}, x + {j}u < right);"
                    ));
                }
            }
        }
        for i in 0..queries {
            line(format_args!("{}", next_keys(i, KEYS)));
            for d in 0..vectors {
                line(format_args!("      a{i}_{d} *= f{i};"));
            }
        }
        for j in 0..KEYS {
            line(format_args!(
                "      let v{j} = t{j} * info.v_width + info.v_offset + head * {vectors}u;"
            ));
            for d in 0..vectors {
                line(format_args!("      let v{j}_{d} = v[v{j} + {d}u];"));
                for i in 0..queries {
                    line(format_args!("      a{i}_{d} += p{i}_{j} * v{j}_{d};"));
                }
            }
        }
        line(format_args!("    }}\n  }}"));
        for i in 0..queries {
            line(format_args!(
                "  if (valid{i}) {{
    let to = ((batch * info.queries_h + y{i}) * info.queries_w + x{i}) * info.out_width + head * {vectors}u;
    let r = 1.0 / l{i};"
            ));
            for d in 0..vectors {
                line(format_args!("    out[to + {d}u] = a{i}_{d} * r;"));
            }
            line(format_args!("  }}"));
        }
        line(format_args!("}}"));
        text
    }
}
