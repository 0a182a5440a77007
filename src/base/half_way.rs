//! Whether the running code is foreign code, such as a waker or a comparison under a lock, that is called in
//! the middle of something. Such code must not suspend, because its caller would be suspended half way.

use std::cell::Cell;

thread_local! {
    /// The number of such calls that the thread is in, since it last began to run other stacks.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Returns whether the running code was called in the middle of something.
#[inline(always)]
pub(crate) fn is_running() -> bool {
    DEPTH.get() != 0
}

/// Calls `f`, which must not suspend.
#[inline]
pub(crate) fn call<R>(f: impl FnOnce() -> R) -> R {
    let _outer = Restore(DEPTH.replace(DEPTH.get() + 1));
    f()
}

/// Calls `f`, which runs other stacks. These may suspend.
#[inline]
pub(crate) fn outside<R>(f: impl FnOnce() -> R) -> R {
    let _outer = Restore(DEPTH.replace(0));
    f()
}

/// Restores the number when it is dropped, also on unwind.
struct Restore(u32);

impl Drop for Restore {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}
