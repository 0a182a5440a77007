//! Counts heap allocations on request.
//!
//! This program's allocator is the system's with a flag in front. The flag costs a load and
//! a branch, and all columns pay for it.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

#[global_allocator]
static HEAP: Heap = Heap;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// The counter wraps, because more may be freed than allocated while counting.
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// The allocations of all threads while counting was on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocated {
    /// The number of allocations, including each reallocation that grew.
    pub(crate) allocations: f64,
    /// The requested bytes that were not freed.
    pub(crate) bytes: f64,
}

/// Starts counting.
pub(crate) fn count() {
    ALLOCATIONS.store(0, Relaxed);
    BYTES.store(0, Relaxed);
    COUNTS.store(true, Relaxed);
}

/// Stops counting and returns the counts.
pub(crate) fn counted() -> Allocated {
    COUNTS.store(false, Relaxed);
    Allocated {
        allocations: ALLOCATIONS.load(Relaxed) as f64,
        bytes: BYTES.load(Relaxed) as isize as f64,
    }
}

struct Heap;

impl Heap {
    fn note(&self, allocations: usize, had: usize, has: usize) {
        if COUNTS.load(Relaxed) {
            ALLOCATIONS.fetch_add(allocations, Relaxed);
            BYTES.fetch_add(has.wrapping_sub(had), Relaxed);
        }
    }
}

// SAFETY: every method forwards to `System` with the same arguments; counting neither
// allocates nor panics.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.note(1, 0, layout.size());
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.note(1, 0, layout.size());
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.note(1, layout.size(), size);
        // SAFETY: the caller upholds the contract of `System`, to which the block belongs.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.note(0, layout.size(), 0);
        // SAFETY: the caller upholds the contract of `System`, to which the block belongs.
        unsafe { System.dealloc(block, layout) }
    }
}
