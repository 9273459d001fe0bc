//! What kind of adapter the kernels run on, which decides between their variants.

use std::sync::atomic::{AtomicBool, Ordering};

/// What an adapter is good at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterClass {
    /// A CPU that plays a GPU: barriers and workgroup memory cost it more than they save.
    Software,
    /// A real GPU, with fast workgroup memory.
    Hardware,
}

/// Kernels without barriers run well enough everywhere, so they are used until a GPU is known to be a real one.
static HARDWARE: AtomicBool = AtomicBool::new(false);
static F16: AtomicBool = AtomicBool::new(false);
static F16_PRODUCTS: AtomicBool = AtomicBool::new(false);

/// Sets the class for all later calls.
pub fn set_adapter_class(class: AdapterClass) {
    HARDWARE.store(class == AdapterClass::Hardware, Ordering::Relaxed);
}

/// As it was set.
pub fn adapter_class() -> AdapterClass {
    match HARDWARE.load(Ordering::Relaxed) {
        true => AdapterClass::Hardware,
        false => AdapterClass::Software,
    }
}

/// Sets whether kernels may read f16 numbers, for all later calls: the device has the feature `shader-f16`.
pub fn set_f16(has: bool) {
    F16.store(has, Ordering::Relaxed);
}

/// As it was set; at first it has not.
pub fn has_f16() -> bool {
    F16.load(Ordering::Relaxed)
}

/// Sets whether matrices are multiplied in f16, for all later calls, where the device has it and is a real GPU: products of
/// four values in f16, their sums in f32. It costs three digits of the answer.
pub fn set_f16_products(wanted: bool) {
    F16_PRODUCTS.store(wanted, Ordering::Relaxed);
}

/// Whether they are: as it was set, where the device can.
pub fn f16_products() -> bool {
    F16_PRODUCTS.load(Ordering::Relaxed) && has_f16() && adapter_class() == AdapterClass::Hardware
}
