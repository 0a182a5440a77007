//! Stacks for fibers: where they come from and how they are reused.
//!
//! # Parts
//!
//! | part | noun |
//! |---|---|
//! | [`pool`] | the stacks that a hub, or a thread's bridges, keep for reuse |
//! | [`extent`] | the address range of a stack |
//! | [`size`] | the sizes of stacks |
//! | `frames` | the calls that a stack is in |
//! | `sys` | the platform: on Linux, our own slabs and guards, in `linux`; elsewhere the engine's stacks, in `system` |
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

mod extent;
#[cfg(all(feature = "backtrace", unix))]
mod frames;
mod pool;
mod size;
#[cfg(all(target_os = "linux", not(switchback_system_stacks)))]
#[path = "linux/mod.rs"]
mod sys;
// The cfg `switchback_system_stacks` selects this part on Linux, to check it there.
#[cfg(not(all(target_os = "linux", not(switchback_system_stacks))))]
#[path = "system.rs"]
mod sys;

pub(crate) use extent::Extent;
#[cfg(all(feature = "backtrace", unix))]
pub(crate) use frames::{Frames, FramesEnd};
pub(crate) use pool::StackPool;
pub(crate) use size::{DEFAULT_MAX_CACHED, DEFAULT_SIZE};
#[cfg(unix)]
pub(crate) use sys::page_size;
pub(crate) use sys::{Stack, discard_below, memory, used};
