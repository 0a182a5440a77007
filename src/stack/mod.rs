//! Stacks for fibers: where they come from, how they are reused, and what happens when one
//! overflows.
//!
//! # Parts
//!
//! | part | noun |
//! |---|---|
//! | [`pool`] | the stacks that a hub, or a thread's bridges, keep for reuse |
//! | [`depth`] | how deep measured fibers reach into their stacks |
//! | `sys` | the platform: on Linux, our own slabs, guards and overflow report, in `linux`; elsewhere the engine's stacks, in `system` |
//!
//! # A stack
//!
//! A stack has this layout, from its low end to its high end, where a fiber begins:
//!
//! ```text
//! limit          limit + guard                                  base
//! | guard: faults |  memory, taken page by page from the base down |
//! ```
//!
//! A size is that of the memory without the guard. It is rounded up to a power of two, so
//! that there are few sizes and a stack can serve many fibers.
//!
//! # Safety
//!
//! *Guard Invariant*: every [`Stack`] has a guard below it for as long as it exists. This
//! holds because a stack is created only after its guard has been installed, and only the
//! end of the whole mapping removes a guard.
//!
//! *Mapping Invariant*: the memory of a [`Stack`] stays mapped for as long as it exists.
//! This holds because each stack owns a share of its mapping. The engine owns the stack of
//! a coroutine and never drops a stack with live frames (the Live Stack Invariant of
//! [`crate::switch`]). A leaked stack therefore keeps its mapping for ever, whether or not
//! its pool and its thread still exist.
//!
//! *Single Owner Invariant*: no two [`Stack`]s share memory. This holds because a place in
//! a mapping is reused only after the stack there was dropped.
//!
//! *Idle Stack Invariant*: a [`Stack`] that our code holds has no live frames. This holds
//! because the engine owns every stack with live frames, and lends none of them out.
//!
//! A stack is not `Send`: it comes back on the thread that took it, but not necessarily to
//! the same pool.

mod depth;
mod pool;

#[cfg(all(target_os = "linux", not(switchback_system_stacks)))]
#[path = "linux/mod.rs"]
mod sys;
// The cfg `switchback_system_stacks` selects this part on Linux, to check it there.
#[cfg(not(all(target_os = "linux", not(switchback_system_stacks))))]
#[path = "system.rs"]
mod sys;

use std::io;

pub(crate) use self::depth::Depths;
pub(crate) use self::pool::StackPool;
pub(crate) use self::sys::Stack;

/// The default size of a fiber's stack: 1 MiB of address space. A suspended fiber that did
/// little uses one or two pages of it.
pub(crate) const DEFAULT_SIZE: usize = 1024 * 1024;

/// The minimum size of a stack, 64 KiB; smaller sizes are raised to it. Printing a
/// backtrace alone takes about 21 KiB. The size is a multiple of the page size on every
/// platform.
pub(crate) const MIN_SIZE: usize = 64 * 1024;

/// The default number of stacks of each size that are kept for reuse.
pub(crate) const DEFAULT_MAX_CACHED: usize = 1024;

/// Sets whether the overflow of a fiber's stack is reported. By default it is.
///
/// A stack that overflows runs into a guard, and the process dies in any case. With the
/// report, the process first prints to stderr which fiber overflowed, the size of its stack
/// and how to enlarge it. It then aborts, as it does when a thread's stack overflows.
///
/// The report needs a handler of SIGSEGV, which is installed when the first stack of a
/// fiber is created. It passes every other SIGSEGV on to the previous handler, such as
/// std's, which reports overflows of threads. (The previous handler is called as a
/// function: of the flags that it was installed with, only `SA_SIGINFO` counts.) A thread
/// without an alternate signal stack, because std did not start it, gets one.
///
/// The setting applies to the whole process. To have no handler at all, turn the report off
/// before the first hub or bridge is created. If it is turned off later, the handler stays
/// installed and passes everything on.
///
/// The report exists on Linux only; elsewhere this does nothing.
///
/// # Examples
///
/// ```
/// switchback::set_overflow_report(false);
/// switchback::run(|| { /* no signal handler was touched */ }).unwrap();
/// ```
pub fn set_overflow_report(enabled: bool) {
    sys::set_overflow_report(enabled);
}

/// The address range of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The lowest address, where the guard begins.
    pub(crate) limit: usize,
    /// The address just above the highest one.
    pub(crate) base: usize,
}

/// Rounds a requested size up to the size of the stack that is created. Returns `None` on
/// overflow.
fn round_up(size: usize) -> Option<usize> {
    size.max(MIN_SIZE).checked_next_power_of_two()
}

/// Returns the error for a stack of `size` bytes that could not be created.
#[cold]
fn refused(size: usize, why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::OutOfMemory,
        format!("cannot allocate a stack of {size} bytes for a fiber: {why}"),
    )
}
