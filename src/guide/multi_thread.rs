//! Fibers in programs on tokio's multi-thread runtime.
//!
//! The worker threads of that runtime have no hub, because its tasks move between threads and
//! a fiber cannot. Fibers live on hubs with threads of their own, beside the runtime's.
//!
//! # A pool of hubs
//!
//! Create a [`HubPool`](crate::HubPool) at the start, send it closures, and await their results:
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
//!             tokio::spawn(async move { pool.call(move || legacy(n)).await })
//!         })
//!         .collect();
//!     let mut sum = 0;
//!     for task in tasks {
//!         sum += task.await??;
//!     }
//!     assert_eq!(sum, 9900);
//!     pool.close().await;
//!     Ok(())
//! }
//! ```
//!
//! * The closure and its result are `Send`, since they cross threads. What the closure creates
//!   while it runs need not be.
//! * [`call`](crate::HubPool::call) is the usual way: it waits for room if the pool has limits,
//!   and ends with the future that waits for it. [`spawn`](crate::HubPool::spawn) never waits,
//!   and its fiber is independent. The fibers of both go to the first hub that asks for work and
//!   has room.
//! * [`spawn_by_key`](crate::HubPool::spawn_by_key) sends fibers with equal keys to the same hub, so
//!   that what they share needs no lock. [`run_on_all`](crate::HubPool::run_on_all) spawns one fiber
//!   on each hub, for caches and for binding threads to cores.
//! * Choose one hub for each core that the fibers keep busy. Waiting uses no core, so two hubs
//!   serve thousands of calls that mostly wait. A burst of calls that soon wait is often begun by the
//!   first hub that wakes; if they compute later, [`max_fibers`](crate::HubBuilder::max_fibers) of each
//!   hub leaves the rest to the others.
//! * Inside such a fiber, [`spawn`](crate::spawn) makes fibers of the same hub, and tokio's
//!   sockets, timers and channels work with [`.wait()`](crate::Wait::wait). Each hub has a
//!   current-thread runtime, so a `tokio::spawn` there runs its task on the hub's thread.
//! * Sockets and timers belong to the runtime that they were made on. Both sides may use a
//!   channel of tokio's, a `oneshot`, a `Notify`.
//! * A client that keeps connections (of HTTP, a database, redis) makes each on the runtime that first
//!   needs it. If tasks and fibers share one client, a task can wait for a connection whose hub is busy.
//!   Give each hub its own, in [`Hub::data`](crate::Hub::data) or a thread-local. Or let the main runtime
//!   have all of them, by [`Handle::spawn`](tokio::runtime::Handle::spawn) from the fiber: a
//!   [`JoinSet`](tokio::task::JoinSet) aborts such a task if the fiber is cancelled.
//!
//! # When the caller goes away
//!
//! A [`call`](crate::HubPool::call) is cancelled when its future is dropped, be it by a timeout, a
//! `select!`, or a server whose client has hung up: the code unwinds from its current wait.
//! A [`Fiber`](crate::Fiber) goes on when its handle is dropped, as a tokio task does, unless it is
//! turned into a [`cancel_on_drop`](crate::Fiber::cancel_on_drop):
//!
//! ```
//! use std::future::pending;
//! use std::time::Duration;
//! use switchback::{HubPool, prelude::*};
//! use tokio::time::timeout;
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let pool = HubPool::new(1)?;
//!     let limit = Duration::from_millis(1);
//!
//!     let call = pool.call(|| pending::<()>().wait());
//!     assert!(timeout(limit, call).await.is_err()); // the fiber is cancelled
//!
//!     let fiber = pool.spawn(|| pending::<()>().wait())?;
//!     assert!(timeout(limit, fiber.cancel_on_drop()).await.is_err()); // so is this one
//!     pool.close().await;
//!     Ok(())
//! }
//! ```
//!
//! For a limit inside the code, use [`with_timeout`](crate::with_timeout) there. A
//! [`FiberSet`](crate::FiberSet) holds many fibers, and cancels those that are left when it is
//! dropped.
//!
//! The fiber notices at its next wait. While the body of a request is unread, hyper does not see that the
//! client hangs up, and so the fiber goes on.
//!
//! # Bytes and items
//!
//! A synchronous reader, writer or iterator can run in a fiber of the pool, while a task uses it as
//! [`AsyncRead`](crate::HubPool::reader), [`AsyncWrite`](crate::HubPool::writer) or
//! [`Stream`](crate::HubPool::iter). These are `Send`, which a bridge is not. What synchronous code
//! writes is read from [`output`](crate::HubPool::output), such as an archive that is made while it
//! is sent:
//!
//! ```
//! use std::io::{self, Write};
//! use switchback::{HubPool, PoolReader};
//!
//! fn report(pool: &HubPool, lines: u32) -> PoolReader {
//!     pool.output(move |out| (0..lines).try_for_each(|n| writeln!(out, "line {n}")))
//! }
//! ```
//!
//! With axum, `Body::from_stream(tokio_util::io::ReaderStream::new(reader))` makes a body of it; if
//! the code fails half way, the client sees a response that breaks off, not one that ends.
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
