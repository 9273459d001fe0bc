//! A linear layer with all that surrounds it: what is added before and after, the activation, the rotation of a rotary
//! position encoding, and the gathering of patches that makes it a strided or a transposed convolution.
//!
//! Each invocation computes a tile of 8 rows and 8 columns in registers. On a real GPU a workgroup's 64 tiles read their
//! rows and columns from workgroup memory, and may multiply them in f16; elsewhere there are no barriers.

use std::fmt::Write;

use crate::activation::Activation;
use crate::adapter::AdapterClass;
use crate::kernel::{GROUP, Input, Kernel, entry, fours, group_entry, info};

/// What is added to a layer's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResidualShape {
    /// Nothing.
    #[default]
    None,
    /// As the output lies, or so many of its rows' values from its beginning, to be repeated.
    Repeated(usize),
    /// A picture `[b, h, w, n]`, each of its pixels for four of the output's `[b, 2h, 2w, n]`.
    Coarser {
        /// Its columns.
        width: usize,
    },
}

/// How rows are patches of channels-last pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patches {
    /// They are not.
    #[default]
    None,
    /// The input is a picture `[b, 2h, 2 width, k/4]`; a row takes 2x2 pixels, the upper two first.
    Merge {
        /// Rows from the picture's left to its right.
        width: usize,
    },
    /// The input is a picture `[b, 2 height, 2 width, k/9]`; a row takes the 3x3 pixels around every second one of every
    /// second line, row by row, and zeros beyond the edges.
    Around {
        /// Rows from the picture's top to its bottom.
        height: usize,
        /// Rows from the picture's left to its right.
        width: usize,
    },
    /// The output is a picture `[b, 2h, 2 width, n/4]`; a row makes 2x2 pixels, the upper two first.
    Expand {
        /// Rows from the picture's left to its right.
        width: usize,
    },
}

/// Everything but the values.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinearShape {
    /// Of the input and the output.
    pub rows: usize,
    /// Values of an input's row.
    pub k: usize,
    /// Values of an output's row.
    pub n: usize,
    /// Rows of `plus`, which is added to the input: to row `i` its row `i` modulo this number. 0 for none.
    pub plus: usize,
    /// `residual` is added to the output, before the activation.
    pub residual: ResidualShape,
    /// Applied to the output.
    pub activation: Activation,
    /// Rows of `rotary`, which has a cosine and a sine for each two neighbouring values of the output, a point that is
    /// rotated by this angle; row `i` takes its row `i` modulo this number. 0 for none.
    pub rotary: usize,
    /// How many of the output's first rows are rotated.
    pub rotated: usize,
    /// How rows lie in the input or the output.
    pub patches: Patches,
    /// How many matrices and biases there are, one after another; row `i` takes number `i` modulo this one. 0 is 1.
    pub groups: usize,
    /// `weight` is of f16 numbers.
    pub half: bool,
    /// Where workgroups share their tiles: products of four values are made and summed in f16, these sums in f32.
    pub f16_products: bool,
}

/// Rows of a tile.
const ROWS: usize = 8;
/// Tiles of a workgroup along each side, where it shares what it reads.
const SHARED: usize = 8;

/// activation((x + plus) weight + bias + residual): `x` `[rows, k]`, `weight` `[k, n]`, `bias` `[n]`, then `plus`,
/// `residual` and `rotary` where they are wanted, to `[rows, n]`. 4 divides `k` and `n`, and of a side that is a patch a
/// pixel's part.
pub fn linear(shape: LinearShape, class: AdapterClass) -> Kernel {
    let LinearShape { rows, k, n, .. } = shape;
    let groups = shape.groups.max(1);
    assert!(k.is_multiple_of(4) && n.is_multiple_of(4), "{shape:?}");
    let one_row = rows <= ROWS / 2 || groups > 1;
    let (shared_rows, shared_columns) = (SHARED * ROWS, SHARED * 2);
    let mut tile = Tile {
        // Less than a whole workgroup's tile would be read for nothing.
        shared: class == AdapterClass::Hardware
            && !one_row
            && rows >= shared_rows
            && n / 4 >= shared_columns / 2,
        rows: if one_row { 1 } else { ROWS },
        columns: if n == 4 || one_row { 1 } else { 2 },
        plus: shape.plus > 0,
        residual: "none",
        patches: "none",
        grouped: groups > 1,
        rotary: shape.rotary > 0,
        activation: shape.activation,
        half: shape.half,
        number: "f32",
    };
    if tile.shared && shape.f16_products {
        tile.number = "f16";
    }
    let weight = if tile.half {
        Input("weight", "vec4<f16>")
    } else {
        fours("weight")
    };
    let mut inputs = vec![fours("x"), weight, fours("bias")];
    if tile.plus {
        inputs.push(fours("plus"));
    }
    let (mut residual_length, mut coarse_width, mut height, mut width) = (0, 0, 0, 0);
    match shape.residual {
        ResidualShape::None => {}
        ResidualShape::Repeated(rows) => (tile.residual, residual_length) = ("repeated", rows * n / 4),
        ResidualShape::Coarser { width } => (tile.residual, coarse_width) = ("coarser", width),
    }
    if tile.residual != "none" {
        inputs.push(fours("residual"));
    }
    if tile.rotary {
        inputs.push(fours("rotary"));
    }
    match shape.patches {
        Patches::None => {}
        Patches::Around {
            height: lines,
            width: rows,
        } => {
            assert!(k.is_multiple_of(36), "{shape:?}");
            (tile.patches, height, width) = ("around", lines, rows);
        }
        Patches::Merge { width: rows } => {
            assert!(k.is_multiple_of(16), "{shape:?}");
            (tile.patches, width) = ("merge", rows);
        }
        Patches::Expand { width: rows } => {
            assert!(n.is_multiple_of(16), "{shape:?}");
            (tile.patches, width) = ("expand", rows);
        }
    }
    let columns = (n / 4).div_ceil(if tile.shared { shared_columns } else { tile.columns });
    let invocations = if tile.shared {
        rows.div_ceil(shared_rows) * columns * GROUP as usize
    } else {
        rows.div_ceil(tile.rows) * columns
    };
    Kernel {
        key: format!("linear {tile:?}"),
        inputs,
        output: "vec4<f32>",
        info: info(&[
            rows,
            k / 4,
            n / 4,
            columns,
            shape.plus * k / 4,
            residual_length,
            coarse_width,
            width,
            groups,
            shape.rotated * n / 4,
            shape.rotary * n / 4,
            height,
        ]),
        invocations,
        body: Box::new(move || tile.text()),
    }
}

/// A variant of the kernel.
#[derive(Clone, Copy, Debug)]
struct Tile {
    /// By a workgroup together.
    shared: bool,
    rows: usize,
    /// In fours.
    columns: usize,
    plus: bool,
    residual: &'static str,
    patches: &'static str,
    grouped: bool,
    rotary: bool,
    activation: Activation,
    half: bool,
    /// That products are made in.
    number: &'static str,
}

impl Tile {
    fn text(self) -> String {
        let mut text = String::from(self.activation.text());
        if self.rotary {
            text.push_str(ROTATE);
        }
        if self.patches == "around" {
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

    /// Where the invocation's own tile lies, and the loop over `k`.
    fn begin(self, text: &mut String) {
        let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
        line(format_args!(
            "{}  let rows = info[0].x;
  let k = info[0].y;
  let n = info[0].z;
  let row = index / info[0].w * {}u;
  let column = index % info[0].w * {}u;
  if (row >= rows) {{ return; }}",
            entry(),
            self.rows,
            self.columns
        ));
        // Rows and columns beyond the last are computed from the last and not written.
        for r in 0..self.rows {
            line(format_args!("  let row{r} = min(row + {r}u, rows - 1u);"));
            line(format_args!(
                "  let from{r} = {};",
                self.row_start(&format!("row{r}"))
            ));
            if self.patches == "around" {
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
                "row % info[2].x * 4u * k * n"
            } else {
                "0u"
            },
            self.place("i")
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

    /// Four steps of `k` at a time come into workgroup memory; then the same loop, over these.
    fn begin_shared(self, text: &mut String) {
        let (rows, columns, number) = (SHARED * ROWS, SHARED * self.columns, self.number);
        let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
        line(format_args!(
            "var<workgroup> xs: array<vec4<{number}>, {}>;
var<workgroup> ws: array<vec4<{number}>, {}>;
{}  let rows = info[0].x;
  let k = info[0].y;
  let n = info[0].z;
  let top = group / info[0].w * {rows}u;
  let left = group % info[0].w * {columns}u;
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
                        self.place(&format!("i{j}"))
                    ),
                    &format!("i{j}"),
                    &format!("edges(r{j})")
                )
            ));
        }
        for j in 0..16 * columns / GROUP as usize {
            // Beyond the last of `k` the input is zero.
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

    fn zeros(self, text: &mut String) {
        for r in 0..self.rows {
            for c in 0..self.columns {
                writeln!(text, "  var a{r}_{c} = vec4<f32>(0.0);").expect("text");
            }
        }
    }

    /// Where a row of the input begins.
    fn row_start(self, row: &str) -> String {
        match self.patches {
            "merge" => format!("({row} / info[1].w * 4u * info[1].w + {row} % info[1].w * 2u) * (k / 4u)"),
            // The upper left pixel, which may lie beyond the edges: such indices wrap around, and are not read.
            "around" => format!(
                "({row} / info[1].w * 4u * info[1].w + {row} % info[1].w * 2u - 2u * info[1].w - 1u) * (k / 9u)"
            ),
            _ => format!("{row} * k"),
        }
    }

    /// Where in a row the value `i` of `k` is.
    fn place(self, i: &str) -> String {
        match self.patches {
            // The lower two pixels are a line further on.
            "merge" => format!("{i} + select(0u, (info[1].w - 1u) * (k / 2u), {i} >= k / 2u)"),
            // Each three pixels are a line further on.
            "around" => format!("{i} + {i} / (k / 3u) * (2u * info[1].w - 3u) * (k / 9u)"),
            _ => i.to_owned(),
        }
    }

    /// The value `i` of a row, which is at `at`; `edges` of the row is looked at where patches go over the picture's.
    fn read(self, at: &str, i: &str, edges: &str) -> String {
        match (self.patches, self.plus) {
            ("around", _) => format!("around({at}, {i}, {edges})"),
            (_, true) => format!("x[{at}] + plus[({at}) % info[1].x]"),
            (_, false) => format!("x[{at}]"),
        }
    }

    /// Four of a matrix's row.
    fn weight(self, at: &str) -> String {
        if self.half {
            format!("vec4<f32>(weight[{at}])")
        } else {
            format!("weight[{at}]")
        }
    }

    /// The loop's body, and its end.
    fn products(self, text: &mut String) {
        if self.number == "f16" {
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

    fn end(self, text: &mut String) {
        let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
        for r in 0..self.rows {
            for c in 0..self.columns {
                let step = if self.shared { c * SHARED } else { c };
                line(format_args!(
                    "  if (row + {r}u < rows && column + {step}u < n) {{"
                ));
                match self.patches {
                    // In an output of w pixels a row, `pixel` is the upper left one of the row's four.
                    "expand" => line(format_args!(
                        "    let pixel = row{r} / info[1].w * 4u * info[1].w + row{r} % info[1].w * 2u;
    let part = column{c} / (n / 4u);
    let to = (pixel + part / 2u * 2u * info[1].w + part % 2u) * (n / 4u) + column{c} % (n / 4u);"
                    )),
                    _ => line(format_args!("    let to = row{r} * n + column{c};")),
                }
                let bias = if self.grouped {
                    format!("bias[row % info[2].x * n + column{c}]")
                } else {
                    format!("bias[column{c}]")
                };
                let residual = match self.residual {
                    "repeated" => " + residual[to % info[1].y]".to_owned(),
                    "coarser" => format!(
                        " + residual[(row{r} / (4u * info[1].z) * info[1].z + row{r} % (2u * info[1].z) / 2u) * n + column{c}]"
                    ),
                    _ => String::new(),
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

/// Rotates four values, which are two points.
const ROTATE: &str = "
fn rotate(v: vec4<f32>, to: u32) -> vec4<f32> {
  if (to >= info[2].y) { return v; }
  let t = rotary[to % info[2].z];
  return vec4<f32>(v.x * t.x - v.y * t.y, v.x * t.y + v.y * t.x, v.z * t.z - v.w * t.w, v.z * t.w + v.w * t.z);
}
";

/// Every second pixel has neighbours on the right and below; `edges` says whether there are none above, and on the left.
const AROUND: &str = "
fn edges(row: u32) -> vec2<bool> {
  return vec2<bool>(row / info[1].w % info[2].w == 0u, row % info[1].w == 0u);
}
fn around(at: u32, i: u32, edges: vec2<bool>) -> vec4<f32> {
  let tap = i / (info[0].y / 9u);
  let beyond = (edges.x && tap < 3u) || (edges.y && tap % 3u == 0u);
  return select(x[select(at, 0u, beyond)], vec4<f32>(0.0), beyond);
}
";
