//! Which locks and channels to use, and what fibers of a thread share.
//!
//! # Within one hub
//!
//! Fibers of one hub run on one thread, one at a time, and another one runs only while this
//! one waits. No other fiber of the hub runs between two waits, so many locks are not needed:
//!
//! ```
//! use std::cell::Cell;
//! use std::rc::Rc;
//! use switchback::{prelude::*, spawn, yield_now};
//!
//! # switchback::run(|| {
//! let count = Rc::new(Cell::new(0));
//! let fibers = [(); 10].map(|()| {
//!     let count = count.clone();
//!     spawn(move || {
//!         count.set(count.get() + 1); // no wait in between, so nothing is lost
//!         yield_now().wait();
//!     })
//! });
//! fibers.map(|fiber| fiber.wait().unwrap());
//! assert_eq!(count.get(), 10);
//! # }).unwrap();
//! ```
//!
//! To be sure that a piece of code has no wait in it, put it inside
//! [`assert_no_switchpoints`](crate::assert_no_switchpoints).
//!
//! # What to use
//!
//! | need | use |
//! |---|---|
//! | a value that is changed without waiting in between, one hub | `Rc<Cell<_>>`, `Rc<RefCell<_>>` |
//! | the same, several threads | std's `Mutex`, released before the next wait |
//! | a lock that is held while waiting | `tokio::sync::Mutex`, with `lock().wait()` |
//! | readers and a writer that wait | `tokio::sync::RwLock` |
//! | a limit on how many do something at once | `tokio::sync::Semaphore` |
//! | a queue | `tokio::sync::mpsc`, with `recv().wait()` and `send(x).wait()` |
//! | one answer | `tokio::sync::oneshot`; a [`SwitchBack`](crate::SwitchBack) for an API that calls back |
//! | "something has changed" | `tokio::sync::Notify`, or `watch` with a value |
//! | a value that is made once | `tokio::sync::OnceCell`, with `get_or_init(..).wait()` |
//! | all have to arrive | `tokio::sync::Barrier` |
//! | the end of other fibers | [`Fiber::join`](crate::Fiber::join), or a [`scope`](crate::scope()) around them |
//! | to wake one certain fiber | [`park`](crate::park) and [`unpark`](crate::FiberHandle::unpark) |
//!
//! What is tokio's here works between fibers, tasks and threads, on any runtime. A plain
//! thread waits for it with [`.wait()`](crate::Wait::wait) as well.
//!
//! # std's primitives across a wait
//!
//! A guard of std's `Mutex` or `RwLock` that is held across a wait is still held when the next
//! fiber of the thread asks for the lock, and that blocks the thread: the fiber that would
//! release it cannot run. A `RefCell` panics instead. The same holds for whatever blocks inside:
//! std's `Condvar`, `Barrier` and channels, `Once`, `OnceLock` and `LazyLock` whose initialiser
//! waits, and pools of connections. A `std::thread::park` stops every fiber of the thread.
//!
//! A lock that is held while waiting:
//!
//! ```
//! use std::rc::Rc;
//! use switchback::{prelude::*, spawn, yield_now};
//! use tokio::sync::Mutex;
//!
//! # switchback::run(|| {
//! let log = Rc::new(Mutex::new(Vec::new()));
//! let fibers = ["a", "b"].map(|name| {
//!     let log = log.clone();
//!     spawn(move || {
//!         let mut log = log.lock().wait();
//!         log.push(format!("{name} begins"));
//!         yield_now().wait(); // the other fiber runs, and waits for the lock
//!         log.push(format!("{name} ends"));
//!     })
//! });
//! fibers.map(|fiber| fiber.wait().unwrap());
//! assert_eq!(*log.lock().wait(), ["a begins", "a ends", "b begins", "b ends"]);
//! # }).unwrap();
//! ```
//!
//! # What belongs to the thread
//!
//! A reentrant lock (`stdout().lock()` is one) knows its thread, and lets a second fiber of that
//! thread in. A `thread_local!` is shared by all fibers of a thread; a
//! [`fiber_local!`](crate::fiber_local) is not. [Context](super::context) and [the
//! limits](super::limits) have more of this kind.
