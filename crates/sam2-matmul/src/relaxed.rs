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
pub unsafe extern "C" fn multiply(product: &kernel::Product) {
    // SAFETY: the caller's word is passed on.
    unsafe { kernel::multiply(product) };
}
