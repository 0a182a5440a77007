//! What a fiber has of its own, and what it shares with others of its thread.
//!
//! All fibers of a hub run on one thread, so what belongs to the thread belongs to all of them.
//!
//! | what | is |
//! |---|---|
//! | a `thread_local!` | the thread's: a fiber sees what another one left there |
//! | a [`fiber_local!`](crate::fiber_local) | the fiber's; outside of fibers, the thread's. With `#[inherited]`, a new fiber begins with a clone |
//! | an [`ambient`](crate::ambient) | the fiber's, and inherited by those that it spawns |
//! | entered spans of `tracing` | the fiber's, with this crate's feature `tracing`; else the thread's |
//! | tokio's `task_local!` | the task's; with `sync_scope`, the thread's while it lasts |
//! | tokio's current runtime | the hub's, for all fibers of the hub |
//! | data of a hub, [`Hub::data`](crate::Hub::data) | the hub's: by type, for caches and pools |
//! | `errno`, the signal mask, the floating-point control word | the thread's |
//! | the working directory, environment, user | the process's |
//!
//! # Values of one fiber
//!
//! ```
//! use std::cell::Cell;
//! use switchback::{fiber_local, prelude::*, spawn, yield_now};
//!
//! fiber_local! { static REQUEST: Cell<u32> = Cell::new(0); }
//!
//! # switchback::run(|| {
//! let fibers = [1, 2].map(|id| {
//!     spawn(move || {
//!         REQUEST.set(id);
//!         yield_now().wait(); // the other one runs
//!         assert_eq!(REQUEST.get(), id);
//!     })
//! });
//! fibers.map(|fiber| fiber.wait().unwrap());
//! assert_eq!(REQUEST.get(), 0);
//! # }).unwrap();
//! ```
//!
//! Initialisers and destructors may wait. The values are dropped when the fiber's body has ended,
//! on its stack.
//!
//! # Spans
//!
//! With the feature `tracing`, the spans that code of a fiber has entered are taken off the thread
//! while the fiber is suspended, also those of `#[tracing::instrument]` on plain functions. A new fiber
//! begins in the span that is current where it is made.
//!
//! Each fiber also has a span of its own, the child of that one, at level `TRACE`. It has the name and
//! the fields of those of tokio's tasks: `runtime.spawn` with `kind`, `task.name`, `task.id`, and the
//! place of the spawn in `loc.file`, `loc.line` and `loc.col`. It begins when the fiber first runs, and is
//! entered whenever the fiber runs, so a subscriber that shows tasks, such as tokio-console's, shows
//! fibers too. Where that span is wanted, a subscriber is also told of each wake of the fiber, and of each
//! clone and drop of its waker: as events of the target `runtime::waker`, again as of tokio's tasks, with
//! `op` and, in `task.id`, the number of the span. What a subscriber does to wakers meanwhile is not told.
//! But one that wakes fibers while it holds a lock that it needs for events should not ask for these.
//!
//! The target of the span is `switchback::fiber`. A subscriber that prints everything is spared both by
//! a filter:
//!
//! ```ignore
//! // Needs tracing-subscriber.
//! let no_fibers = filter_fn(|metadata| metadata.target() != "switchback::fiber");
//! tracing_subscriber::registry().with(no_fibers).with(fmt::layer()).init();
//! ```
//!
//! Not covered: a guard of `set_default` that is held over a wait, and spans where another subscriber is
//! the default when the fiber goes on than when it stopped.
//!
//! # The identity of a request
//!
//! An `#[inherited]` fiber-local reaches every fiber below the code that sets it, also those that are
//! sent to a pool. In async code, [`LocalKey::scope`](crate::LocalKey::scope) sets it for one future:
//!
//! ```
//! use std::cell::Cell;
//! use switchback::{HubPool, fiber_local, prelude::*, spawn};
//!
//! fiber_local! {
//!     #[inherited]
//!     static REQUEST: Cell<Option<u64>> = const { Cell::new(None) };
//! }
//!
//! /// Blocking-style code that does not know who called it.
//! fn log(text: &str) -> String {
//!     format!("request {:?}: {text}", REQUEST.get())
//! }
//!
//! # #[tokio::main]
//! # async fn main() {
//! let pool = HubPool::new(2).unwrap();
//! let handler = async {
//!     pool.call(|| spawn(|| log("deep below")).wait().unwrap()).await.unwrap()
//! };
//! let line = REQUEST.scope(Cell::new(Some(7)), handler).await;
//! assert_eq!(line, "request Some(7): deep below");
//! # }
//! ```
//!
//! Tasks of tokio that `handler` spawns do not inherit it: wrap each in a `scope` of its own.
//!
//! # State that follows
//!
//! A library that keeps its state in a `thread_local!`, such as a locale, a transaction or the
//! current request, can have it follow fibers: [`ambient::register`](crate::ambient::register)
//! takes it off the thread when a fiber suspends, and puts it back when that goes on. Fibers that
//! are spawned inherit it. Without that, set such state after each wait, or end its scope before:
//!
//! ```
//! use std::cell::Cell;
//! use switchback::{prelude::*, spawn, yield_now};
//!
//! thread_local! { static USER: Cell<&'static str> = const { Cell::new("nobody") }; }
//!
//! # switchback::run(|| {
//! let fiber = spawn(|| {
//!     USER.set("ann");
//!     yield_now().wait();
//!     USER.get() // the value that the last fiber to run has set
//! });
//! spawn(|| USER.set("bob"));
//! assert_eq!(fiber.wait().unwrap(), "bob");
//! # }).unwrap();
//! ```
//!
//! # Passing it
//!
//! What a closure captures belongs to its fiber. For a request's data, a struct that is passed
//! down is the plainest context; it may be borrowed, in a [`scope`](crate::scope()) also by
//! children.
