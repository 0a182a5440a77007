//! Stacks for fibers: where they come from and how they are kept.
//!
//! # Parts
//!
//! | part | noun |
//! |---|---|
//! | [`pool`] | the stacks that a hub, or a thread's bridges, keep for reuse |
//! | [`extent`] | where a stack is |
//! | [`size`] | how large stacks are |
//! | `sys` | the platform: Linux has slabs, guards of ours, in `linux`; all others have the engine's own stacks, in `system` |
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

mod extent;
mod pool;
mod size;
#[cfg(all(target_os = "linux", not(switchback_system_stacks)))]
#[path = "linux/mod.rs"]
mod sys;
// The cfg `switchback_system_stacks` is for checking this part on Linux.
#[cfg(not(all(target_os = "linux", not(switchback_system_stacks))))]
#[path = "system.rs"]
mod sys;

pub(crate) use extent::Extent;
pub(crate) use pool::StackPool;
pub(crate) use size::{DEFAULT_MAX_CACHED, DEFAULT_SIZE};
#[cfg(all(target_os = "linux", not(switchback_system_stacks)))]
pub(crate) use sys::{GUARD, Guards, Mapping, page_size};
pub(crate) use sys::{Stack, used};
