//! A linear layer, fused with the operations around it: tensors that are added before and after, the activation, a rotary
//! position encoding, and the gathering or scattering of patches, which makes it a strided or a transposed convolution.
//!
//! Each invocation computes a tile of 8 rows and 8 columns in registers. On a real GPU, the 64 tiles of a workgroup
//! read their rows and columns from workgroup memory, and may multiply them in f16. On a software adapter there are no
//! barriers.

use std::fmt::Write;

use crate::activation::Activation;
use crate::adapter::AdapterClass;
use crate::kernel::{GROUP, Input, Kernel, entry, group_entry, info, vec4};
use crate::linear_shape::{LinearShape, Patches, ResidualShape};

/// The number of rows of an invocation's tile.
const ROWS: usize = 8;
/// The number of tiles along each side of a workgroup whose invocations share what they read.
const SHARED: usize = 8;

/// activation((x + plus) weight + bias + residual), then rotated: `x` `[rows, k]`, `weight` `[k, n]` and `bias` `[n]`, to
/// `[rows, n]`. The inputs are these three, then `plus`, `residual` and `rotary` if `shape` has them. `k` and `n` are
/// multiples of 4. If rows are patches, the number of a pixel's values is one too.
pub fn linear(shape: LinearShape, class: AdapterClass) -> Kernel {
    let LinearShape { rows, k, n, .. } = shape;
    let groups = shape.groups.max(1);
    let [k_parts, n_parts] = match shape.patches {
        Patches::None => [1, 1],
        Patches::Merge { .. } => [4, 1],
        Patches::Around { .. } => [9, 1],
        Patches::Expand { .. } => [1, 4],
    };
    assert!(
        k.is_multiple_of(4 * k_parts) && n.is_multiple_of(4 * n_parts),
        "{shape:?}: {} must divide k, and {} n",
        4 * k_parts,
        4 * n_parts
    );
    let one_row = rows <= ROWS / 2 || groups > 1;
    let (shared_rows, shared_columns) = (SHARED * ROWS, SHARED * 2);
    // With fewer rows or columns, much of what a workgroup reads would not be used.
    let shared =
        class == AdapterClass::Hardware && !one_row && rows >= shared_rows && n / 4 >= shared_columns / 2;
    let tile = Tile {
        shared,
        rows: if one_row { 1 } else { ROWS },
        columns: if n == 4 || one_row { 1 } else { 2 },
        plus: shape.plus > 0,
        residual: match shape.residual {
            ResidualShape::None => Residual::None,
            ResidualShape::Repeated(_) => Residual::Repeated,
            ResidualShape::Coarser { .. } => Residual::Coarser,
        },
        layout: match shape.patches {
            Patches::None => Layout::Rows,
            Patches::Merge { .. } => Layout::Merge,
            Patches::Around { .. } => Layout::Around,
            Patches::Expand { .. } => Layout::Expand,
        },
        grouped: groups > 1,
        rotary: shape.rotary > 0,
        activation: shape.activation,
        half: shape.half,
        f16_products: shared && shape.f16_products,
    };
    let (residual_length, coarse_width) = match shape.residual {
        ResidualShape::None => (0, 0),
        ResidualShape::Repeated(rows) => (rows * n / 4, 0),
        ResidualShape::Coarser { width } => (0, width),
    };
    let (patch_height, patch_width) = match shape.patches {
        Patches::None => (0, 0),
        Patches::Merge { width } | Patches::Expand { width } => (0, width),
        Patches::Around { height, width } => (height, width),
    };
    let tiles = (n / 4).div_ceil(if tile.shared { shared_columns } else { tile.columns });
    let invocations = if tile.shared {
        rows.div_ceil(shared_rows) * tiles * GROUP as usize
    } else {
        rows.div_ceil(tile.rows) * tiles
    };
    let weight = match tile.half {
        true => Input("weight", "vec4<f16>"),
        false => vec4("weight"),
    };
    let mut inputs = vec![vec4("x"), weight, vec4("bias")];
    if tile.plus {
        inputs.push(vec4("plus"));
    }
    if tile.residual != Residual::None {
        inputs.push(vec4("residual"));
    }
    if tile.rotary {
        inputs.push(vec4("rotary"));
    }
    Kernel {
        key: format!("linear {tile:?}"),
        inputs,
        output: "vec4<f32>",
        info: info([
            ("rows", rows),
            ("k", k / 4),
            ("n", n / 4),
            ("tiles", tiles),
            ("plus_length", shape.plus * k / 4),
            ("residual_length", residual_length),
            ("coarse_width", coarse_width),
            ("patch_width", patch_width),
            ("groups", groups),
            ("rotated_length", shape.rotated * n / 4),
            ("rotary_length", shape.rotary * n / 4),
            ("patch_height", patch_height),
        ]),
        invocations,
        body: Box::new(move || tile.text()),
    }
}

/// Whether, and how, `residual` is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Residual {
    None,
    Repeated,
    Coarser,
}

/// The layout of rows in the input or the output, as in [`Patches`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Rows,
    Merge,
    Around,
    Expand,
}

/// A variant of the kernel.
#[derive(Clone, Copy, Debug)]
struct Tile {
    /// Whether a workgroup's invocations share what they read.
    shared: bool,
    /// The number of rows of an invocation's tile.
    rows: usize,
    /// The number of columns of an invocation's tile, in vectors of four values.
    columns: usize,
    plus: bool,
    residual: Residual,
    layout: Layout,
    grouped: bool,
    rotary: bool,
    activation: Activation,
    half: bool,
    f16_products: bool,
}

impl Tile {
    fn text(self) -> String {
        let mut text = String::from(self.activation.text());
        if self.rotary {
            text.push_str(ROTATE);
        }
        if self.layout == Layout::Around {
            text.push_str(AROUND);
        }
        if self.shared {
            self.begin_shared(&mut text);
        } else {
            self.begin(&mut text);
        }
        self.products(&mut text);
        self.end(&mut text);
        text
    }

    /// The type of the values in workgroup memory, in which products are computed.
    fn number(self) -> &'static str {
        if self.f16_products { "f16" } else { "f32" }
    }

    /// The position of an invocation's tile, and the beginning of its loop over `k`, which reads a vector of each row
    /// and four vectors of each column. The invocations work independently.
    fn begin(self, text: &mut String) {
        let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
        line(format_args!(
            "{}  let rows = info.rows;
  let k = info.k;
  let n = info.n;
  let row = index / info.tiles * {}u;
  let column = index % info.tiles * {}u;
  if (row >= rows) {{ return; }}",
            entry(),
            self.rows,
            self.columns
        ));
        // Rows and columns beyond the last are computed from the last one and not written.
        for r in 0..self.rows {
            line(format_args!("  let row{r} = min(row + {r}u, rows - 1u);"));
            line(format_args!(
                "  let from{r} = {};",
                self.row_start(&format!("row{r}"))
            ));
            if self.layout == Layout::Around {
                line(format_args!("  let edges{r} = edges(row{r});"));
            }
        }
        for c in 0..self.columns {
            line(format_args!("  let column{c} = min(column + {c}u, n - 1u);"));
        }
        self.zeros(text);
        let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
        line(format_args!(
            "  var w = {};
  for (var i = 0u; i < k; i++) {{
    let at = {};",
            if self.grouped {
                "row % info.groups * 4u * k * n"
            } else {
                "0u"
            },
            self.offset("i")
        ));
        for r in 0..self.rows {
            let (from, edges) = (format!("from{r} + at"), format!("edges{r}"));
            line(format_args!("    let x{r} = {};", self.read(&from, "i", &edges)));
        }
        for part in ["x", "y", "z", "w"] {
            for c in 0..self.columns {
                let value = self.weight(&format!("w + column{c}"));
                line(format_args!("    let {part}{c}_ = {value};"));
            }
            line(format_args!("    w += n;"));
        }
    }

    /// The same for a workgroup whose invocations share what they read: four vectors of each row, and the matching
    /// values of each column, are copied to workgroup memory, and the inner loop reads these.
    fn begin_shared(self, text: &mut String) {
        let (rows, columns, number) = (SHARED * ROWS, SHARED * self.columns, self.number());
        let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
        line(format_args!(
            "var<workgroup> xs: array<vec4<{number}>, {}>;
var<workgroup> ws: array<vec4<{number}>, {}>;
{}  let rows = info.rows;
  let k = info.k;
  let n = info.n;
  let top = group / info.tiles * {rows}u;
  let left = group % info.tiles * {columns}u;
  let row = top + local / {SHARED}u * {ROWS}u;
  let column = left + local % {SHARED}u;",
            4 * rows,
            16 * columns,
            group_entry()
        ));
        for r in 0..self.rows {
            line(format_args!("  let row{r} = min(row + {r}u, rows - 1u);"));
        }
        for c in 0..self.columns {
            line(format_args!(
                "  let column{c} = min(column + {}u, n - 1u);",
                c * SHARED
            ));
        }
        self.zeros(text);
        let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
        line(format_args!(
            "  for (var first = 0u; first < k; first += 4u) {{\n    workgroupBarrier();"
        ));
        for j in 0..4 * rows / GROUP as usize {
            line(format_args!(
                "    let l{j} = local + {}u;
    let i{j} = min(first + l{j} % 4u, k - 1u);
    let r{j} = min(top + l{j} / 4u, rows - 1u);
    let v{j} = {};
    xs[l{j}] = vec4<{number}>(select(vec4<f32>(0.0), v{j}, first + l{j} % 4u < k));",
                j * GROUP as usize,
                self.read(
                    &format!(
                        "{} + {}",
                        self.row_start(&format!("r{j}")),
                        self.offset(&format!("i{j}"))
                    ),
                    &format!("i{j}"),
                    &format!("edges(r{j})")
                )
            ));
        }
        for j in 0..16 * columns / GROUP as usize {
            // Values beyond the last row of the matrix have no effect, because the input is zero there.
            let at = format!(
                "min(4u * first + m{j} / {columns}u, 4u * k - 1u) * n + min(left + m{j} % {columns}u, n - 1u)"
            );
            line(format_args!(
                "    let m{j} = local + {}u;\n    ws[m{j}] = vec4<{number}>({});",
                j * GROUP as usize,
                self.weight(&at)
            ));
        }
        line(format_args!(
            "    workgroupBarrier();\n    for (var i = 0u; i < 4u; i++) {{"
        ));
        for r in 0..self.rows {
            line(format_args!(
                "    let x{r} = xs[(local / {SHARED}u * {ROWS}u + {r}u) * 4u + i];"
            ));
        }
        for (p, part) in ["x", "y", "z", "w"].into_iter().enumerate() {
            for c in 0..self.columns {
                line(format_args!(
                    "    let {part}{c}_ = ws[(4u * i + {p}u) * {columns}u + local % {SHARED}u + {}u];",
                    c * SHARED
                ));
            }
        }
    }

    /// The sums of the tile's products, set to zero.
    fn zeros(self, text: &mut String) {
        for r in 0..self.rows {
            for c in 0..self.columns {
                writeln!(text, "  var a{r}_{c} = vec4<f32>(0.0);").expect("text");
            }
        }
    }

    /// The index in `x` at which the row `row` begins.
    fn row_start(self, row: &str) -> String {
        match self.layout {
            Layout::Merge => format!(
                "({row} / info.patch_width * 4u * info.patch_width + {row} % info.patch_width * 2u) * (k / 4u)"
            ),
            // The index of the upper left pixel. If that is beyond an edge, the index wraps around and is not read.
            Layout::Around => format!(
                "({row} / info.patch_width * 4u * info.patch_width + {row} % info.patch_width * 2u - 2u * info.patch_width - 1u) * (k / 9u)"
            ),
            _ => format!("{row} * k"),
        }
    }

    /// The offset of a row's vector `i` from the row's beginning.
    fn offset(self, i: &str) -> String {
        match self.layout {
            // The lower two pixels are in the next line.
            Layout::Merge => format!("{i} + select(0u, (info.patch_width - 1u) * (k / 2u), {i} >= k / 2u)"),
            // After every three pixels, the next ones are in the next line.
            Layout::Around => format!("{i} + {i} / (k / 3u) * (2u * info.patch_width - 3u) * (k / 9u)"),
            _ => i.to_owned(),
        }
    }

    /// The vector `i` of a row, at the index `at`. `edges` are those of the row, which matter if patches extend beyond
    /// the picture's edges.
    fn read(self, at: &str, i: &str, edges: &str) -> String {
        match (self.layout, self.plus) {
            (Layout::Around, _) => format!("around({at}, {i}, {edges})"),
            (_, true) => format!("x[{at}] + plus[({at}) % info.plus_length]"),
            (_, false) => format!("x[{at}]"),
        }
    }

    /// Four values of a row of the matrix.
    fn weight(self, at: &str) -> String {
        if self.half {
            format!("vec4<f32>(weight[{at}])")
        } else {
            format!("weight[{at}]")
        }
    }

    /// The body and the end of the loop over `k`.
    fn products(self, text: &mut String) {
        if self.f16_products {
            for r in 0..self.rows {
                for c in 0..self.columns {
                    let four = ["x", "y", "z", "w"].map(|part| format!("x{r}.{part} * {part}{c}_"));
                    writeln!(text, "    a{r}_{c} += vec4<f32>({});", four.join(" + ")).expect("text");
                }
            }
        } else {
            self.products_in_f32(text);
        }
        text.push_str(if self.shared { "    }\n  }\n" } else { "  }\n" });
    }

    fn products_in_f32(self, text: &mut String) {
        for part in ["x", "y", "z", "w"] {
            for r in 0..self.rows {
                for c in 0..self.columns {
                    writeln!(text, "    a{r}_{c} += x{r}.{part} * {part}{c}_;").expect("text");
                }
            }
        }
    }

    /// The operations on the sums, and their output.
    fn end(self, text: &mut String) {
        let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
        for r in 0..self.rows {
            for c in 0..self.columns {
                let step = if self.shared { c * SHARED } else { c };
                line(format_args!(
                    "  if (row + {r}u < rows && column + {step}u < n) {{"
                ));
                match self.layout {
                    // `pixel` is the upper left one of the row's four pixels.
                    Layout::Expand => line(format_args!(
                        "    let pixel = row{r} / info.patch_width * 4u * info.patch_width + row{r} % info.patch_width * 2u;
    let part = column{c} / (n / 4u);
    let to = (pixel + part / 2u * 2u * info.patch_width + part % 2u) * (n / 4u) + column{c} % (n / 4u);"
                    )),
                    _ => line(format_args!("    let to = row{r} * n + column{c};")),
                }
                let bias = if self.grouped {
                    format!("bias[row % info.groups * n + column{c}]")
                } else {
                    format!("bias[column{c}]")
                };
                let residual = match self.residual {
                    Residual::Repeated => " + residual[to % info.residual_length]".to_owned(),
                    Residual::Coarser => format!(
                        " + residual[(row{r} / (4u * info.coarse_width) * info.coarse_width + row{r} % (2u * info.coarse_width) / 2u) * n + column{c}]"
                    ),
                    Residual::None => String::new(),
                };
                let value = format!("activate(a{r}_{c} + {bias}{residual})");
                let value = match self.rotary {
                    true => format!("rotate({value}, to)"),
                    false => value,
                };
                line(format_args!("    out[to] = {value};\n  }}"));
            }
        }
        line(format_args!("}}"));
    }
}

/// Rotates four values of the output, which are two points.
const ROTATE: &str = "
fn rotate(v: vec4<f32>, to: u32) -> vec4<f32> {
  if (to >= info.rotated_length) { return v; }
  let t = rotary[to % info.rotary_length];
  return vec4<f32>(v.x * t.x - v.y * t.y, v.x * t.y + v.y * t.x, v.z * t.z - v.w * t.w, v.z * t.w + v.w * t.z);
}
";

/// The 3x3 pixels around every second pixel of every second line never extend beyond the bottom and the right edge.
/// `edges` says whether they extend beyond the top and the left edge.
const AROUND: &str = "
fn edges(row: u32) -> vec2<bool> {
  return vec2<bool>(row / info.patch_width % info.patch_height == 0u, row % info.patch_width == 0u);
}
fn around(at: u32, i: u32, edges: vec2<bool>) -> vec4<f32> {
  let tap = i / (info.k / 9u);
  let beyond = (edges.x && tap < 3u) || (edges.y && tap % 3u == 0u);
  return select(x[select(at, 0u, beyond)], vec4<f32>(0.0), beyond);
}
";
