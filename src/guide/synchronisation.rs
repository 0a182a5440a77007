//! Which locks and channels to use, and what fibers of a thread share.
//!
//! # Within one hub
//!
//! Fibers of one hub run on one thread, one at a time, and another one runs only while this
//! one waits. No other fiber of the hub runs between two waits, so much code needs no lock:
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
//! for fiber in fibers {
//!     fiber.wait().unwrap();
//! }
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
//! | a lock that is held while waiting | [`sync::Mutex`](crate::sync::Mutex) |
//! | readers and a writer that wait | [`sync::RwLock`](crate::sync::RwLock) |
//! | a lock that its holder takes again | [`sync::ReentrantLock`](crate::sync::ReentrantLock) |
//! | to wait until a value behind a lock has changed | [`sync::Condvar`](crate::sync::Condvar) |
//! | a limit on how many do something at once | [`sync::Semaphore`](crate::sync::Semaphore) |
//! | a channel | [`sync::mpsc`](crate::sync::mpsc), whose receiver may be shared |
//! | jobs, and to wait until all are done | [`sync::Queue`](crate::sync::Queue), `LifoQueue`, `PriorityQueue` |
//! | one answer | `tokio::sync::oneshot`; a [`SwitchBack`](crate::SwitchBack) for an API that calls back |
//! | "it has happened" | [`sync::Event`](crate::sync::Event) |
//! | "something has changed" | `tokio::sync::Notify`, or `watch` with a value |
//! | a value that is made once | [`sync::OnceLock`](crate::sync::OnceLock), [`sync::LazyLock`](crate::sync::LazyLock) |
//! | all have to arrive | [`sync::Barrier`](crate::sync::Barrier) |
//! | the end of other fibers | [`Fiber::join`](crate::Fiber::join), or a [`scope`](crate::scope()) around them |
//! | to wake one certain fiber | [`park`](crate::park) and [`unpark`](crate::FiberHandle::unpark) |
//!
//! What is in [`sync`](crate::sync) has std's names and signatures, and works between fibers of several
//! hubs, plain threads and async tasks, where each call that waits has an `_async` twin: a task awaits
//! `lock_async()`, and gets the same guard. Tokio's own primitives work in fibers too, with
//! [`.wait()`](crate::Wait::wait).
//!
//! A lock that is held while waiting, in a static that a task uses too:
//!
//! ```
//! use switchback::{sync::Mutex, thread};
//!
//! static LOG: Mutex<Vec<&str>> = Mutex::new(Vec::new());
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let fiber = thread::spawn(|| {
//!         let mut log = LOG.lock().unwrap();
//!         log.push("the fiber begins");
//!         thread::yield_now(); // the task runs, and waits for the lock
//!         log.push("the fiber ends");
//!     });
//!     tokio::task::yield_now().await;
//!     LOG.lock_async().await.unwrap().push("the task");
//!     fiber.await.unwrap();
//!     let log = LOG.lock_async().await.unwrap();
//!     assert_eq!(*log, ["the fiber begins", "the fiber ends", "the task"]);
//! }
//! ```
//!
//! # Who is next
//!
//! The fibers of a hub get a lock first in, first out: it is handed over when it is given back, so that a
//! fiber that gives it back and asks for it again comes last. Between threads, a running thread may take it
//! before one that was woken for it and does not run yet; but nobody is passed for longer than half a
//! millisecond. Semaphores, channels, queues and conditions serve first in, first out everywhere.
//!
//! # Cancels and poison
//!
//! A cancel unwinds, and so it poisons the locks that its fiber holds, as a panic does: if four of a
//! hundred fibers that share a lock over their waits are cancelled, the other ninety-six panic where they
//! `unwrap()`. Put a section that waits with a lock into a [`shield`](crate::shield()), so that a cancel
//! comes after it, or use the locks of [`sync::nonpoison`](crate::sync::nonpoison) where the value is sound
//! at each wait:
//!
//! ```
//! use std::rc::Rc;
//! use switchback::{prelude::*, shield, spawn, sync::Mutex, yield_now};
//!
//! # switchback::run(|| {
//! let balance = Rc::new(Mutex::new((100, 0)));
//! let other = balance.clone();
//! let transfer = spawn(move || {
//!     shield(|| {
//!         let mut balance = other.lock().unwrap();
//!         balance.0 -= 10;
//!         yield_now().wait();
//!         balance.1 += 10;
//!     });
//!     yield_now().wait(); // the cancel is delivered here
//! });
//! yield_now().wait();
//! transfer.cancel();
//! assert!(transfer.wait().unwrap_err().is_cancelled());
//! assert_eq!(*balance.lock().unwrap(), (90, 10));
//! # }).unwrap();
//! ```
//!
//! A guard poisons only if its own stack is surely unwinding. While a fiber waits in a destructor as it
//! unwinds, std's locks poison for every holder on the thread; these do not. A fiber whose hub ends while
//! it waits again in a destructor is [abandoned](super::cancellation), and keeps its locks for ever: debug
//! builds report this, and each later wait for such a lock. What it was waiting for goes to others.
//!
//! # std's primitives across a wait
//!
//! A guard of std's `Mutex` or `RwLock` that is held across a wait is still held when the next
//! fiber of the thread asks for the lock, and that blocks the thread: the fiber that would
//! release it cannot run. A `RefCell` panics instead. The same holds for whatever blocks inside:
//! std's `Condvar`, `Barrier` and channels, `Once`, `OnceLock` and `LazyLock` whose initialiser
//! waits, and pools of connections. A `std::thread::park` stops every fiber of the thread.
//!
//! # What belongs to the thread
//!
//! A reentrant lock of others (`stdout().lock()` is one) knows its thread, and lets a second fiber of
//! that thread in; [`sync::ReentrantLock`](crate::sync::ReentrantLock) does not. A `thread_local!` is
//! shared by all fibers of a thread; a [`fiber_local!`](crate::fiber_local) is not.
//! [Context](super::context) and [the limits](super::limits) have more of this kind.
