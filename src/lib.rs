//! Blocking-style code inside tokio: stackful fibers that wait for any future.
//!
//! A *fiber* is ordinary synchronous Rust on a stack of its own. It can suspend at any call
//! depth and continue later. A *hub* is a scheduler: one task on a tokio current-thread
//! runtime that resumes each fiber when the future it waits for is ready. Inside a fiber,
//! [`.wait()`](Wait::wait) does what `.await` does in async code. [`spawn`], [`sleep`] and
//! [`join`](Fiber::join) are the same functions in fibers and in async code.
//!
//! Use this crate for code that is written to block and cannot be rewritten as async, such
//! as a protocol over `Read` and `Write`, a parser with callbacks or an interpreter.
//! Hundreds of such calls can run inside an async program without a thread for each.
//!
//! # Examples
//!
//! A fiber that waits, joined from async code:
//!
//! ```
//! use std::time::Duration;
//! use switchback::{prelude::*, sleep, spawn};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let mut fiber = spawn(|| {
//!         sleep(Duration::from_millis(1)).wait(); // blocks this fiber only
//!         "done"
//!     });
//!     assert_eq!(fiber.join().await.unwrap(), "done");
//! }
//! ```
//!
//! A fiber can wait for any future, at any call depth: tokio's sockets, channels and timers
//! included.
//!
//! ```
//! use std::io;
//! use switchback::prelude::*;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! fn main() -> io::Result<()> {
//!     switchback::run(|| {
//!         let listener = TcpListener::bind("127.0.0.1:0").wait()?;
//!         let address = listener.local_addr()?;
//!         let mut server = switchback::spawn(move || -> io::Result<()> {
//!             let (mut stream, _) = listener.accept().wait()?;
//!             shout(&mut stream)
//!         });
//!         let mut client = TcpStream::connect(address).wait()?;
//!         client.write_all(b"hello").wait()?;
//!         let mut answer = [0; 5];
//!         client.read_exact(&mut answer).wait()?;
//!         assert_eq!(&answer, b"HELLO");
//!         server.join().wait()?
//!     })?
//! }
//!
//! fn shout(stream: &mut TcpStream) -> io::Result<()> {
//!     let mut text = [0; 5];
//!     stream.read_exact(&mut text).wait()?;
//!     text.make_ascii_uppercase();
//!     stream.write_all(&text).wait()
//! }
//! ```
//!
//! Code written against std's `Read` and `Write` runs over tokio's sockets unchanged.
//! [`io`] and [`stream`] hold this and similar adapters, and the [guide](guide::legacy)
//! says which libraries to run in fibers:
//!
//! ```
//! use std::io::{BufRead, BufReader, Write};
//! use switchback::{io::Blocking, prelude::*, spawn};
//!
//! # fn main() -> std::io::Result<()> {
//! # switchback::run(|| {
//! let (near, far) = tokio::io::duplex(64); // or a socket
//! let mut greeter = spawn(move || Blocking::new(far).write_all(b"hello\nthere\n"));
//! let lines: Result<Vec<_>, _> = BufReader::new(Blocking::new(near)).lines().collect();
//! assert_eq!(lines?, ["hello", "there"]);
//! # greeter.join().wait()??;
//! # Ok(())
//! # })?
//! # }
//! ```
//!
//! Fibers can borrow from the fiber that spawns them, and can be given a deadline:
//!
//! ```
//! use std::time::Duration;
//! use switchback::{prelude::*, scope, sleep, with_timeout};
//!
//! # switchback::run(|| {
//! let names = ["ann", "bob"];
//! let lengths = with_timeout(Duration::from_secs(5), || {
//!     scope(|s| {
//!         let mut fibers = names.each_ref().map(|name| s.spawn(move || name.len()));
//!         fibers.each_mut().map(|fiber| fiber.join().wait().unwrap())
//!     })
//! });
//! assert_eq!(lengths, Ok([3, 3]));
//! # }).unwrap();
//! ```
//!
//! # Where fibers run
//!
//! | program | how |
//! |---|---|
//! | `#[tokio::main(flavor = "current_thread")]`, `flavor = "local"`, `#[tokio::test]`, `LocalRuntime` | [`spawn`]: the hub is created on first use |
//! | `LocalSet` on one of these | as above, or [`Hub::run_until`] for fibers that call `spawn_local` |
//! | the main task of a multi-thread runtime | [`Hub::run_until`] |
//! | a task of a multi-thread runtime | [`HubPool`]: runs hubs on their own threads, and fibers are sent to them |
//! | async code that stays on its thread, of any executor | [`bridge()`]: runs a closure in place, without a hub |
//! | a synchronous `main` | [`run`] |
//!
//! A fiber stays on its hub's thread for as long as it lives. These types are `Send` and
//! can be used from other threads: [`FiberHandle`], wakers, and `Fiber<T>` where `T` is
//! `Send`.
//!
//! # Multi-thread applications
//!
//! The worker threads of a multi-thread runtime have no hub. Create a [`HubPool`], send it
//! closures, and await their results:
//!
//! ```
//! use std::time::Duration;
//! use switchback::{HubPool, prelude::*, sleep};
//!
//! /// Plain code that waits somewhere below.
//! fn legacy(n: u32) -> u32 {
//!     sleep(Duration::from_millis(1)).wait();
//!     2 * n
//! }
//!
//! #[tokio::main] // many threads
//! async fn main() -> std::io::Result<()> {
//!     let pool = HubPool::new(2)?;
//!     assert_eq!(pool.call(|| legacy(21)).await?, 42);
//! #   pool.close().await;
//!     Ok(())
//! }
//! ```
//!
//! The future of [`call`](HubPool::call) cancels its fiber if it is dropped, so the work of a
//! request ends when its client hangs up. A fiber of [`spawn`](HubPool::spawn) goes on without
//! its caller.
//!
//! The README shows a pool in a server. Use [`blocking`] for code that blocks its thread
//! and `compute` for code that computes for long. Both return a future, which async code
//! awaits and fibers wait for.
//!
//! # Scheduling
//!
//! A hub has one first-in first-out ready queue for starts, wakes and cancels. A fiber runs
//! until it waits, and nothing else runs on that thread meanwhile. Waking a fiber queues
//! it; the fiber never runs inside the waker's call. When other threads send a burst of
//! fibers, the hub takes them in by the dozen, so that fibers that have already begun keep
//! running. After a bounded number of fibers, or when tokio's cooperative budget is spent,
//! the hub lets tokio's other tasks, timers and I/O run. Fibers that yield in an endless
//! loop therefore starve nothing.
//!
//! # Cancellation
//!
//! [`Fiber::cancel`] unwinds a fiber from its current wait, or from the next one it
//! reaches. Destructors run, and `join` returns a [`JoinError`] for which
//! [`is_cancelled`](JoinError::is_cancelled) is true. The [guide](guide::cancellation) has
//! the rules, and lists what each waiting call loses when it is cancelled.
//!
//! # Ctrl-C
//!
//! Under [`run`] on the main thread, Ctrl-C cancels the root fiber. A second Ctrl-C, before
//! that cancel has been delivered, ends the process. [The rules](run#ctrl-c) say what a
//! program needs to do if it handles Ctrl-C itself. On a runtime that the program created,
//! this crate does not touch Ctrl-C.
//!
//! # Callback APIs
//!
//! A [`SwitchBack`] is a future that a callback completes, so an API that calls back
//! becomes a call that waits and returns. Its [`Switcher`]s can be fired from any thread,
//! before, during or after the wait; each call returns whether it won. To wrap a C library,
//! pass a switcher through the user data:
//!
//! ```
//! use std::ffi::{c_int, c_void};
//! use std::time::Duration;
//! use switchback::{SwitchBack, SwitchError, Switcher, prelude::*};
//!
//! # mod library {
//! #     use std::ffi::{c_int, c_void};
//! #     pub unsafe fn measure(done: extern "C" fn(*mut c_void, c_int), user_data: *mut c_void) {
//! #         let user_data = user_data.expose_provenance();
//! #         std::thread::spawn(move || done(std::ptr::with_exposed_provenance_mut(user_data), 42));
//! #     }
//! # }
//! fn measure() -> Result<c_int, SwitchError> {
//!     extern "C" fn done(user_data: *mut c_void, value: c_int) {
//!         // SAFETY: `measure` made this pointer, and the library calls back once.
//!         let switcher = unsafe { Box::from_raw(user_data.cast::<Switcher<c_int>>()) };
//!         switcher.switch(value);
//!     }
//!     let switch_back = SwitchBack::with_timeout(Duration::from_secs(10));
//!     let user_data = Box::into_raw(Box::new(switch_back.switcher()));
//!     // SAFETY: a switcher may be used on any thread; `done` frees it.
//!     unsafe { library::measure(done, user_data.cast()) };
//!     switch_back.wait() // blocks this fiber only
//! }
//!
//! # switchback::run(|| {
//! assert_eq!(measure().unwrap(), 42);
//! # }).unwrap();
//! ```
//!
//! [Cleanups](SwitchBack::add_cleanup) unregister a callback that did not come in time.
//!
//! # Panics
//!
//! A panic ends its fiber, not its hub. The joiner receives the panic as a [`JoinError`].
//! If nothing joins the fiber, the panic is reported on stderr, or to `tracing` with the
//! feature of that name.
//!
//! # Limits
//!
//! Stack switching is invisible to code that assumes one stack per thread. As with every
//! stackful coroutine, four uses of safe code alone can cause undefined behaviour;
//! SECURITY.md describes them in more detail. Do not
//!
//! 1. wait inside the initialiser of a `thread_local!`: another fiber may initialise the
//!    value meanwhile, and std then replaces a value that is in use;
//! 2. wait inside a closure of an API whose calls must nest last-in first-out on
//!    each thread: `scoped-tls`, pyo3's GIL guards, rayon's workers;
//! 3. let other threads use what a suspended stack borrows from thread-locals, if that
//!    stack may be abandoned (see the [guide](guide::cancellation#how-a-hub-ends)) and its
//!    thread may exit;
//! 4. keep a runtime, a `LocalSet` or a [`Bridge`] in a `thread_local!` until its thread
//!    ends, or ask for a hub in its destructor: stacks whose frames refer to destroyed
//!    thread-locals may be unwound there. Mostly this is noticed, and leaks them.
//!
//! Wrap code that must not be interleaved with other fibers in [`assert_no_switchpoints`]:
//! a wait inside it panics before it does any harm. Its examples show it catching the first
//! three cases. A [`fiber_local!`] may wait in its initialiser.
//!
//! The following are memory safe, but give wrong results or block:
//!
//! * Other fibers see a thread-bound guard that is held across a wait: tokio's
//!   `Handle::enter` and `LocalSet::enter`, the scopes of `task_local!`'s `sync_scope`. An
//!   [`ambient`] follows its fiber instead; with the feature `tracing`, so do entered spans,
//!   unless the subscriber is one of `set_default` that another fiber does not have.
//! * If a `RefCell` borrow or a std `Mutex` guard is held across a wait, another fiber that
//!   wants it panics, or blocks the thread for ever. Use tokio's `Mutex` with
//!   `.lock().wait()`.
//! * Code that blocks the thread blocks every fiber on it. Tokio's own blocking calls panic
//!   with "Cannot start a runtime from within a runtime", and so do libraries that use
//!   tokio inside, such as `reqwest::blocking` and `postgres`. Run such code with
//!   [`blocking(f).wait()`](blocking). The `block_on` of `futures` and of `pollster` does
//!   not panic: it freezes the hub.
//! * `errno`, the signal mask and the floating-point control word belong to the thread, not
//!   to the fiber.
//! * A stack does not grow beyond its size, which is 2 MiB unless a [`Builder`] or
//!   [`HubBuilder`] sets another. A fiber that overflows its stack runs into a guard, and
//!   the process aborts, as when a thread overflows. On Linux a report names the fiber
//!   first: see [`set_overflow_report`].
//!
//! # Platform support
//!
//! switchback supports the platforms of [`corosensei`]: Linux, macOS and other unix systems
//! on x86, x86-64, aarch64, arm, riscv, loongarch64 and powerpc64 (ELFv2); Windows on x86
//! and x86-64. It is tested on x86-64 Linux. [`Hub::poll`] exists on unix systems only.
//!
//! On Linux, only memory limits the number of fibers; a million is possible. A suspended
//! fiber uses one or two pages of its stack and some 400 bytes besides. Before Linux 6.13
//! (without `MADV_GUARD_INSTALL`), and on other systems, each stack takes two memory
//! mappings. Linux allows a process 65,530 mappings unless `vm.max_map_count` is raised,
//! which is enough for some 32,000 fibers; beyond that, [`Builder::spawn`] returns an error
//! that says so. Overflow reports and [stack measurements](FiberHandle::stack_used) are
//! available on Linux only.
//!
//! With `panic = "abort"` nothing can be unwound: cancels reach only
//! [`wait_or_cancelled`](Wait::wait_or_cancelled), a hub that ends leaks the stacks of
//! suspended fibers, and [`with_timeout`] panics.
//!
//! # Cargo features
//!
//! No feature is on by default.
//!
//! * `compute`: adds the function `compute`, which runs a closure on a pool of threads for
//!   computations (rayon's).
//! * `tracing`: sends reports and warnings to `tracing` instead of stderr, and makes the spans that
//!   are entered follow their fibers: see [`ambient`].
//! * `test-util`: adds `HubBuilder::start_paused`, which uses tokio's virtual clock.
//!
//! # Origin
//!
//! The model of one hub that every fiber switches back to comes from Gruvi's "Fibers and
//! the Hub" for Python. `scope` follows `std::thread::scope`, joining follows tokio's
//! `JoinHandle`, and waiting for futures on a coroutine's stack follows corona, which did
//! so for tokio 0.1.
//!
//! Gruvi's names correspond to these:
//!
//! | Gruvi | here |
//! |---|---|
//! | `get_hub()` | [`Hub::current`] |
//! | `Hub.loop` | [`Hub::runtime`] |
//! | `Hub.switch()` in a `switch_back` | [`wait`](Wait::wait) for a [`SwitchBack`], or for any future |
//! | `Hub.run_callback` | [`Hub::run_callback`]; from other threads [`HubHandle::run_callback`] |
//! | `Hub.data` | [`Hub::data`], by type |
//! | `Hub.poll` | `Hub::poll`, on unix systems |
//! | `Hub.close` | [`Hub::close`] |
//! | `Hub.ignore_interrupt` | [`Hub::set_ignore_interrupt`], [`HubBuilder::ignore_interrupt`] |
//! | `Hub.name` | [`Hub::name`] |
//! | `Fiber(target, name=...)` | [`Fiber::new`], [`Builder::create`] |
//! | `Fiber.start` | [`Fiber::start`] |
//! | `Fiber.cancel` | [`Fiber::cancel`], [`Fiber::cancel_with`] |
//! | `Fiber.join` | [`Fiber::join`], which returns the result |
//! | `Fiber.name` | [`Fiber::name`] |
//! | `Fiber.alive` | [`Fiber::is_alive`] |
//! | `switch_back()`, called or `.switch` | [`SwitchBack`], [`Switcher::switch`] |
//! | `switch_back.throw` | [`Switcher::throw`] |
//! | `switch_back.active` | [`SwitchBack::is_active`], [`Switcher::is_active`] |
//! | `switch_back.fiber` | [`SwitchBack::fiber`] |
//! | `switch_back.timeout` | [`SwitchBack::with_timeout`], [`SwitchBack::timeout`] |
//! | `switch_back.add_cleanup` | [`SwitchBack::add_cleanup`] |
//! | `@switchpoint` | [`switchpoint()`] |
//! | `assert_no_switchpoints` | [`assert_no_switchpoints`] |
//! | `current_fiber()` | [`current_fiber`] |
//! | `spawn` | [`spawn`] |
//! | `sleep` | [`sleep`] |
//! | `local` | [`fiber_local!`] |
//! | the pool for blocking I/O | [`blocking`] |
//! | the pool for computations | `compute`, with the feature of that name |
//!
//! Two parts of `switch_back` have no counterpart: its lock, because a [`Switcher`] is
//! atomic, and the timeout that it raises as the error, because [`SwitchError`] reports a
//! timeout.
//!
//! [`corosensei`]: https://docs.rs/corosensei
#![cfg_attr(docsrs, feature(doc_cfg))]

mod base;
mod bridge;
mod cancel;
mod current;
mod entry;
mod generator;
pub mod guide;
mod handles;
mod hub;
pub mod io;
mod local;
mod offload;
mod overflow;
mod remote;
mod scheduler;
mod scope;
mod shared;
mod stack;
pub mod stream;
mod switch;
mod switch_back;
mod switchpoint;
mod time;
mod try_scope;
mod wait;
mod yield_now;

/// State of the thread that follows fibers.
pub mod ambient {
    pub use crate::current::ambient::{Ambient, Registration, register};
}

pub use base::Elapsed;
pub use bridge::{Bridge, BridgeBorrowed, bridge, bridge_borrowed};
pub use cancel::{catch_cancel, check_cancelled, shield, with_timeout};
pub use current::AccessError;
pub use entry::{Hub, HubBuilder, run};
pub use handles::{
    Builder, CancelOnDrop, Close, CloseTimeout, CloseWithin, Fiber, FiberHandle, FiberSet,
    HubHandle, Join, JoinError, SpawnOn, current_fiber, in_fiber, park, spawn,
};
pub use hub::HubData;
#[cfg(unix)]
#[cfg_attr(docsrs, doc(cfg(unix)))]
pub use hub::poll::{Events, PollHandle, Poller};
pub use local::LocalKey;
pub use offload::{Offload, blocking};
#[cfg(feature = "compute")]
pub use offload::{compute, compute_threads};
pub use overflow::set_overflow_report;
pub use remote::{
    Call, CloseThreads, CloseThreadsWithin, HubPool, HubThread, PoolIter, PoolReader, PoolWriter,
};
pub use scope::{Scope, ScopedFiber, scope};
pub use shared::{Cancelled, FiberId, HubClosed, HubMetrics, SpawnError};
pub use switch_back::{SwitchBack, SwitchError, Switcher};
pub use switchpoint::{assert_no_switchpoints, switchpoint};
pub use time::{Sleep, sleep, sleep_until};
pub use try_scope::{TryScope, try_scope};
pub use wait::Wait;
pub use yield_now::{YieldNow, yield_now};

/// The extension traits: `use switchback::prelude::*;`
pub mod prelude {
    pub use crate::stream::{WaitSink as _, WaitStream as _};
    pub use crate::wait::Wait as _;
}
