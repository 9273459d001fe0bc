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

/// What a call works on. Strides count numbers.
#[derive(Clone, Copy)]
struct Task {
    a: *const f32,
    a_stride: usize,
    b: *const f32,
    b_stride: usize,
    bias: *const f32,
    out: *mut f32,
    out_stride: usize,
    k: usize,
    flags: usize,
}

impl Task {
    /// The same, some rows on.
    #[inline(always)]
    fn after(self, rows: usize) -> Self {
        Self {
            a: self.a.wrapping_add(rows * self.a_stride),
            out: self.out.wrapping_add(rows * self.out_stride),
            ..self
        }
    }
}

/// `out[m, n] = activation(a[m, k] b[k, n] + bias[n] (+ out))`, by panels of eight columns of `b`, each `b_panel`
/// numbers after the one before, its rows `b_stride` apart. `bias` may be null.
///
/// # Safety
/// - `a` has `m` rows of `k` numbers, `a_stride` apart, and `out` as many of `n`, `out_stride` apart, that nothing else
///   uses.
/// - Each panel of `b` has `k` rows of eight numbers; of four, if it is the last and at most four columns are left.
/// - `bias`, if not null, has `n` numbers, rounded up to fours.
#[allow(clippy::too_many_arguments)] // It may be called across modules, where there are only numbers.
#[inline(always)]
pub unsafe fn multiply(
    a: *const f32,
    a_stride: usize,
    b: *const f32,
    b_stride: usize,
    b_panel: usize,
    bias: *const f32,
    out: *mut f32,
    out_stride: usize,
    m: usize,
    n: usize,
    k: usize,
    flags: usize,
) {
    let mut column = 0;
    let mut panel = b;
    while column < n {
        let width = n - column;
        let task = Task {
            a,
            a_stride,
            b: panel,
            b_stride,
            bias: if bias.is_null() {
                bias
            } else {
                bias.wrapping_add(column)
            },
            out: out.wrapping_add(column),
            out_stride,
            k,
            flags,
        };
        // SAFETY: the panel and its columns lie in `b` and `out` as asked of the caller.
        unsafe {
            if width > 4 {
                rows::<2>(task, m, width);
            } else {
                rows::<1>(task, m, width);
            }
        }
        column += PANEL;
        panel = panel.wrapping_add(b_panel);
    }
}

/// All rows with one panel.
#[inline(always)]
unsafe fn rows<const C: usize>(mut task: Task, m: usize, width: usize) {
    let mut left = m;
    // SAFETY: `left` rows are left of `a` and `out`, from where the task now points.
    unsafe {
        while left >= ROWS && left != 2 * REST {
            tile::<ROWS, C>(task, width);
            task = task.after(ROWS);
            left -= ROWS;
        }
        if left > 0 {
            last_rows::<C>(
                task.a,
                task.a_stride,
                task.b,
                task.b_stride,
                task.bias,
                task.out,
                task.out_stride,
                task.k,
                task.flags,
                left,
                width,
            );
        }
    }
}

/// What is left of them. A function of its own, so that browsers optimise the one above sooner: until then a module's
/// first products take several times as long.
#[allow(clippy::too_many_arguments)] // By a pointer they would need a stack in memory.
#[inline(never)]
unsafe fn last_rows<const C: usize>(
    a: *const f32,
    a_stride: usize,
    b: *const f32,
    b_stride: usize,
    bias: *const f32,
    out: *mut f32,
    out_stride: usize,
    k: usize,
    flags: usize,
    mut left: usize,
    width: usize,
) {
    let mut task = Task {
        a,
        a_stride,
        b,
        b_stride,
        bias,
        out,
        out_stride,
        k,
        flags,
    };
    // SAFETY: as asked of the caller.
    unsafe {
        while left >= REST {
            tile::<REST, C>(task, width);
            task = task.after(REST);
            left -= REST;
        }
        if left == 3 {
            tile::<3, C>(task, width);
        } else if left == 2 {
            tile::<2, C>(task, width);
        } else if left == 1 {
            tile::<1, C>(task, width);
        }
    }
}

/// `R` rows with one panel.
#[inline(always)]
unsafe fn tile<const R: usize, const C: usize>(task: Task, width: usize) {
    let Task { k, b_stride, .. } = task;
    let mut sums = [[simd::splat(0.0); C]; R];
    if !task.bias.is_null() {
        unrolled!(c < C {
            // SAFETY: the bias goes on to the end of these four columns.
            let bias = unsafe { simd::load(task.bias.wrapping_add(4 * c)) };
            unrolled!(r < R {
                sums[r][c] = bias;
            });
        });
    }
    let mut rows = [task.a; R];
    unrolled!(r < R {
        rows[r] = task.a.wrapping_add(r * task.a_stride);
    });
    let mut b = task.b;
    // One row of the panel a turn: compilers move the loads of a longer turn to its front, where they need more registers
    // than there are.
    for _ in 0..k {
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
        b = b.wrapping_add(b_stride);
    }
    unrolled!(r < R {
        let out = task.out.wrapping_add(r * task.out_stride);
        // SAFETY: the row has `width` columns from here.
        unsafe { finish(sums[r], out, width, task.flags) };
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
