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
//! # Which way for which
//!
//! | what should follow a fiber | how |
//! |---|---|
//! | a request's data, for code that takes parameters | [pass it](#passing-it) |
//! | the identity of a request, a user, a tenant | [an `#[inherited]` fiber-local](#the-identity-of-a-request) |
//! | spans of `tracing` | [the feature `tracing`](#spans) |
//! | a locale, a time zone, a transaction that a library keeps in a `thread_local!` of its own | [an `ambient`](#state-that-follows), if the library lets the value be read and replaced |
//! | the context of opentelemetry, the hub of sentry | [a fiber-local, and the library's own wrapper of futures](#opentelemetry-and-sentry) |
//! | a `task_local!` | [a bridge, or a scope for each future](#tokios-task_local) |
//! | `errno` | nothing does: use it [before the next wait](#errno) |
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
//! `op` and, in `task.id`, the number of the span. It is not told of what it does to wakers itself. A
//! subscriber that wakes fibers while it holds a lock that it needs for events should not ask for these.
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
//! Not covered: a guard of `set_default` that is held over a wait, and spans, if the default
//! subscriber has changed while the fiber was suspended.
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
//! # opentelemetry and sentry
//!
//! Both keep what is current on the thread, and only guards change it, which cannot leave the thread. An
//! ambient keeps what may be sent, so it cannot keep guards. If those of opentelemetry 0.31 are not
//! dropped in the opposite order of their making, a context stays current after its guard is gone. What
//! to do instead:
//!
//! * For opentelemetry, use spans of `tracing` and the layer of `tracing-opentelemetry`. The spans
//!   follow fibers, and the layer takes parents and trace IDs from them.
//! * Keep the `Context`, or the `Arc<Hub>`, in an `#[inherited]` fiber-local. Both can be cloned and
//!   sent. Give each request one of its own: for sentry, with `Hub::new_from_top`.
//! * Wrap the futures that the fiber waits for: `future.with_context(context).wait()`, or
//!   `future.bind_hub(hub).wait()`. They make it current for each poll, and for nothing else.
//! * Hold the guard of `attach`, or call `Hub::run`, only around code that does not wait. Where this
//!   matters, [`assert_no_switchpoints`](crate::assert_no_switchpoints) sees to it.
//!
//! Here with a stand-in for such a library:
//!
//! ```
//! use std::cell::RefCell;
//! use switchback::{assert_no_switchpoints, fiber_local, prelude::*, spawn, yield_now};
//!
//! mod telemetry {
//!     use std::cell::Cell;
//!
//!     thread_local! { static CURRENT: Cell<u64> = const { Cell::new(0) }; }
//!
//!     pub fn current() -> u64 {
//!         CURRENT.get()
//!     }
//!     /// Makes a trace current for as long as `f` runs.
//!     pub fn run<T>(trace: u64, f: impl FnOnce() -> T) -> T {
//!         let before = CURRENT.replace(trace);
//!         let result = f();
//!         CURRENT.set(before);
//!         result
//!     }
//! }
//!
//! fiber_local! {
//!     #[inherited]
//!     static TRACE: RefCell<u64> = const { RefCell::new(0) };
//! }
//!
//! /// Calls code that asks for the current trace, and does not wait.
//! fn traced<T>(f: impl FnOnce() -> T) -> T {
//!     let trace = TRACE.with_borrow(|trace| *trace);
//!     telemetry::run(trace, || assert_no_switchpoints(f))
//! }
//!
//! # switchback::run(|| {
//! let fibers = [1, 2].map(|trace| {
//!     spawn(move || {
//!         TRACE.set(trace);
//!         yield_now().wait(); // the other one runs
//!         assert_eq!(traced(telemetry::current), trace);
//!         spawn(|| traced(telemetry::current)).wait().unwrap()
//!     })
//! });
//! assert_eq!(fibers.map(|fiber| fiber.wait().unwrap()), [1, 2]);
//! assert_eq!(telemetry::current(), 0);
//! # }).unwrap();
//! ```
//!
//! # Tokio's `task_local!`
//!
//! Its values are on the thread while a future that has them is polled. A bridge is polled with its
//! task, so it sees them, also after a wait. A fiber belongs to no task of yours, so it sees none, not
//! even those of the code that spawned it. A future that a fiber waits for can have a scope of its own:
//!
//! ```
//! use switchback::{bridge, prelude::*, spawn, yield_now};
//!
//! tokio::task_local! { static REQUEST: u32; }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let handler = async {
//!     let bridged = bridge(|| {
//!         yield_now().wait();
//!         REQUEST.get()
//!     });
//!     assert_eq!(bridged.await, 7);
//!
//!     let fiber = spawn(|| {
//!         assert!(REQUEST.try_get().is_err());
//!         let inside = async {
//!             tokio::task::yield_now().await;
//!             REQUEST.get()
//!         };
//!         REQUEST.scope(8, inside).wait()
//!     });
//!     assert_eq!(fiber.await.unwrap(), 8);
//! };
//! REQUEST.scope(7, handler).await;
//! # }
//! ```
//!
//! Do not wait inside of `sync_scope`: other fibers would see the value. If two of them overlap, the one
//! that ends last puts back the value of the other one, which then stays on the thread.
//!
//! # errno
//!
//! It is the thread's, and the next fiber that calls into the system changes it. `std::io::Error` has
//! a copy, so std's functions need no care. After a call of your own into C, call
//! `std::io::Error::last_os_error()` before the next wait. To save it at each suspension would cost
//! everybody for what one line does.
//!
//! # Passing it
//!
//! What a closure captures belongs to its fiber. For a request's data, a struct that is passed
//! down is the plainest context; it may be borrowed, in a [`scope`](crate::scope()) also by
//! children.
