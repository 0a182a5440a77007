//! Fibers in programs on tokio's multi-thread runtime.
//!
//! The worker threads of that runtime have no hub, because its tasks move between threads and
//! a fiber cannot. Fibers live on hubs with threads of their own, beside the runtime's.
//!
//! # A pool of hubs
//!
//! Create a [`HubPool`](crate::HubPool) at the start, send it closures, and await the fibers:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use switchback::{HubPool, prelude::*, sleep};
//!
//! /// Plain code that waits somewhere below.
//! fn legacy(n: u64) -> u64 {
//!     sleep(Duration::from_millis(1)).wait();
//!     2 * n
//! }
//!
//! #[tokio::main] // many threads
//! async fn main() -> std::io::Result<()> {
//!     let pool = Arc::new(HubPool::new(2)?);
//!     let tasks: Vec<_> = (0..100)
//!         .map(|n| {
//!             let pool = pool.clone();
//!             tokio::spawn(async move { pool.spawn(move || legacy(n))?.await.map_err(Into::into) })
//!         })
//!         .collect();
//!     let mut sum = 0;
//!     for task in tasks {
//!         let result: std::io::Result<u64> = task.await?;
//!         sum += result?;
//!     }
//!     assert_eq!(sum, 9900);
//!     pool.close().await;
//!     Ok(())
//! }
//! ```
//!
//! * The closure and its result are `Send`, since they cross threads. What the closure creates
//!   while it runs need not be.
//! * [`spawn`](crate::HubPool::spawn) gives the closure to the first hub that has room,
//!   [`spawn_by_key`](crate::HubPool::spawn_by_key) the same hub for equal keys, so that what
//!   these share needs no lock, and [`run_on_all`](crate::HubPool::run_on_all) spawns one on
//!   each, for caches and for binding threads to cores.
//! * Choose one hub for each core that the fibers keep busy. Waiting uses no core, so two hubs
//!   serve thousands of calls that mostly wait.
//! * Inside such a fiber, [`spawn`](crate::spawn) makes fibers of the same hub, and tokio's
//!   sockets, timers and channels work with [`.wait()`](crate::Wait::wait). Each hub has a
//!   current-thread runtime, so a `tokio::spawn` there runs its task on the hub's thread.
//! * Sockets and timers belong to the runtime that they were made on. Both sides may use a
//!   channel of tokio's, a `oneshot`, a `Notify`.
//!
//! # When the caller goes away
//!
//! A fiber of [`spawn`](crate::HubPool::spawn) goes on if its [`Fiber`](crate::Fiber) is dropped, as
//! tasks do with tokio's `JoinHandle`: that of a request whose client has gone runs to its end.
//! [`call`](crate::HubPool::call) ends it with its caller:
//!
//! ```
//! use std::future::pending;
//! use std::time::Duration;
//! use switchback::{HubPool, prelude::*};
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let pool = HubPool::new(1)?;
//!     let (tell, told) = tokio::sync::oneshot::channel::<()>();
//!     let call = pool.call(move || {
//!         let _tell = tell; // dropped when the fiber unwinds
//!         pending::<()>().wait();
//!     });
//!     let limit = Duration::from_millis(1);
//!     assert!(tokio::time::timeout(limit, call).await.is_err());
//!     assert!(told.await.is_err());
//! #   pool.close().await;
//!     Ok(())
//! }
//! ```
//!
//! [`Fiber::cancel_on_drop`](crate::Fiber::cancel_on_drop) does the same for any fiber. The fiber
//! notices at its next wait. What hyper does not see does not end it either: a client that hangs up
//! while its request's body is unread.
//!
//! For a limit of time, [`with_timeout`](crate::with_timeout) inside the fiber does it without a
//! guard.
//!
//! # The end
//!
//! `pool.close().await` refuses new fibers, cancels the others, and returns when they and the
//! threads have ended. [`close_within`](crate::HubPool::close_within) has a limit, and its error
//! names the fibers that are left. Dropping the pool begins the close without waiting.
//!
//! # Without a pool
//!
//! * [`HubThread`](crate::HubThread) is one hub on its own thread.
//! * [`Hub::run_until`](crate::Hub::run_until) drives a hub inside the main task, the one that
//!   `block_on` runs. Other tasks send fibers to it through a
//!   [`HubHandle`](crate::HubHandle).
//! * A [`bridge`](crate::bridge()) is not `Send`, so a task that `tokio::spawn` may move cannot
//!   hold one; in the main task, in a `LocalSet` and on other executors it works.
//! * Code that blocks its thread goes to [`blocking`](crate::blocking), from either side.
