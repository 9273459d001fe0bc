//! The memory of a network's tensors: a global allocator for WebAssembly that keeps large and small allocations apart, and
//! [`keep_freed_memory`] for native programs.
//!
//! The memory of a WebAssembly module never shrinks, and a network's tensors are allocated and freed with every frame. If
//! small allocations that stay (a past mask, a map's node) end up between them, a tensor of the next frame no longer fits
//! into the gap that an earlier one left, and the memory grows. So small and large allocations never share a page.

mod keep;

pub use keep::keep_freed_memory;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;

use dlmalloc::Dlmalloc;

/// The size in bytes from which an allocation is large: smaller than any feature map, and larger than lists and texts.
const LARGE: usize = 1 << 14;

/// A global allocator for one thread.
///
/// ```
/// #[cfg(target_family = "wasm")]
/// #[global_allocator]
/// static HEAP: sam2_heap::Heap = sam2_heap::Heap::new();
/// ```
pub struct Heap {
    small: UnsafeCell<Dlmalloc>,
    large: UnsafeCell<Dlmalloc>,
}

// SAFETY: without wasm's atomics there is only one thread, and an allocator makes no callbacks.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
unsafe impl Sync for Heap {}

impl Heap {
    /// An empty allocator, which takes pages from the module's memory when it needs them.
    pub const fn new() -> Self {
        Self {
            small: UnsafeCell::new(Dlmalloc::new()),
            large: UnsafeCell::new(Dlmalloc::new()),
        }
    }

    /// The allocator for allocations of `size` bytes.
    #[allow(clippy::mut_from_ref)] // Each caller below has finished with it before another one begins.
    fn part(&self, size: usize) -> &mut Dlmalloc {
        let part = if size < LARGE { &self.small } else { &self.large };
        // SAFETY: there is only one thread, and no caller keeps the reference while it calls another method of this type.
        unsafe { &mut *part.get() }
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: both parts are allocators that keep the contract. A block is returned to the part that it came from, which its
// size tells; the caller must pass the right size.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        unsafe { self.part(layout.size()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        unsafe { self.part(layout.size()).calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe {
            self.part(layout.size())
                .free(block, layout.size(), layout.align())
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if (layout.size() < LARGE) == (size < LARGE) {
            // SAFETY: the caller keeps the contract.
            return unsafe {
                self.part(size)
                    .realloc(block, layout.size(), layout.align(), size)
            };
        }
        // SAFETY: the alignment is that of an earlier layout; both blocks are at least as large as what is copied.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_keeps_its_values_and_its_alignment() {
        let heap = Heap::new();
        let mut layout = Layout::from_size_align(100, 64).unwrap();
        // SAFETY: each block is used within its layout, and given back once.
        unsafe {
            let mut block = heap.alloc_zeroed(layout);
            for i in 0..100 {
                block.add(i).write(i as u8);
            }
            // Within the small, to the large, within the large, and back.
            for size in [5_000, 20_000, 3_000_000, 200] {
                block = heap.realloc(block, layout, size);
                layout = Layout::from_size_align(size, 64).unwrap();
                assert_eq!(block.addr() % 64, 0);
                assert!((0..100).all(|i| block.add(i).read() == i as u8));
            }
            heap.dealloc(block, layout);
        }
    }

    #[test]
    fn small_things_that_stay_leave_large_ones_their_room() {
        let heap = Heap::new();
        let (small, large) = (
            Layout::from_size_align(1_000, 8).unwrap(),
            Layout::from_size_align(200_000, 8).unwrap(),
        );
        // SAFETY: blocks are given back once, with their layouts.
        unsafe {
            let first = heap.alloc(large);
            heap.dealloc(first, large);
            for _ in 0..50 {
                let stays = heap.alloc(small);
                let block = heap.alloc(large);
                assert_eq!(block, first);
                heap.dealloc(block, large);
                assert!(!stays.is_null());
            }
        }
    }
}
