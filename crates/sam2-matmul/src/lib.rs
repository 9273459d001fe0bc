//! Matrix products of f32 on one thread with SIMD, for the CPU in a browser.
//!
//! WebAssembly's SIMD has no fused multiply-add. Relaxed SIMD has one, but not every browser accepts a module that uses
//! it. So the innermost loops are compiled twice: into the module that uses this crate, and into a second module of a
//! few kilobytes, which is included as bytes. If the browser accepts the second module, it is instantiated on the same
//! memory and called instead.
//!
//! This crate contains `unsafe` code: the loops work on pointers, because bounds checks would make them several times
//! slower, and because a second module cannot be passed slices. The public interface is safe, and checks sizes once for
//! each product.

mod kernel;
#[cfg(target_arch = "wasm32")]
mod second_module;

use std::mem::MaybeUninit;
use std::ops::Range;

pub use kernel::PANEL;
use kernel::{ADD, Product, RELU};

/// The number of rows of the left side that are multiplied with one panel after another, so that they stay in the cache.
const BLOCK: usize = 48;
/// The length of the inner dimension that is multiplied at once, so that a panel stays in the smallest cache.
const INNER: usize = 1024;

/// The left side of a product: rows of numbers in memory.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    values: &'a [f32],
    stride: usize,
    rows: usize,
    columns: usize,
}

impl<'a> Rows<'a> {
    /// `rows` rows of `columns` numbers each, which begin `stride` numbers apart.
    ///
    /// # Panics
    /// If `values` has fewer numbers.
    pub fn new(values: &'a [f32], [rows, columns]: [usize; 2], stride: usize) -> Self {
        assert!(extent([rows, columns], stride) <= values.len());
        Self {
            values,
            stride,
            rows,
            columns,
        }
    }
}

/// The right side of a product.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    values: &'a [f32],
    /// The distance between rows, in numbers.
    stride: usize,
    /// The distance between panels of columns, in numbers.
    panel: usize,
    rows: usize,
    columns: usize,
}

impl<'a> Columns<'a> {
    /// A matrix that is not packed: `rows` rows of `columns` numbers each, which begin `stride` numbers apart.
    /// `columns` is a multiple of 4.
    ///
    /// # Panics
    /// If `values` has fewer numbers, or `columns` is not a multiple of 4.
    pub fn new(values: &'a [f32], [rows, columns]: [usize; 2], stride: usize) -> Self {
        assert!(columns.is_multiple_of(4) && extent([rows, columns], stride) <= values.len());
        Self {
            values,
            stride,
            panel: PANEL,
            rows,
            columns,
        }
    }
}

/// The number of values up to the end of a matrix.
fn extent([rows, columns]: [usize; 2], stride: usize) -> usize {
    let Some(before) = rows.checked_sub(1) else {
        return 0;
    };
    let before = before.checked_mul(stride);
    before
        .and_then(|before| before.checked_add(columns))
        .expect("a matrix fits in memory")
}

/// A packed matrix, in the order in which a product reads it: panels of eight columns, each of them row by row.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    panels: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl Packed {
    /// Packs a matrix of `shape` rows and columns, whose number at `[i, j]` is `values[i * strides[0] + j * strides[1]]`.
    ///
    /// # Panics
    /// If `values` has fewer numbers.
    pub fn new(values: &[f32], shape: [usize; 2], strides: [usize; 2]) -> Self {
        let mut packed = Self::default();
        packed.fill(values, shape, strides);
        packed
    }

    /// The same as [`Self::new`], but reuses the memory of an earlier matrix.
    ///
    /// # Panics
    /// If `values` has fewer numbers.
    pub fn fill(&mut self, values: &[f32], [rows, columns]: [usize; 2], [down, along]: [usize; 2]) {
        (self.rows, self.columns) = (rows, columns);
        // The values beyond the last column are never used.
        self.panels.resize(rows * columns.next_multiple_of(PANEL), 0.0);
        for (i, panel) in self.panels.chunks_exact_mut((rows * PANEL).max(1)).enumerate() {
            let first = i * PANEL;
            let width = PANEL.min(columns - first);
            if width == PANEL && along == 1 {
                let from = (0..rows).map(|row| &values[first + row * down..][..PANEL]);
                let panel = panel.chunks_exact_mut(PANEL).zip(from);
                panel.for_each(|(to, from)| to.copy_from_slice(from));
            } else if width == PANEL && down == 1 {
                // The matrix is transposed, so the panel's columns are eight rows in memory.
                let from: [&[f32]; PANEL] = std::array::from_fn(|i| &values[(first + i) * along..][..rows]);
                for (row, to) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
                    *to = std::array::from_fn(|i| from[i][row]);
                }
            } else {
                for (row, to) in panel.chunks_exact_mut(PANEL).enumerate() {
                    let from = values[first * along + row * down..].iter().step_by(along);
                    to.iter_mut()
                        .zip(from)
                        .take(width)
                        .for_each(|(to, from)| *to = *from);
                }
            }
        }
    }

    /// The matrix as the right side of a product.
    pub fn columns(&self) -> Columns<'_> {
        Columns {
            values: &self.panels,
            stride: PANEL,
            panel: PANEL * self.rows,
            rows: self.rows,
            columns: self.columns,
        }
    }

    /// A part of the matrix as the right side of a product. The columns begin at a multiple of 8.
    ///
    /// # Panics
    /// If the columns do not begin at a multiple of 8, or the part is not inside the matrix.
    pub fn part(&self, rows: Range<usize>, columns: Range<usize>) -> Columns<'_> {
        assert!(rows.end <= self.rows && columns.end <= self.columns && columns.start.is_multiple_of(PANEL));
        Columns {
            values: &self.panels[columns.start * self.rows + rows.start * PANEL..],
            rows: rows.len(),
            columns: columns.len(),
            ..self.columns()
        }
    }

    /// The number of rows and of columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// The matrix before it was packed, row by row.
    pub fn unpack(&self) -> Vec<f32> {
        let value = |i: usize, j: usize| self.panels[j / PANEL * PANEL * self.rows + i * PANEL + j % PANEL];
        let positions = (0..self.rows).flat_map(|i| (0..self.columns).map(move |j| (i, j)));
        positions.map(|(i, j)| value(i, j)).collect()
    }
}

/// A bias: one number for each column, which is added to each row of a product.
#[derive(Clone, Debug)]
pub struct Bias {
    values: Vec<f32>,
    columns: usize,
}

impl Bias {
    /// From one number for each column.
    pub fn new(values: &[f32]) -> Self {
        let columns = values.len();
        let mut values = values.to_vec();
        values.resize(columns.next_multiple_of(PANEL), 0.0);
        Self { values, columns }
    }

    /// The numbers, one for each column.
    pub fn values(&self) -> &[f32] {
        &self.values[..self.columns]
    }
}

/// Computes `left` times `right`, plus `bias`; returns the result row by row.
///
/// # Panics
/// If the sizes do not match.
pub fn multiply(left: Rows, right: Columns, bias: Option<&Bias>) -> Vec<f32> {
    let columns = right.columns;
    let length = left.rows.checked_mul(columns).expect("a product fits in memory");
    let mut out = Vec::with_capacity(length);
    let spare = &mut out.spare_capacity_mut()[..length];
    for (i, block) in spare.chunks_mut((BLOCK * columns).max(1)).enumerate() {
        product(left.block(i), right, bias, false, block, columns);
    }
    // SAFETY: the blocks cover all of `out`, and `product` has written every number of each block.
    unsafe { out.set_len(length) };
    out
}

/// Computes `left` times `right`, plus `bias`, into rows of `out` that begin `stride` numbers apart. The numbers
/// between the rows do not change. With `relu`, negative results become zero.
///
/// # Panics
/// If the sizes do not match.
pub fn multiply_into(
    left: Rows,
    right: Columns,
    bias: Option<&Bias>,
    relu: bool,
    out: &mut [f32],
    stride: usize,
) {
    assert!(right.columns <= stride || left.rows <= 1);
    assert!(extent([left.rows, right.columns], stride) <= out.len());
    // SAFETY: `MaybeUninit<f32>` has the layout of `f32`, and `product` only writes initialised numbers.
    let out = unsafe { &mut *(std::ptr::from_mut(out) as *mut [MaybeUninit<f32>]) };
    let blocks = out.chunks_mut((BLOCK * stride).max(1));
    for (i, block) in blocks.enumerate().take(left.rows.div_ceil(BLOCK)) {
        product(left.block(i), right, bias, relu, block, stride);
    }
}

impl<'a> Rows<'a> {
    /// Block number `i` of [`BLOCK`] rows.
    fn block(self, i: usize) -> Self {
        self.part(i * BLOCK, BLOCK)
    }

    /// At most `length` rows, from row `first` on.
    pub fn part(self, first: usize, length: usize) -> Self {
        let first = first.min(self.rows);
        Self {
            values: self.values.get(first * self.stride..).unwrap_or_default(),
            rows: length.min(self.rows - first),
            ..self
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

/// The product of some rows.
fn product(
    left: Rows,
    right: Columns,
    bias: Option<&Bias>,
    relu: bool,
    out: &mut [MaybeUninit<f32>],
    stride: usize,
) {
    let (m, k, n) = (left.rows, left.columns, right.columns);
    assert_eq!(k, right.rows, "as many columns as rows");
    assert!(extent([m, n], stride) <= out.len() && bias.is_none_or(|bias| bias.columns == n));
    if m == 0 || n == 0 {
        return;
    }
    // At least once, so that the output is also written if the inner dimension is 0.
    for start in (0..k.max(1)).step_by(INNER) {
        let end = k.min(start + INNER);
        let bias = bias.filter(|_| start == 0);
        let flags = if start > 0 { ADD } else { 0 } | if relu && end == k { RELU } else { 0 };
        let product = Product {
            a: left.values[start..].as_ptr(),
            a_stride: left.stride,
            b: right.values[start * right.stride..].as_ptr(),
            b_stride: right.stride,
            b_panel: right.panel,
            bias: bias.map_or(std::ptr::null(), |bias| bias.values.as_ptr()),
            out: out.as_mut_ptr().cast(),
            out_stride: stride,
            m,
            n,
            k: end - start,
            flags,
        };
        #[cfg(target_arch = "wasm32")]
        if second_module::multiply(&product) {
            continue;
        }
        // SAFETY: the constructors of `Rows`, `Columns` and `Packed` have checked their sizes, and the size of `out`
        // was checked above. A bias is as long as its columns, rounded up to a multiple of 8, and the part from `start`
        // to `end` is inside `k`. The number of columns that are not packed is a multiple of 4, and packed panels have
        // 8 columns.
        unsafe { kernel::multiply(&product) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look like none in particular.
    fn numbers(length: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    /// Row by row, in f64.
    fn plain(left: &[f32], right: &[f32], [m, k, n]: [usize; 3]) -> Vec<f64> {
        let product = |i: usize, j: usize| {
            (0..k)
                .map(|p| f64::from(left[i * k + p]) * f64::from(right[p * n + j]))
                .sum::<f64>()
        };
        (0..m * n).map(|at| product(at / n, at % n)).collect()
    }

    fn close(ours: &[f32], wanted: &[f64], k: usize) {
        assert_eq!(ours.len(), wanted.len());
        for (i, (ours, wanted)) in ours.iter().zip(wanted).enumerate() {
            let difference = (f64::from(*ours) - wanted).abs();
            assert!(difference <= 3e-7 * k as f64, "at {i}: {ours} for {wanted}");
        }
    }

    /// Every rest of rows, columns and the inner dimension, and more than one block of each.
    const SHAPES: [[usize; 3]; 16] = [
        [1, 1, 1],
        [4, 4, 8],
        [5, 3, 7],
        [6, 9, 12],
        [7, 2, 5],
        [8, 8, 8],
        [9, 8, 9],
        [14, 5, 16],
        [13, 17, 11],
        [3, 5, 2],
        [2, 6, 3],
        [49, 32, 96],
        [100, 147, 32],
        [17, 2500, 10],
        [3, 0, 4],
        [0, 3, 4],
    ];

    #[test]
    fn a_product_is_the_sum_of_products() {
        for [m, k, n] in SHAPES {
            let (left, right) = (numbers(m * k, 1), numbers(k * n, 2));
            let wanted = plain(&left, &right, [m, k, n]);
            let packed = Packed::new(&right, [k, n], [n, 1]);
            assert_eq!(packed.unpack(), right);
            let rows = Rows::new(&left, [m, k], k);
            close(&multiply(rows, packed.columns(), None), &wanted, k);

            let bias = numbers(n, 3);
            let with_bias: Vec<f64> = wanted
                .iter()
                .enumerate()
                .map(|(i, x)| x + f64::from(bias[i % n]))
                .collect();
            let bias = Bias::new(&bias);
            close(&multiply(rows, packed.columns(), Some(&bias)), &with_bias, k + 1);

            let positive: Vec<f64> = with_bias.iter().map(|x| x.max(0.0)).collect();
            let mut out = vec![7.0; m * n];
            multiply_into(rows, packed.columns(), Some(&bias), true, &mut out, n);
            close(&out, &positive, k + 1);
        }
    }

    #[test]
    fn sides_may_lie_within_larger_matrices() {
        let [m, k, n] = [60, 13, 20];
        let (left, right) = (numbers(m * 31, 4), numbers(k * 45, 5));
        let part = |values: &[f32], rows: usize, columns: usize, stride: usize| -> Vec<f32> {
            (0..rows)
                .flat_map(|i| values[i * stride..][..columns].to_vec())
                .collect()
        };
        let wanted = plain(&part(&left, m, k, 31), &part(&right, k, n, 45), [m, k, n]);
        let rows = Rows::new(&left, [m, k], 31);

        close(
            &multiply(rows, Columns::new(&right, [k, n], 45), None),
            &wanted,
            k,
        );

        // By the other order of strides: a transposed matrix.
        let transposed: Vec<f32> = (0..n * 45)
            .map(|at| right.get(at % 45 * 45 + at / 45).copied().unwrap_or(0.0))
            .collect();
        let packed = Packed::new(&transposed, [k, n], [1, 45]);
        close(&multiply(rows, packed.columns(), None), &wanted, k);

        let mut out = vec![7.0; m * 23];
        multiply_into(rows, packed.columns(), None, false, &mut out, 23);
        close(&part(&out, m, n, 23), &wanted, k);
        assert!(out.chunks(23).all(|row| row[n..] == [7.0; 3]));
    }

    #[test]
    fn a_part_of_a_packed_matrix_is_that_part() {
        let [m, k, n] = [11, 20, 30];
        let (left, right) = (numbers(m * k, 6), numbers(k * n, 7));
        let packed = Packed::new(&right, [k, n], [n, 1]);
        for (rows, columns) in [(0..20, 8..30), (5..17, 16..24), (19..20, 24..27), (4..4, 0..30)] {
            let (length, width) = (rows.len(), columns.len());
            let inner: Vec<f32> = left
                .chunks(k)
                .flat_map(|row| row[rows.clone()].to_vec())
                .collect();
            let part: Vec<f32> = rows
                .clone()
                .flat_map(|i| right[i * n..][columns.clone()].to_vec())
                .collect();
            let wanted = plain(&inner, &part, [m, length, width]);
            let ours = multiply(
                Rows::new(&inner, [m, length], length),
                packed.part(rows, columns),
                None,
            );
            close(&ours, &wanted, length.max(1));
        }
    }

    #[test]
    #[should_panic(expected = "is_multiple_of")]
    fn a_part_within_a_panel_is_refused() {
        Packed::new(&[0.0; 30], [3, 10], [10, 1]).part(0..3, 4..10);
    }

    #[test]
    fn numbers_that_are_none_stay_so() {
        let packed = Packed::new(&[1.0; 6], [2, 3], [3, 1]);
        let left = [f32::NAN, 1.0, f32::INFINITY, 1.0];
        let mut out = [7.0; 6];
        multiply_into(
            Rows::new(&left, [2, 2], 2),
            packed.columns(),
            None,
            true,
            &mut out,
            3,
        );
        assert!(out[..3].iter().all(|x| x.is_nan()));
        assert_eq!(out[3..], [f32::INFINITY; 3]);
    }

    #[test]
    #[should_panic(expected = "as many columns as rows")]
    fn sizes_that_do_not_fit_are_refused() {
        let packed = Packed::new(&[0.0; 6], [3, 2], [2, 1]);
        multiply(Rows::new(&[0.0; 4], [2, 2], 2), packed.columns(), None);
    }
}
