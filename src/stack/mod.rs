//! Stacks for fibers: where they come from, how they are kept, and what happens
//! when one overflows.
//!
//! # Parts
//!
//! | part | noun |
//! |---|---|
//! | [`pool`] | the stacks that a hub, or a thread's bridges, keep for reuse |
//! | [`depth`] | how deep the fibers that are measured have come |
//! | `sys` | the platform: Linux has slabs, guards and an overflow report of ours, in `linux`; all others have the engine's own stacks, in `system` |
//!
//! # A stack
//!
//! From its low end to its high end, where a fiber begins:
//!
//! ```text
//! limit          limit + guard                                  base
//! | guard: faults |  memory, taken page by page from the base down |
//! ```
//!
//! Sizes are those of the memory, without the guard, and are rounded up to a power
//! of two, so that there are few of them and a stack can serve many fibers.
//!
//! # Safety
//!
//! *Guard Invariant*: every [`Stack`] has a guard below it, for as long as it
//! exists. It holds because a stack is made only after its guard was installed, and
//! nothing takes a guard away but the end of the whole mapping.
//!
//! *Mapping Invariant*: the memory of a [`Stack`] stays mapped as long as it exists.
//! It holds because each stack owns a share of its mapping. The engine owns the
//! stack of a coroutine, and one that has live frames is never dropped (the Live
//! Stack Invariant of [`crate::switch`]); so a stack that was leaked keeps its
//! mapping for ever, whether or not its pool and its thread still exist.
//!
//! *Single Owner Invariant*: no two [`Stack`]s share memory. It holds because a
//! place in a mapping is given out again only when the stack there was dropped.
//!
//! *Idle Stack Invariant*: whoever can name a [`Stack`] knows that it has no live
//! frames. It holds because the engine, which owns those that have, lends them to
//! nobody.
//!
//! A stack is not `Send`: it comes back on the thread that took it. It need not come
//! back to the pool that it was taken from.

mod depth;
mod pool;

#[cfg(all(target_os = "linux", not(switchback_system_stacks)))]
#[path = "linux/mod.rs"]
mod sys;
// The cfg `switchback_system_stacks` is for checking this part on Linux.
#[cfg(not(all(target_os = "linux", not(switchback_system_stacks))))]
#[path = "system.rs"]
mod sys;

use std::io;

pub(crate) use self::depth::Depths;
pub(crate) use self::pool::StackPool;
pub(crate) use self::sys::Stack;

/// Memory of a fiber's stack if nothing else is asked for: 1 MiB of address space.
/// A suspended fiber that did little uses one or two pages of it.
pub(crate) const DEFAULT_SIZE: usize = 1024 * 1024;

/// Smaller sizes are raised to this: 64 KiB. Printing a backtrace alone takes
/// about 21 KiB. It is a multiple of the page size everywhere.
pub(crate) const MIN_SIZE: usize = 64 * 1024;

/// How many stacks of each size are kept for reuse if nothing else is asked for.
pub(crate) const DEFAULT_MAX_CACHED: usize = 1024;

/// Sets whether the overflow of a fiber's stack is reported. It is, unless this
/// was called with `false`.
///
/// A stack that overflows runs into a guard, and the process dies in any case.
/// With the report it says before, on stderr, which fiber it was, how large the
/// stack is and how it is made larger, and then aborts, as it does when a thread's
/// stack overflows.
///
/// For that, a handler of SIGSEGV is installed when the first stack of a fiber is
/// made. Everything but such an overflow goes on to the handler that was there
/// before, such as std's, which reports overflows of threads. (It is called as a
/// function: of the flags that it was installed with, only `SA_SIGINFO` counts.) A
/// thread that has no alternate signal stack, since std did not start it, gets one.
///
/// The setting is the process's. To have no handler at all, turn it off before the
/// first hub or bridge is made. Turned off later, the handler stays, and passes
/// everything on.
///
/// There is a report on Linux only; elsewhere this does nothing.
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

/// Where a stack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The lowest address, where the guard begins.
    pub(crate) limit: usize,
    /// The address above the highest.
    pub(crate) base: usize,
}

/// The size of the stack that is made for one that is asked for; `None` if it is
/// more than can be counted.
fn round_up(size: usize) -> Option<usize> {
    size.max(MIN_SIZE).checked_next_power_of_two()
}

/// A stack of `size` bytes could not be made.
#[cold]
fn refused(size: usize, why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::OutOfMemory,
        format!("cannot allocate a stack of {size} bytes for a fiber: {why}"),
    )
}
