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
