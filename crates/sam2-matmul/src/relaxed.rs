//! The kernel as a separate module with relaxed SIMD, for browsers that support it. `build.rs` compiles it.
#![no_std]

mod kernel;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

/// [`kernel::multiply`].
///
/// # Safety
/// The same as of [`kernel::multiply`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn multiply(product: &kernel::Product) {
    // SAFETY: required of the caller.
    unsafe { kernel::multiply(product) };
}
