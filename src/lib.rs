//! Blocking-style code inside tokio: stackful fibers that wait for any future.
//!
//! A *fiber* is ordinary synchronous Rust on a stack of its own, which can stop in
//! the middle of any call depth. A *hub* is a scheduler: one task on a tokio
//! current-thread runtime that resumes fibers when what they wait for is ready.
//! Inside a fiber, [`.wait()`](Wait::wait) waits for a future as `.await` does in
//! async code. [`spawn`], [`sleep`] and [`join`](Fiber::join) are the same in both
//! worlds.
//!
//! It is for code that is written to block and cannot be rewritten as async, a
//! protocol over `Read` and `Write`, a parser with callbacks, an interpreter, and
//! has to run by the hundred inside an async program without a thread each.
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
//! Everything that can be awaited can be waited for, at any call depth, with
//! tokio's sockets, channels and timers:
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
//! Code that was written against std's `Read` and `Write` runs over tokio's sockets as
//! it is; [`io`] and [`stream`] have more of the kind, and the [guide](guide::legacy)
//! says which libraries belong on fibers:
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
//! Fibers can borrow from the one that spawns them, and be told to end in time:
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
//! | `#[tokio::main(flavor = "current_thread")]`, `flavor = "local"`, `#[tokio::test]`, `LocalRuntime` | [`spawn`]: the hub is made on first need |
//! | `LocalSet` on one of these | as above, or [`Hub::run_until`] for fibers that call `spawn_local` |
//! | the main task of a multi-thread runtime | [`Hub::run_until`] |
//! | a task of a multi-thread runtime, any other executor | [`bridge()`]: in place, without a hub; [`HubPool`]: hubs on threads of their own, and fibers sent to them |
//! | a synchronous `main` | [`run`] |
//!
//! Fibers stay on their hub's thread for ever. What may be used from other threads
//! is `Send`: [`FiberHandle`], wakers, and `Fiber<T>` where `T` is `Send`.
//!
//! # Multi-thread applications
//!
//! On the worker threads of a multi-thread runtime there is no hub. Make a
//! [`HubPool`], send it closures, and await the fibers:
//!
//! ```
//! use std::time::Duration;
//! use switchback::{HubPool, prelude::*, sleep};
//!
//! /// Plain code, which waits somewhere below.
//! fn legacy(n: u32) -> u32 {
//!     sleep(Duration::from_millis(1)).wait();
//!     2 * n
//! }
//!
//! #[tokio::main] // many threads
//! async fn main() -> std::io::Result<()> {
//!     let pool = HubPool::new(2)?;
//!     let fiber = pool.spawn(|| legacy(21))?;
//!     assert_eq!(fiber.await?, 42);
//! #   pool.close().await;
//!     Ok(())
//! }
//! ```
//!
//! The README has more of it, in a server. What blocks its thread belongs into
//! [`blocking`], what computes for long into `compute`; both can be awaited, and
//! waited for in fibers.
//!
//! # Scheduling
//!
//! A hub has one queue, first in first out, for starts, wakes and cancels. A fiber
//! runs until it waits, and nothing else runs on that thread meanwhile. Waking a
//! fiber queues it; it never runs inside the waker's call. Fibers that other threads
//! send in a burst come into the queue by the dozen, so those that have begun go on
//! meanwhile. After a bounded number of fibers, and when tokio's cooperative budget
//! is spent, the hub lets tokio's other tasks, timers and I/O have their turn, so
//! fibers that give way for ever starve nothing.
//!
//! # Cancellation
//!
//! [`Fiber::cancel`] unwinds a fiber from the wait that it is in or reaches next:
//! destructors run, and `join` gives a [`JoinError`] that says so. The
//! [guide](guide::cancellation) has the rules, and for each waiting call what is
//! lost when it is cancelled.
//!
//! # Ctrl-C
//!
//! Under [`run`] on the main thread, Ctrl-C cancels the root fiber; pressed twice
//! before that could be done, it ends the process. [The rules](run#ctrl-c) say
//! what programs need that handle it themselves. On a runtime of the program,
//! Ctrl-C is not touched.
//!
//! # Callback APIs
//!
//! A [`SwitchBack`] is a future that a callback makes ready: what calls back
//! becomes a call that waits and returns. Its [`Switcher`]s can be fired from
//! anywhere, before the wait, during it or too late, and tell whether they won. For
//! a C library, one goes through the user data:
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
//!         // SAFETY: it is what `measure` made below, and the library calls back once.
//!         let switcher = unsafe { Box::from_raw(user_data.cast::<Switcher<c_int>>()) };
//!         switcher.switch(value);
//!     }
//!     let switch_back = SwitchBack::with_timeout(Duration::from_secs(10));
//!     let user_data = Box::into_raw(Box::new(switch_back.switcher()));
//!     // SAFETY: a switcher may be used on any thread, and `done` frees it.
//!     unsafe { library::measure(done, user_data.cast()) };
//!     switch_back.wait() // blocks this fiber only
//! }
//!
//! # switchback::run(|| {
//! assert_eq!(measure().unwrap(), 42);
//! # }).unwrap();
//! ```
//!
//! [Cleanups](SwitchBack::add_cleanup) take back a callback that did not come in
//! time.
//!
//! # Panics
//!
//! A panic ends its fiber, not its hub: the joiner gets it as a [`JoinError`]. If
//! there is no joiner, it is reported, to `tracing` with that feature, to stderr
//! without it.
//!
//! # Limits
//!
//! Stack switching is invisible to code that assumes that one thread has one
//! stack. With safe code alone, four things can go wrong up to undefined
//! behaviour, here as with every stackful coroutine; SECURITY.md has more on them.
//! Do not
//!
//! 1. wait inside the initialiser of a `thread_local!`: another fiber may
//!    initialise it meanwhile, and std then replaces a value that is in use;
//! 2. wait inside a closure of an API whose calls must nest last-in first-out on
//!    each thread: `scoped-tls`, pyo3's GIL guards, rayon's workers;
//! 3. wait over a stack that is then abandoned (see the guide) on a thread that
//!    exits while other threads use what that stack borrows from thread-locals;
//! 4. keep a runtime, a `LocalSet` or a [`Bridge`] in a `thread_local!` until its
//!    thread ends: it is dropped there and unwinds stacks that may refer to
//!    thread-locals that are gone.
//!
//! Put code during which nothing else may run into [`assert_no_switchpoints`]: a
//! wait in it then panics, and nothing is harmed. Its examples show the first three
//! cases being caught. A [`fiber_local!`] may wait in its initialiser.
//!
//! Other things only give wrong results or stand still:
//!
//! * A guard that belongs to a thread and is held across a wait is seen by other
//!   fibers: tokio's `Handle::enter` and `LocalSet::enter`, the scopes of
//!   `task_local!`'s `sync_scope`, tracing's `span.entered()`.
//! * A `RefCell` borrow or a std `Mutex` guard held across a wait: another fiber
//!   that wants it panics, or blocks the thread for ever. Use tokio's `Mutex` with
//!   `.lock().wait()`.
//! * Code that blocks the thread blocks every fiber on it. Tokio refuses its own
//!   blocking calls with "Cannot start a runtime from within a runtime" (so do
//!   libraries that use it inside, such as `reqwest::blocking` and `postgres`):
//!   run such code with [`blocking(f).wait()`](blocking). The `block_on` of
//!   `futures` and `pollster` is not refused, and freezes the hub.
//! * `errno`, the signal mask and the floating-point control word are the
//!   thread's, not the fiber's.
//! * A stack does not grow beyond its size, 1 MiB unless a [`Builder`] or
//!   [`HubBuilder`] says otherwise. A fiber that overflows it runs into a guard,
//!   and the process aborts, as when a thread does. On Linux a report names the
//!   fiber before: see [`set_overflow_report`].
//!
//! # Platform support
//!
//! That of [`corosensei`]: Linux, macOS and other unix systems on x86, x86-64,
//! aarch64, arm, riscv, loongarch64 and powerpc64 (ELFv2); Windows on x86 and
//! x86-64. It is tested on x86-64 Linux. [`Hub::poll`] is for unix systems only.
//!
//! On Linux there can be as many fibers as there is memory for, a million say: one
//! that is suspended takes a page of its stack, or two, and some 400 bytes besides.
//! Before Linux 6.13 (without `MADV_GUARD_INSTALL`), and on other systems, each stack
//! takes two memory mappings, of which Linux allows a process 65,530 unless
//! `vm.max_map_count` is raised: that is some 32,000 fibers. One more is an error of
//! [`Builder::spawn`] that says so. Only on Linux is an overflow reported by name, and
//! is it known [how much](FiberHandle::stack_used) of a stack is used.
//!
//! With `panic = "abort"` nothing can be unwound: cancels reach only
//! [`wait_or_cancelled`](Wait::wait_or_cancelled), a hub that ends leaks the stacks of suspended
//! fibers, and [`with_timeout`] refuses to run.
//!
//! # Cargo features
//!
//! None is on by default.
//!
//! * `compute`: the function of that name, which has a closure run on a pool of
//!   threads for computations (rayon's).
//! * `tracing`: reports and warnings go to `tracing` instead of stderr.
//! * `test-util`: `HubBuilder::start_paused`, tokio's virtual clock.
//!
//! # Origin
//!
//! The model, one hub to which every fiber switches back, is that of Gruvi's
//! "Fibers and the Hub" for Python. `scope` follows `std::thread::scope`, joining
//! follows tokio's `JoinHandle`, and waiting for futures on a coroutine's stack
//! follows corona, which did it for tokio 0.1.
//!
//! What Gruvi has is here, under these names:
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
//! | `Fiber.join` | [`Fiber::join`], which gives the result |
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
//! Two things of `switch_back` are absent: its lock, since a [`Switcher`] is atomic,
//! and its timeout that turns into the error, since [`SwitchError`] says it.
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
mod wait;
mod yield_now;

pub use base::Elapsed;
pub use bridge::{Bridge, BridgeBorrowed, bridge, bridge_borrowed};
pub use cancel::{catch_cancel, check_cancelled, shield, with_timeout};
pub use current::AccessError;
pub use entry::{Hub, HubBuilder, run};
pub use handles::{
    Builder, Close, CloseTimeout, CloseWithin, Fiber, FiberHandle, HubHandle, Join, JoinError,
    current_fiber, in_fiber, park, spawn,
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
pub use remote::{CloseThreads, CloseThreadsWithin, HubPool, HubThread};
pub use scope::{Scope, ScopedFiber, scope};
pub use shared::{Cancelled, FiberId, HubClosed, HubMetrics};
pub use switch_back::{SwitchBack, SwitchError, Switcher};
pub use switchpoint::{assert_no_switchpoints, switchpoint};
pub use time::{Sleep, sleep, sleep_until};
pub use wait::Wait;
pub use yield_now::{YieldNow, yield_now};

/// The extension traits: `use switchback::prelude::*;`
pub mod prelude {
    pub use crate::stream::{WaitSink as _, WaitStream as _};
    pub use crate::wait::Wait as _;
}

/// The README's examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
