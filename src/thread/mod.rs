//! std's module `thread`, for fibers: the same names and signatures.
//!
//! A threaded program is ported by a change of its `use` lines: `std::thread` becomes
//! `switchback::thread`, and the body of `main` goes into [`run`](crate::run()). A thread that it
//! spawns is then a fiber. What waits suspends the fiber in a fiber, blocks a plain thread, and is
//! refused in async code. New code has no need of this module: [`spawn`](crate::spawn()),
//! [`Fiber`](crate::Fiber) and [`scope`](crate::scope()) do the same and more.
//!
//! Whatever has no row of its own in the table is std's own.
//!
//! | std | here |
//! |---|---|
//! | [`spawn`] | different: the closure and its result need not be `Send`, because a fiber stays on the thread of its hub. Without a hub it panics, as [`switchback::spawn`](crate::spawn()) does |
//! | [`Builder`], [`Builder::new`], [`Builder::name`] | same; any name is accepted, also one with a zero byte |
//! | [`Builder::stack_size`] | same; the default is that of the hub: 2 MiB, or 256 KiB where addresses have 32 bits. `RUST_MIN_STACK` is not read |
//! | [`Builder::spawn`], [`Builder::spawn_scoped`] | different, as [`spawn`] is; a stack that cannot be had is an error here too |
//! | `Builder::spawn_unchecked` | absent: use a [`scope`] |
//! | [`JoinHandle`] | different: it is `Send` where the result is. It is also a future with the output of [`join`](JoinHandle::join), for async code |
//! | [`JoinHandle::join`] | same; the error of a fiber that was cancelled, or could not run to its end, is a `Box` of a [`Cancelled`](crate::Cancelled) |
//! | [`JoinHandle::thread`], [`JoinHandle::is_finished`] | same |
//! | no counterpart | [`JoinHandle::into_fiber`]: the [`Fiber`](crate::Fiber), for instance to cancel it |
//! | [`scope`] | different: the parent has to be a fiber. If the parent is cancelled, its children are |
//! | [`Scope`], [`Scope::spawn`] | different: closures need not be `Send`, and the scope is not `Sync`, because all of its fibers are on one thread |
//! | [`ScopedJoinHandle`], [`ScopedJoinHandle::join`], [`ScopedJoinHandle::thread`], [`ScopedJoinHandle::is_finished`] | as those of [`JoinHandle`]; it is never `Send` |
//! | [`Thread`], [`current`] | same, of a fiber, of the body of a [`bridge`](crate::bridge()), or of a plain thread. Async code has that of its thread; a future that a fiber polls, that of the fiber |
//! | [`Thread::id`], [`ThreadId`] | same; the IDs are our own, and unique over fibers and threads |
//! | [`Thread::name`] | same; that of the root fiber is `Root`, not `main`. The message of a panic has the name of the thread that the fiber is on |
//! | [`Thread::unpark`] | same; the token is our own, so it ends no `std::thread::park` |
//! | `Thread::into_raw`, `Thread::from_raw` | absent: unsafe |
//! | [`park`], [`park_timeout`] | different: they return only with the token, or when the time is over |
//! | [`park_timeout_ms`], [`sleep_ms`] | same, and deprecated too |
//! | [`sleep`], [`sleep_until`] | same, with the resolution of tokio's timers in fibers (one millisecond). A sleep of zero lets other fibers run. std's `sleep_until` is unstable |
//! | [`yield_now`] | same: lets all fibers of the hub that are ready run. The thread itself is not yielded |
//! | [`panicking`] | different: true only if the caller's own stack is surely unwinding. std's counts for the whole thread, and so for every fiber on it. While a fiber of the thread is suspended in its unwinding, what cannot be told is false |
//! | `available_parallelism` | same: std's. The fibers of a hub share one thread, whatever their number |
//! | `Result` | same: std's |
//! | [`LocalKey`] and its methods, [`AccessError`] | that of [`fiber_local!`](crate::fiber_local), for which `use switchback::fiber_local as thread_local` is enough. A `thread_local!` itself is shared by the fibers of its thread, and its type is `std::thread::LocalKey` |
//!
//! Every call that may wait is a [`switchpoint`](crate::switchpoint()): in
//! [`assert_no_switchpoints`](crate::assert_no_switchpoints) it panics. These are
//! [`JoinHandle::join`], [`ScopedJoinHandle::join`], [`scope`], [`park`], [`park_timeout`], [`sleep`],
//! [`sleep_until`] and [`yield_now`]. They unwind if the fiber is cancelled.
//!
//! # Examples
//!
//! ```
//! use switchback::thread;
//!
//! # switchback::run(|| {
//! let workers: Vec<_> = (1..=3).map(|n| thread::spawn(move || n * n)).collect();
//! let sum: u32 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
//! assert_eq!(sum, 14);
//! # }).unwrap();
//! ```
//!
//! [`park`]: fn@park
//! [`scope`]: fn@scope
//! [`sleep`]: fn@sleep

#![forbid(unsafe_code)]

mod builder;
mod handle;
mod join_handle;
mod park;
mod parker;
mod scope;
mod sleep;

pub use std::thread::*;

pub use crate::current::AccessError;
pub use crate::local::LocalKey;
pub use builder::{Builder, spawn};
pub(crate) use handle::current_number;
pub use handle::{Thread, ThreadId, current, panicking};
pub use join_handle::JoinHandle;
#[allow(deprecated)]
pub use park::park_timeout_ms;
pub use park::{park, park_timeout};
pub use scope::{Scope, ScopedJoinHandle, scope};
#[allow(deprecated)]
pub use sleep::sleep_ms;
pub use sleep::{sleep, sleep_until, yield_now};
