//! Whether the thread is ending, as far as that can be known.
//!
//! When a thread ends, its thread-locals are destroyed one after the other, those that were used first
//! last. Frames of suspended stacks may refer to some that are gone already, so nothing may be resumed
//! or unwound from then on, whatever a destructor of the user's calls.
//!
//! Nothing tells that a thread is ending but the destructor of a thread-local of our own. To be among
//! the first that run, it has to be registered late: after the thread-locals that suspended frames may
//! refer to. So there are several, which are registered one after the other, after the first, the
//! second, the fourth stack that has begun on the thread, and so on. A thread-local of the user's that
//! is first used later than the last of them may be destroyed before; SECURITY.md says so.

use std::cell::Cell;

thread_local! {
    static HAS_BEGUN: Cell<bool> = const { Cell::new(false) };
    /// How many stacks have begun on the thread.
    static STACKS: Cell<u64> = const { Cell::new(0) };
    /// What is to be done when the thread ends.
    static ON_END: Cell<Option<fn() -> bool>> = const { Cell::new(None) };
}

/// Whether the thread-locals of this thread are being destroyed.
#[inline]
pub(crate) fn has_begun() -> bool {
    HAS_BEGUN.get()
}

/// Sets what is done when a sentinel notices the end of this thread. It may be called several times.
/// If it returns false, the sentinel has noticed something else: the process is ending, by an `exit`
/// that was called on a stack of ours, whose code goes on.
pub(crate) fn set_on_end(on_end: fn() -> bool) {
    ON_END.set(Some(on_end));
}

/// Records that `count` more stacks have begun on this thread.
#[inline]
pub(crate) fn stacks_have_begun(count: u64) {
    let before = STACKS.get();
    if count > 0 {
        STACKS.set(before + count);
        if (before + count).ilog2() != before.checked_ilog2().unwrap_or(u32::MAX) {
            watch((before + count).ilog2());
        }
    }
}

/// Registers the sentinels up to this one.
#[cold]
fn watch(last: u32) {
    for sentinel in SENTINELS.iter().take(last as usize + 1) {
        // One that is registered already, or destroyed, is left alone.
        let _ = sentinel.try_with(|_| ());
    }
}

/// Notices the end of its thread.
struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        let ends = ON_END.get().is_none_or(|on_end| on_end());
        HAS_BEGUN.set(HAS_BEGUN.get() || ends);
    }
}

/// Makes an array of thread-locals.
macro_rules! sentinels {
    ($($name:ident)*) => {
        thread_local! {
            $(static $name: Sentinel = const { Sentinel };)*
        }

        static SENTINELS: &[&std::thread::LocalKey<Sentinel>] = &[$(&$name),*];
    };
}

sentinels!(S0 S1 S2 S3 S4 S5 S6 S7 S8 S9 S10 S11 S12 S13 S14 S15 S16 S17 S18 S19 S20 S21 S22 S23);
