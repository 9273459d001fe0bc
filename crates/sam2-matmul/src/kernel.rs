//! The innermost loops: a product of rows with a packed matrix, by tiles whose sums stay in registers.
//!
//! For browsers it is compiled twice: as a part of the crate, and by `build.rs` as a separate module with relaxed SIMD.
//! So it uses only `core`, and neither static data nor a stack in memory, because the second module has no memory of
//! its own.

/// The number of columns of a packed panel, which fit two registers of four numbers.
pub const PANEL: usize = 8;

/// A flag of [`Product::flags`]: negative results become zero.
pub const RELU: usize = 1;
/// A flag of [`Product::flags`]: the numbers in `out` are added before the activation.
pub const ADD: usize = 2;

/// Four numbers.
#[cfg(target_arch = "wasm32")]
mod simd {
    use core::arch::wasm32 as wasm;
    pub use wasm::v128 as F32x4;

    #[inline(always)]
    pub fn splat(x: f32) -> F32x4 {
        wasm::f32x4_splat(x)
    }
    /// # Safety
    /// Four numbers can be read there.
    #[inline(always)]
    pub unsafe fn load(from: *const f32) -> F32x4 {
        // SAFETY: required of the caller; the instruction needs no alignment.
        unsafe { wasm::v128_load(from.cast()) }
    }
    /// # Safety
    /// A number can be read there.
    #[inline(always)]
    pub unsafe fn load_splat(from: *const f32) -> F32x4 {
        // SAFETY: required of the caller.
        unsafe { wasm::v128_load32_splat(from.cast()) }
    }
    /// # Safety
    /// Four numbers can be written there.
    #[inline(always)]
    pub unsafe fn store(to: *mut f32, x: F32x4) {
        // SAFETY: required of the caller; the instruction needs no alignment.
        unsafe { wasm::v128_store(to.cast(), x) }
    }
    /// # Safety
    /// A number can be written there.
    #[inline(always)]
    pub unsafe fn store_lane<const LANE: usize>(to: *mut f32, x: F32x4) {
        // SAFETY: required of the caller.
        unsafe { wasm::v128_store32_lane::<LANE>(x, to.cast()) }
    }
    #[inline(always)]
    pub fn add(a: F32x4, b: F32x4) -> F32x4 {
        wasm::f32x4_add(a, b)
    }
    /// The larger of each two.
    #[inline(always)]
    pub fn max(a: F32x4, b: F32x4) -> F32x4 {
        wasm::f32x4_pmax(a, b)
    }
    /// a * b + c, rounded only once if the processor supports it.
    #[inline(always)]
    pub fn multiply_add(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
        #[cfg(target_feature = "relaxed-simd")]
        return wasm::f32x4_relaxed_madd(a, b, c);
        #[cfg(not(target_feature = "relaxed-simd"))]
        wasm::f32x4_add(wasm::f32x4_mul(a, b), c)
    }
}

/// The same operations on any processor, for tests.
#[cfg(not(target_arch = "wasm32"))]
mod simd {
    use core::array::from_fn;
    pub type F32x4 = [f32; 4];

    #[inline(always)]
    pub fn splat(x: f32) -> F32x4 {
        [x; 4]
    }
    /// # Safety
    /// Four numbers can be read there.
    #[inline(always)]
    pub unsafe fn load(from: *const f32) -> F32x4 {
        // SAFETY: required of the caller.
        unsafe { from.cast::<F32x4>().read_unaligned() }
    }
    /// # Safety
    /// A number can be read there.
    #[inline(always)]
    pub unsafe fn load_splat(from: *const f32) -> F32x4 {
        // SAFETY: required of the caller.
        [unsafe { *from }; 4]
    }
    /// # Safety
    /// Four numbers can be written there.
    #[inline(always)]
    pub unsafe fn store(to: *mut f32, x: F32x4) {
        // SAFETY: required of the caller.
        unsafe { to.cast::<F32x4>().write_unaligned(x) }
    }
    /// # Safety
    /// A number can be written there.
    #[inline(always)]
    pub unsafe fn store_lane<const LANE: usize>(to: *mut f32, x: F32x4) {
        // SAFETY: required of the caller.
        unsafe { to.write(x[LANE]) }
    }
    #[inline(always)]
    pub fn add(a: F32x4, b: F32x4) -> F32x4 {
        from_fn(|i| a[i] + b[i])
    }
    /// The larger of each two.
    #[inline(always)]
    pub fn max(a: F32x4, b: F32x4) -> F32x4 {
        from_fn(|i| if a[i] < b[i] { b[i] } else { a[i] })
    }
    /// a * b + c.
    #[inline(always)]
    pub fn multiply_add(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
        from_fn(|i| a[i] * b[i] + c[i])
    }
}

use simd::F32x4;

/// The number of rows of a tile, whose sums just fit sixteen registers. Without a fused multiply-add, the product needs a
/// register of its own.
const ROWS: usize = if cfg!(target_feature = "relaxed-simd") {
    6
} else {
    4
};

/// The number of rows of a tile for the rows that are left. With fewer rows, a tile has fewer sums than the processor has
/// multiplications in flight, and has to wait for them. So eight rows are two such tiles, not one of six and a slow one.
const REST: usize = 4;

/// An unrolled loop of at most six iterations. Arrays with constant indices become registers, while a loop over them
/// might keep them in memory, of which the second module has none.
macro_rules! unrolled {
    ($i:ident < $n:ident $body:block) => {
        unrolled!($i $n $body 0 1 2 3 4 5)
    };
    ($i:ident $n:ident $body:block $($at:literal)*) => {
        $(if $at < $n {
            let $i = $at;
            $body
        })*
    };
}

/// The arguments of a call. Strides are in numbers. It is passed to the second module by its address, since both
/// modules share one memory.
#[repr(C)]
pub struct Product {
    /// The left side: `m` rows of `k` numbers.
    pub a: *const f32,
    /// The distance between rows of `a`.
    pub a_stride: usize,
    /// The right side: panels of `k` rows and eight columns.
    pub b: *const f32,
    /// The distance between rows of a panel.
    pub b_stride: usize,
    /// The distance between panels.
    pub b_panel: usize,
    /// The bias: `n` numbers, or null.
    pub bias: *const f32,
    /// The result: `m` rows of `n` numbers.
    pub out: *mut f32,
    /// The distance between rows of `out`.
    pub out_stride: usize,
    /// The number of rows of `a` and `out`.
    pub m: usize,
    /// The number of columns of `b` and `out`.
    pub n: usize,
    /// The number of columns of `a` and of rows of `b`.
    pub k: usize,
    /// A combination of [`RELU`] and [`ADD`].
    pub flags: usize,
}

/// `out = activation(a b + bias (+ out))`.
///
/// # Safety
/// - `a` and `out` have the rows that [`Product`] says, and nothing else accesses those of `out`.
/// - Each panel of `b` has `k` rows of eight numbers, or of four if it is the last one and at most four columns are left.
/// - `bias` is null or has `n` numbers, rounded up to a multiple of 4.
#[inline(always)]
pub unsafe fn multiply(product: &Product) {
    let mut column = 0;
    while column < product.n {
        // SAFETY: the panel and its columns are inside `b` and `out`, as required of the caller.
        unsafe {
            if product.n - column > 4 {
                rows::<2>(product, column);
            } else {
                rows::<1>(product, column);
            }
        }
        column += PANEL;
    }
}

/// Multiplies all rows with the panel that begins at `column`.
#[inline(always)]
unsafe fn rows<const C: usize>(product: &Product, column: usize) {
    let mut left = product.m;
    let (mut a, mut out) = (product.a, product.out.wrapping_add(column));
    // SAFETY: `a` and `out` have `left` more rows from the addresses to which these point now.
    unsafe {
        while left >= ROWS && left != 2 * REST {
            tile::<ROWS, C>(product, a, out, column);
            a = a.wrapping_add(ROWS * product.a_stride);
            out = out.wrapping_add(ROWS * product.out_stride);
            left -= ROWS;
        }
        if left > 0 {
            last_rows::<C>(product, a, out, column, left);
        }
    }
}

/// Multiplies the rows that are left, from `a` and `out` on. It is a separate function so that browsers optimise the
/// one above sooner. Until then, a module's first products take several times as long.
#[inline(never)]
unsafe fn last_rows<const C: usize>(
    product: &Product,
    mut a: *const f32,
    mut out: *mut f32,
    column: usize,
    mut left: usize,
) {
    // SAFETY: `a` and `out` have `left` more rows from the addresses to which these point now.
    unsafe {
        while left >= REST {
            tile::<REST, C>(product, a, out, column);
            a = a.wrapping_add(REST * product.a_stride);
            out = out.wrapping_add(REST * product.out_stride);
            left -= REST;
        }
        match left {
            3 => tile::<3, C>(product, a, out, column),
            2 => tile::<2, C>(product, a, out, column),
            1 => tile::<1, C>(product, a, out, column),
            _ => {}
        }
    }
}

/// Multiplies `R` rows, from `a` on, with the panel that begins at `column`, into `out`.
#[inline(always)]
unsafe fn tile<const R: usize, const C: usize>(
    product: &Product,
    a: *const f32,
    out: *mut f32,
    column: usize,
) {
    let mut sums = [[simd::splat(0.0); C]; R];
    if !product.bias.is_null() {
        unrolled!(c < C {
            // SAFETY: the bias reaches to the end of these four columns.
            let bias = unsafe { simd::load(product.bias.wrapping_add(column + 4 * c)) };
            unrolled!(r < R {
                sums[r][c] = bias;
            });
        });
    }
    let mut rows = [a; R];
    unrolled!(r < R {
        rows[r] = a.wrapping_add(r * product.a_stride);
    });
    let mut b = product.b.wrapping_add(column / PANEL * product.b_panel);
    // One row of the panel in each iteration. In a longer iteration, compilers would move all loads to the front, where
    // they need more registers than there are.
    for _ in 0..product.k {
        // SAFETY: the rows and the panel have the length `k`.
        unsafe {
            let mut columns = [simd::splat(0.0); C];
            unrolled!(c < C {
                columns[c] = simd::load(b.wrapping_add(4 * c));
            });
            unrolled!(r < R {
                let x = simd::load_splat(rows[r]);
                unrolled!(c < C {
                    sums[r][c] = simd::multiply_add(x, columns[c], sums[r][c]);
                });
                rows[r] = rows[r].wrapping_add(1);
            });
        }
        b = b.wrapping_add(product.b_stride);
    }
    unrolled!(r < R {
        let out = out.wrapping_add(r * product.out_stride);
        // SAFETY: the row has this many columns from `out` on.
        unsafe { finish(sums[r], out, product.n - column, product.flags) };
    });
}

/// Writes a row's sums to at most `width` columns from `out` on.
#[inline(always)]
unsafe fn finish<const C: usize>(sums: [F32x4; C], out: *mut f32, width: usize, flags: usize) {
    unrolled!(c < C {
        let mut sum = sums[c];
        let (out, left) = (out.wrapping_add(4 * c), width - 4 * c);
        // SAFETY: the row has `left` more numbers.
        unsafe {
            if left >= 4 {
                if flags & ADD != 0 {
                    sum = simd::add(sum, simd::load(out));
                }
                if flags & RELU != 0 {
                    sum = simd::max(sum, simd::splat(0.0));
                }
                simd::store(out, sum);
            } else {
                finish_lane::<0>(sum, out, flags);
                if left > 1 {
                    finish_lane::<1>(sum, out, flags);
                }
                if left > 2 {
                    finish_lane::<2>(sum, out, flags);
                }
            }
        }
    });
}

/// Writes one of the last few columns of a row.
#[inline(always)]
unsafe fn finish_lane<const LANE: usize>(mut sum: F32x4, out: *mut f32, flags: usize) {
    // SAFETY: the row has this column, as `finish` has checked.
    unsafe {
        let out = out.add(LANE);
        if flags & ADD != 0 {
            sum = simd::add(sum, simd::load_splat(out));
        }
        if flags & RELU != 0 {
            sum = simd::max(sum, simd::splat(0.0));
        }
        simd::store_lane::<LANE>(out, sum);
    }
}
