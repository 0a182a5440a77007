//! Whether to use fibers, and where to begin.
//!
//! # Fibers or something else
//!
//! | your code | use |
//! |---|---|
//! | is async already, or easily becomes so | `.await`; nothing here makes it faster |
//! | blocks the operating system: files, std's sockets, a C library with sockets of its own | [`blocking`](crate::blocking), which is tokio's `spawn_blocking` as a future for both worlds |
//! | computes for more than some 100 µs | `compute`, with the feature of that name, or a pool of threads of your own |
//! | is synchronous, and waits in something that you pass in: a stream, an iterator, a callback | a fiber or a bridge |
//! | is synchronous, and you can replace its blocking calls | a fiber: see [porting](super::porting) |
//!
//! A fiber costs a page or two of memory while it waits, and about as much time as a task. In
//! return the code keeps its shape: recursion, iterators, borrowed arguments, early returns
//! with `?`, destructors.
//!
//! It is the wrong choice for code that never waits, for a handful of calls, which can have a
//! thread of `spawn_blocking` each, and for libraries that keep facts about their thread's
//! stack: see [the limits](super::limits).
//!
//! # Where to begin
//!
//! | program | begin with |
//! |---|---|
//! | `#[tokio::main]`, many threads | a [`HubPool`](crate::HubPool): see [multi-thread applications](super::multi_thread) |
//! | `#[tokio::main(flavor = "current_thread")]`, `#[tokio::test]` | [`spawn`](crate::spawn), which creates the hub on first use |
//! | a `LocalSet`, and fibers that call `spawn_local` | [`Hub::run_until`](crate::Hub::run_until) inside it |
//! | a synchronous `main` | [`run`](crate::run()) |
//! | another executor, or one call in the middle of a task | [`bridge`](crate::bridge()) |
//! | a plain thread that needs one async value | [`.wait()`](crate::Wait::wait): it blocks that thread |
//!
//! # A fiber or a bridge
//!
//! A *fiber* runs independently of its parent, like a task: it has a handle, can be joined,
//! cancelled and detached. A *bridge* is a future that runs a closure on a stack of its own
//! inside the task that polls it: it makes progress only while it is polled, may hold values
//! that are not `Send`, and ends with the task.
//!
//! ```
//! use std::time::Duration;
//! use switchback::{bridge, prelude::*, sleep, spawn};
//!
//! fn slow(n: u32) -> u32 {
//!     sleep(Duration::from_millis(1)).wait();
//!     n + 1
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     // Both run at once; the fiber would go on if this task ended.
//!     let fiber = spawn(|| slow(1));
//!     let in_place = bridge(|| slow(2)).await;
//!     assert_eq!((fiber.await.unwrap(), in_place), (2, 3));
//! }
//! ```
