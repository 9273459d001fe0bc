//! Freed memory that stays with the process.

/// Tells glibc's allocator to keep freed memory for later allocations, instead of returning large tensors to the system
/// after every use. Taking them again costs page faults: up to a tenth of an encode. Other allocators are left as they are.
///
/// The process then holds as much memory as it needed at most.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` only sets numbers. It may be called at any time.
    unsafe {
        // No mappings of their own for large allocations, and the end of the heap is never trimmed.
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
}
