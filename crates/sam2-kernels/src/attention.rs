//! softmax(q kᵀ / √d) v without the scores: each invocation goes over the keys of a few queries of one head, and
//! keeps a running maximum, sum and mean.
//!
//! Queries, keys and values are read where a projection wrote them, and windows are found by arithmetic.

use std::fmt::Write;

use crate::adapter::AdapterClass;
use crate::kernel::{Kernel, entry, fours, info};
use crate::online_softmax::next_keys;
use crate::shared_attention::{shared_attention, supports_shared_attention};

/// Where all heads of queries, keys or values lie in a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadRows {
    /// How many grids there are; with fewer than the batch, number `i` of the batch takes grid `i` modulo this number.
    pub batch: usize,
    /// Values of a row.
    pub width: usize,
    /// Where in a row the first head begins.
    pub offset: usize,
}

/// Which queries attend to which keys: grids of tokens, cut into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// How many grids.
    pub batch: usize,
    /// How many heads.
    pub heads: usize,
    /// Values a head.
    pub width: usize,
    /// Height and width of a grid of queries.
    pub queries: [usize; 2],
    /// Of a grid of keys.
    pub keys: [usize; 2],
    /// Of a window, in keys. Windows that go over the grid's lower or right edge attend to as many tokens of padding as
    /// they have positions there.
    pub window: [usize; 2],
    /// Queries are as many as keys, and the largest of each 2x2 is taken: `queries` is half of `keys`.
    pub pools: bool,
}

impl AttentionShape {
    /// Each of `n` tokens attends to all of `m`.
    pub fn tokens(batch: usize, heads: usize, width: usize, n: usize, m: usize) -> Self {
        Self {
            batch,
            heads,
            width,
            queries: [1, n],
            keys: [1, m],
            window: [1, m],
            pools: false,
        }
    }

    /// Whether windows go over an edge.
    pub fn pads(&self) -> bool {
        (0..2).any(|axis| !self.keys[axis].is_multiple_of(self.window[axis]))
    }
}

/// Keys that are weighted at once, so that the running mean is rescaled less often.
const KEYS: usize = 4;

/// `q`, `k` and `v`, a row a token, to `[batch * queries, heads * width]`. Where windows go over an edge there is a
/// fourth input: a row as of `k` and `v`, which then lie alike, that all padding has. 4 divides widths and offsets.
pub fn attention(shape: AttentionShape, [q, k, v]: [HeadRows; 3], class: AdapterClass) -> Kernel {
    let AttentionShape {
        batch,
        heads,
        width,
        queries,
        keys,
        window,
        pools,
    } = shape;
    let step = if pools { 2 } else { 1 };
    // With one window for all keys the grids need not agree.
    let whole = window == keys;
    let query_window = if whole {
        queries
    } else {
        window.map(|side| side / step)
    };
    let agree = keys == queries.map(|side| side * step);
    assert!(agree || whole && !pools, "{shape:?}");
    assert!(
        whole || window.iter().all(|side| side.is_multiple_of(step)),
        "{shape:?}"
    );
    let divided = [width, q.width, q.offset, k.width, k.offset, v.width, v.offset];
    assert!(divided.iter().all(|value| value.is_multiple_of(4)), "{divided:?}");
    if class == AdapterClass::Hardware && supports_shared_attention(&shape) {
        return shared_attention(shape, [q, k, v]);
    }

    let windows = [0, 1].map(|axis| keys[axis].div_ceil(window[axis]));
    let window_count = query_window[0] * query_window[1];
    let variant = Variant {
        fours: width / 4,
        queries: queries_at_once(width, window_count, class),
        pools,
        padded: shape.pads(),
        scale: 1.0 / (width as f32).sqrt(),
    };
    let tiles = window_count.div_ceil(variant.queries);
    let total = batch * windows[0] * windows[1] * heads * tiles;
    let mut inputs = vec![fours("q"), fours("k"), fours("v")];
    if variant.padded {
        inputs.push(fours("padding"));
    }
    Kernel {
        key: format!("attention {variant:?}"),
        inputs,
        output: "vec4<f32>",
        info: info(&[
            queries[0],
            queries[1],
            query_window[0],
            query_window[1],
            keys[0],
            keys[1],
            window[0],
            window[1],
            windows[1],
            windows[0] * windows[1],
            heads,
            total,
            tiles,
            q.width / 4,
            q.offset / 4,
            k.width / 4,
            k.offset / 4,
            v.width / 4,
            v.offset / 4,
            heads * width / 4,
            q.batch,
            k.batch,
        ]),
        invocations: total,
        body: Box::new(move || variant.text()),
    }
}

/// As many as registers hold; a software adapter has its in memory that is always cached, so there it can be more.
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

#[derive(Clone, Copy, Debug)]
struct Variant {
    /// A head's width.
    fours: usize,
    queries: usize,
    pools: bool,
    padded: bool,
    scale: f32,
}

impl Variant {
    fn text(self) -> String {
        let Self {
            fours,
            queries,
            pools,
            padded,
            scale,
        } = self;
        let mut text = entry();
        let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
        line(format_args!(
            "  if (index >= info[2].w) {{ return; }}
  let tile = index % info[3].x * {queries}u;
  let head = index / info[3].x % info[2].z;
  let windows = index / info[3].x / info[2].z;
  let window = windows % info[2].y;
  let batch = windows / info[2].y;
  let wy = window / info[2].x;
  let wx = window % info[2].x;
  let count = info[0].z * info[0].w;"
        ));
        for i in 0..queries {
            line(format_args!(
                "  let y{i} = wy * info[0].z + (tile + {i}u) / info[0].w;
  let x{i} = wx * info[0].w + (tile + {i}u) % info[0].w;
  let valid{i} = tile + {i}u < count && y{i} < info[0].x && x{i} < info[0].y;
  let qy{i} = min(y{i}, info[0].x - 1u);
  let qx{i} = min(x{i}, info[0].y - 1u);"
            ));
            if pools {
                line(format_args!(
                    "  let q{i} = (((batch % info[5].x) * 2u * info[0].x + 2u * qy{i}) * 2u * info[0].y + 2u * qx{i})
    * info[3].y + info[3].z + head * {fours}u;
  let below{i} = q{i} + 2u * info[0].y * info[3].y;"
                ));
            } else {
                line(format_args!(
                    "  let q{i} = (((batch % info[5].x) * info[0].x + qy{i}) * info[0].y + qx{i}) * info[3].y
    + info[3].z + head * {fours}u;"
                ));
            }
            for d in 0..fours {
                if pools {
                    line(format_args!(
                        "  let q{i}_{d} = {scale:?} * max(max(q[q{i} + {d}u], q[q{i} + info[3].y + {d}u]),
    max(q[below{i} + {d}u], q[below{i} + info[3].y + {d}u]));"
                    ));
                } else {
                    line(format_args!("  let q{i}_{d} = {scale:?} * q[q{i} + {d}u];"));
                }
            }
        }
        line(format_args!(
            "  let top = wy * info[1].z;
  let left = wx * info[1].w;
  let bottom = min(top + info[1].z, info[1].x);
  let right = min(left + info[1].w, info[1].y);"
        ));
        for i in 0..queries {
            line(format_args!("  var m{i} = -1e30; var l{i} = 0.0;"));
            for d in 0..fours {
                line(format_args!("  var a{i}_{d} = vec4<f32>(0.0);"));
            }
        }
        if padded {
            // All padding has the same key and value, so it counts as one token of as many times the weight.
            line(format_args!(
                "  let pads = f32(info[1].z * info[1].w - (bottom - top) * (right - left));
  if (pads > 0.0) {{
    let pk = info[4].x + head * {fours}u;
    let pv = info[4].z + head * {fours}u;"
            ));
            for i in 0..queries {
                line(format_args!("    m{i} = 0.0; l{i} = pads;"));
            }
            for d in 0..fours {
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
            "  let grid = (batch % info[5].y) * info[1].x;
  for (var y = top; y < bottom; y++) {{
    let start = (grid + y) * info[1].y;
    for (var x = left; x < right; x += {KEYS}u) {{"
        ));
        for j in 0..KEYS {
            // Beyond the window's edge its last key, with no weight.
            line(format_args!(
                "      let t{j} = start + min(x + {j}u, right - 1u);
      let k{j} = t{j} * info[3].w + info[4].x + head * {fours}u;"
            ));
            for i in 0..queries {
                line(format_args!("      var s{i}_{j} = 0.0;"));
            }
            for d in 0..fours {
                line(format_args!("      let k{j}_{d} = k[k{j} + {d}u];"));
                for i in 0..queries {
                    line(format_args!("      s{i}_{j} += dot(q{i}_{d}, k{j}_{d});"));
                }
            }
            if j > 0 {
                for i in 0..queries {
                    line(format_args!(
                        "      s{i}_{j} = select(-1e30, s{i}_{j}, x + {j}u < right);"
                    ));
                }
            }
        }
        for i in 0..queries {
            line(format_args!("{}", next_keys(i, KEYS)));
            for d in 0..fours {
                line(format_args!("      a{i}_{d} *= f{i};"));
            }
        }
        for j in 0..KEYS {
            line(format_args!(
                "      let v{j} = t{j} * info[4].y + info[4].z + head * {fours}u;"
            ));
            for d in 0..fours {
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
    let to = ((batch * info[0].x + y{i}) * info[0].y + x{i}) * info[4].w + head * {fours}u;
    let r = 1.0 / l{i};"
            ));
            for d in 0..fours {
                line(format_args!("    out[to + {d}u] = a{i}_{d} * r;"));
            }
            line(format_args!("  }}"));
        }
        line(format_args!("}}"));
        text
    }
}
