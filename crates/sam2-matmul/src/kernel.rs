//! The innermost loops: a product of rows with a packed matrix, by tiles whose sums stay in registers.
//!
//! Compiled twice for browsers: as a part of the crate, and by `build.rs` as a module of its own with relaxed SIMD.
//! So it needs nothing but `core`, and neither static data nor a stack in memory: that module has none of its own.

/// Columns of a packed panel: two registers of four numbers.
pub const PANEL: usize = 8;

/// `RELU` and `ADD` together say how a product ends.
pub const RELU: usize = 1;
/// What `out` holds is added, before the activation.
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
        // SAFETY: as asked of the caller; the instruction needs no alignment.
        unsafe { wasm::v128_load(from.cast()) }
    }
    /// # Safety
    /// A number can be read there.
    #[inline(always)]
    pub unsafe fn load_splat(from: *const f32) -> F32x4 {
        // SAFETY: as asked of the caller.
        unsafe { wasm::v128_load32_splat(from.cast()) }
    }
    /// # Safety
    /// Four numbers can be written there.
    #[inline(always)]
    pub unsafe fn store(to: *mut f32, x: F32x4) {
        // SAFETY: as asked of the caller; the instruction needs no alignment.
        unsafe { wasm::v128_store(to.cast(), x) }
    }
    /// # Safety
    /// A number can be written there.
    #[inline(always)]
    pub unsafe fn store_lane<const LANE: usize>(to: *mut f32, x: F32x4) {
        // SAFETY: as asked of the caller.
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
    /// a * b + c, rounded once where the processor can.
    #[inline(always)]
    pub fn multiply_add(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
        #[cfg(target_feature = "relaxed-simd")]
        return wasm::f32x4_relaxed_madd(a, b, c);
        #[cfg(not(target_feature = "relaxed-simd"))]
        wasm::f32x4_add(wasm::f32x4_mul(a, b), c)
    }
}

/// The same on any processor, for tests.
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
        // SAFETY: as asked of the caller.
        unsafe { from.cast::<F32x4>().read_unaligned() }
    }
    /// # Safety
    /// A number can be read there.
    #[inline(always)]
    pub unsafe fn load_splat(from: *const f32) -> F32x4 {
        // SAFETY: as asked of the caller.
        [unsafe { *from }; 4]
    }
    /// # Safety
    /// Four numbers can be written there.
    #[inline(always)]
    pub unsafe fn store(to: *mut f32, x: F32x4) {
        // SAFETY: as asked of the caller.
        unsafe { to.cast::<F32x4>().write_unaligned(x) }
    }
    /// # Safety
    /// A number can be written there.
    #[inline(always)]
    pub unsafe fn store_lane<const LANE: usize>(to: *mut f32, x: F32x4) {
        // SAFETY: as asked of the caller.
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

/// Rows of the tile whose sums just fit sixteen registers; where a product is rounded before it is added it needs a
/// register in between.
const ROWS: usize = if cfg!(target_feature = "relaxed-simd") {
    6
} else {
    4
};

/// Of the rows that are left then. A tile of fewer has fewer sums than a processor has multiplications under way, and
/// waits for them: eight rows are two such tiles, not one of six and a slow one.
const REST: usize = 4;

/// A loop of at most six turns, written out: arrays whose places are all known become registers, while a loop over them
/// may keep them in memory, where the second module has none.
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

/// What a call works on. Strides count numbers. It goes to the second module by its address, as both have one memory.
#[repr(C)]
pub struct Product {
    /// `m` rows of `k` numbers.
    pub a: *const f32,
    /// From row to row.
    pub a_stride: usize,
    /// Panels of eight columns of `k` rows.
    pub b: *const f32,
    /// From row to row.
    pub b_stride: usize,
    /// From panel to panel.
    pub b_panel: usize,
    /// `n` numbers, or null.
    pub bias: *const f32,
    /// `m` rows of `n` numbers.
    pub out: *mut f32,
    /// From row to row.
    pub out_stride: usize,
    /// Rows of `a` and `out`.
    pub m: usize,
    /// Columns of `b` and `out`.
    pub n: usize,
    /// Columns of `a` and rows of `b`.
    pub k: usize,
    /// [`RELU`] and [`ADD`].
    pub flags: usize,
}

/// `out = activation(a b + bias (+ out))`.
///
/// # Safety
/// - `a` and `out` have the rows that [`Product`] says, and nothing else uses those of `out`.
/// - Each panel of `b` has `k` rows of eight numbers; of four, if it is the last and at most four columns are left.
/// - `bias`, if not null, has `n` numbers, rounded up to fours.
#[inline(always)]
pub unsafe fn multiply(product: &Product) {
    let mut column = 0;
    while column < product.n {
        // SAFETY: the panel and its columns lie in `b` and `out` as asked of the caller.
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

/// All rows with the panel that begins at `column`.
#[inline(always)]
unsafe fn rows<const C: usize>(product: &Product, column: usize) {
    let mut left = product.m;
    let (mut a, mut out) = (product.a, product.out.wrapping_add(column));
    // SAFETY: `left` rows are left of `a` and `out`, from where these now point.
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

/// What is left of them, from `a` and `out` on. A function of its own, so that browsers optimise the one above sooner:
/// until then a module's first products take several times as long.
#[inline(never)]
unsafe fn last_rows<const C: usize>(
    product: &Product,
    mut a: *const f32,
    mut out: *mut f32,
    column: usize,
    mut left: usize,
) {
    // SAFETY: `left` rows are left of `a` and `out`, from where these now point.
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

/// `R` rows from `a` on, to `out`, with the panel that begins at `column`.
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
            // SAFETY: the bias goes on to the end of these four columns.
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
    // One row of the panel a turn: compilers move the loads of a longer turn to its front, where they need more registers
    // than there are.
    for _ in 0..product.k {
        // SAFETY: the rows and the panel are `k` long.
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
        // SAFETY: the row has so many columns from here.
        unsafe { finish(sums[r], out, product.n - column, product.flags) };
    });
}

/// A row's end: the sums to `width` columns from `out` on.
#[inline(always)]
unsafe fn finish<const C: usize>(sums: [F32x4; C], out: *mut f32, width: usize, flags: usize) {
    unrolled!(c < C {
        let mut sum = sums[c];
        let (out, left) = (out.wrapping_add(4 * c), width - 4 * c);
        // SAFETY: `left` numbers are left of the row.
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

/// One column of a row's last few.
#[inline(always)]
unsafe fn finish_lane<const LANE: usize>(mut sum: F32x4, out: *mut f32, flags: usize) {
    // SAFETY: the row has this column, as `finish` saw.
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
