//! The module of its own that `build.rs` makes of the kernel, with relaxed SIMD, for browsers that have it.
#![no_std]

mod kernel;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

/// [`kernel::multiply`].
///
/// # Safety
/// The same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn multiply(
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
    // SAFETY: the caller's word is passed on.
    unsafe {
        kernel::multiply(a, a_stride, b, b_stride, b_panel, bias, out, out_stride, m, n, k, flags);
    }
}
