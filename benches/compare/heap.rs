//! Counts what is allocated on the heap, when asked to.
//!
//! This program's allocator is the system's with a flag in front: what it costs is
//! a load and a branch, and all columns pay it.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

#[global_allocator]
static HEAP: Heap = Heap;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// It wraps, so that it may be less than it was.
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// What was allocated, by all threads, while it was counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocated {
    /// How often, including each time that something grew.
    pub(crate) allocations: f64,
    /// What of it was not freed, in bytes as they were asked for.
    pub(crate) bytes: f64,
}

/// Begins to count.
pub(crate) fn count() {
    ALLOCATIONS.store(0, Relaxed);
    BYTES.store(0, Relaxed);
    COUNTS.store(true, Relaxed);
}

/// Ends it.
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

// SAFETY: everything is done by `System`, of which the same is asked; counting
// neither allocates nor panics.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.note(1, 0, layout.size());
        // SAFETY: the caller promises what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.note(1, 0, layout.size());
        // SAFETY: the caller promises what `System` asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.note(1, layout.size(), size);
        // SAFETY: the caller promises what `System` asks for; the block is its own.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.note(0, layout.size(), 0);
        // SAFETY: the caller promises what `System` asks for; the block is its own.
        unsafe { System.dealloc(block, layout) }
    }
}
