//! A linear layer with all that surrounds it: what is added before and after, the activation, and the rearrangement of
//! 2x2 patches that makes it a strided or a transposed convolution.
//!
//! Each invocation computes a tile of 8 rows and 8 columns in registers, without barriers or workgroup memory.

use std::fmt::Write;

use crate::activation::Activation;
use crate::kernel::{Kernel, entry, fours, info};

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
    /// `plus` is added to the input: so many rows, by turns. 0 for none.
    pub plus: usize,
    /// `residual` is added to the output, before the activation.
    pub residual: ResidualShape,
    /// Applied to the output.
    pub activation: Activation,
    /// How rows lie in the input or the output.
    pub patches: Patches,
    /// As many matrices and biases, one after another; rows take them by turns. 0 is 1.
    pub groups: usize,
}

/// Rows of a tile.
const ROWS: usize = 8;

/// activation((x + plus) weight + bias + residual): `x` `[rows, k]`, `weight` `[k, n]`, `bias` `[n]`, then `plus` and
/// `residual` where they are wanted, to `[rows, n]`. 4 divides `k` and `n`, and a quarter of the side that is a patch.
pub fn linear(shape: LinearShape) -> Kernel {
    let LinearShape { rows, k, n, .. } = shape;
    let groups = shape.groups.max(1);
    assert!(k.is_multiple_of(4) && n.is_multiple_of(4), "{shape:?}");
    let one_row = rows <= ROWS / 2 || groups > 1;
    let mut tile = Tile {
        rows: if one_row { 1 } else { ROWS },
        columns: if n == 4 || one_row { 1 } else { 2 },
        plus: shape.plus > 0,
        residual: "none",
        patches: "none",
        grouped: groups > 1,
        activation: shape.activation,
    };
    let mut inputs = vec![fours("x"), fours("weight"), fours("bias")];
    if tile.plus {
        inputs.push(fours("plus"));
    }
    let (mut residual_length, mut coarse_width, mut width) = (0, 0, 0);
    match shape.residual {
        ResidualShape::None => {}
        ResidualShape::Repeated(rows) => (tile.residual, residual_length) = ("repeated", rows * n / 4),
        ResidualShape::Coarser { width } => (tile.residual, coarse_width) = ("coarser", width),
    }
    if tile.residual != "none" {
        inputs.push(fours("residual"));
    }
    match shape.patches {
        Patches::None => {}
        Patches::Merge { width: rows } => {
            assert!(k.is_multiple_of(16), "{shape:?}");
            (tile.patches, width) = ("merge", rows);
        }
        Patches::Expand { width: rows } => {
            assert!(n.is_multiple_of(16), "{shape:?}");
            (tile.patches, width) = ("expand", rows);
        }
    }
    let columns = (n / 4).div_ceil(tile.columns);
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
        ]),
        invocations: rows.div_ceil(tile.rows) * columns,
        body: Box::new(move || tile.text()),
    }
}

/// A variant of the kernel.
#[derive(Clone, Copy, Debug)]
struct Tile {
    rows: usize,
    /// In fours.
    columns: usize,
    plus: bool,
    residual: &'static str,
    patches: &'static str,
    grouped: bool,
    activation: Activation,
}

impl Tile {
    fn text(self) -> String {
        let mut text = String::from(self.activation.text());
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
        for r in 0..self.rows {
            // Rows and columns beyond the last are computed from the last and not written.
            line(format_args!("  let row{r} = min(row + {r}u, rows - 1u);"));
            match self.patches {
                "merge" => line(format_args!(
                    "  let place{r} = row{r} / info[1].w * 4u * info[1].w + row{r} % info[1].w * 2u;
  let from{r} = place{r} * (k / 4u);"
                )),
                _ => line(format_args!("  let from{r} = row{r} * k;")),
            }
            for c in 0..self.columns {
                line(format_args!("  var a{r}_{c} = vec4<f32>(0.0);"));
            }
        }
        for c in 0..self.columns {
            line(format_args!("  let column{c} = min(column + {c}u, n - 1u);"));
        }
        line(format_args!(
            "  var w = {};
  for (var i = 0u; i < k; i++) {{",
            if self.grouped {
                "row % info[2].x * 4u * k * n"
            } else {
                "0u"
            }
        ));
        if self.patches == "merge" {
            // The lower two pixels are a line further on.
            line(format_args!(
                "    let at = i + select(0u, (info[1].w - 1u) * (k / 2u), i >= k / 2u);"
            ));
        } else {
            line(format_args!("    let at = i;"));
        }
        for r in 0..self.rows {
            match self.plus {
                false => line(format_args!("    let x{r} = x[from{r} + at];")),
                true => line(format_args!(
                    "    let x{r} = x[from{r} + at] + plus[(from{r} + at) % info[1].x];"
                )),
            }
        }
        for part in ["x", "y", "z", "w"] {
            for c in 0..self.columns {
                line(format_args!("    let {part}{c}_ = weight[w + column{c}];"));
            }
            for r in 0..self.rows {
                for c in 0..self.columns {
                    line(format_args!("    a{r}_{c} += x{r}.{part} * {part}{c}_;"));
                }
            }
            line(format_args!("    w += n;"));
        }
        line(format_args!("  }}"));

        for r in 0..self.rows {
            line(format_args!("  if (row + {r}u < rows) {{"));
            for c in 0..self.columns {
                if c > 0 {
                    line(format_args!("    if (column + {c}u < n) {{"));
                }
                match self.patches {
                    // In an output of w pixels a row, `pixel` is the upper left one of the row's four.
                    "expand" => line(format_args!(
                        "    let pixel{c} = row{r} / info[1].w * 4u * info[1].w + row{r} % info[1].w * 2u;
    let part{c} = column{c} / (n / 4u);
    let to{c} = (pixel{c} + part{c} / 2u * 2u * info[1].w + part{c} % 2u) * (n / 4u) + column{c} % (n / 4u);"
                    )),
                    _ => line(format_args!("    let to{c} = row{r} * n + column{c};")),
                }
                let bias = if self.grouped {
                    format!("bias[row % info[2].x * n + column{c}]")
                } else {
                    format!("bias[column{c}]")
                };
                let residual = match self.residual {
                    "repeated" => format!(" + residual[to{c} % info[1].y]"),
                    "coarser" => format!(
                        " + residual[(row{r} / (4u * info[1].z) * info[1].z + row{r} % (2u * info[1].z) / 2u) * n + column{c}]"
                    ),
                    _ => String::new(),
                };
                line(format_args!(
                    "    out[to{c}] = activate(a{r}_{c} + {bias}{residual});"
                ));
                if c > 0 {
                    line(format_args!("    }}"));
                }
            }
            line(format_args!("  }}"));
        }
        line(format_args!("}}"));
        text
    }
}
