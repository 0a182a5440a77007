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
//!     let fiber = spawn(|| {
//!         sleep(Duration::from_millis(1)).wait(); // blocks this fiber only
//!         "done"
//!     });
//!     assert_eq!(fiber.await.unwrap(), "done");
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
//!         let server = switchback::spawn(move || -> io::Result<()> {
//!             let (mut stream, _) = listener.accept().wait()?;
//!             shout(&mut stream)
//!         });
//!         let mut client = TcpStream::connect(address).wait()?;
//!         client.write_all(b"hello").wait()?;
//!         let mut answer = [0; 5];
//!         client.read_exact(&mut answer).wait()?;
//!         assert_eq!(&answer, b"HELLO");
//!         server.wait()?
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
//! Most programs run tokio's multi-thread runtime. Its worker threads have no hub, so they send
//! closures to a [`HubPool`], which has its own threads, and await the fibers:
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
//! # Limits
//!
//! * Stack switching cannot be made sound for all safe code around it. Do not wait inside the
//!   initialiser of a `thread_local!`, or inside a closure of an API whose calls nest last-in
//!   first-out on their thread; keep no suspended stacks in a `thread_local!`. [The
//!   limits](guide::limits) have the whole list, and [`assert_no_switchpoints`] catches such a
//!   wait before it does harm.
//! * Code that blocks its thread, or computes for long, holds up every fiber of the thread:
//!   [`blocking`] and `compute` run it elsewhere.
//! * A std `Mutex` guard or a `RefCell` borrow that is held across a wait is in the way of the
//!   other fibers of the thread.
//! * Stacks do not grow. Each has 2 MiB of address space unless set otherwise, of which only the
//!   used pages take memory.
//! * With `panic = "abort"` nothing can be cancelled, except in
//!   [`wait_or_cancelled`](Wait::wait_or_cancelled).
//!
//! # The guide
//!
//! * [Choosing](guide::choosing): fibers or something else, and where to begin.
//! * [Porting](guide::porting) a threaded program, with a table of std's names.
//! * [Multi-thread applications](guide::multi_thread).
//! * [Synchronisation](guide::synchronisation): which locks and channels.
//! * [Cancellation](guide::cancellation), deadlines and all the ways to end.
//! * [Context](guide::context): what belongs to a fiber, and what to its thread.
//! * [Synchronous libraries](guide::legacy), and callbacks from C.
//! * [Testing](guide::testing), on the virtual clock too.
//! * [My program hangs](guide::hangs).
//! * [The limits](guide::limits).
//! * [Errors](guide::errors) by their text.
//! * [Gruvi's names](guide::ancestor).
//!
//! [`io`] and [`stream`] hold the adapters between std's traits and tokio's. [`thread`] and [`sync`] have
//! std's names and signatures, for threaded code whose `use` lines change and nothing else.
//!
//! # Seeing inside
//!
//! [`Hub::dump`] and [`dump_all`] say what every fiber waits for, where and for whom; [`watch`] tells of
//! a fiber that blocks its hub's thread, while it does. [My program hangs](guide::hangs) has the rest.
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
//! # Panics
//!
//! A panic ends its fiber, not its hub. The joiner receives the panic as a [`JoinError`].
//! If nothing joins the fiber, the panic is reported on stderr, or to `tracing` with the
//! feature of that name.
//!
//! # Platform support
//!
//! switchback supports the platforms of [`corosensei`]: Linux, macOS and other unix systems
//! on x86, x86-64, aarch64, arm, riscv, loongarch64 and powerpc64 (ELFv2); Windows on x86
//! and x86-64. The checks of each change are these:
//!
//! | platform | what is run there |
//! |---|---|
//! | x86-64 Linux | all tests; with Rust 1.85 those of waits, of cancellation and of what is in std's shape |
//! | i686 Linux | the tests of fibers, stacks, hubs and Ctrl-C, and an example with `panic = "abort"` |
//! | aarch64 Linux, under qemu | the same, but for crowds of busy fibers |
//! | x86-64 Windows, under wine | the tests of fibers, stacks and Ctrl-C, and the example |
//! | aarch64 macOS | nothing: the tests are compiled, but for those of what is in std's shape |
//! | x86-64 FreeBSD | nothing: the tests of stacks are compiled |
//! | others | nothing: their code was only read |
//!
//! [`Hub::poll`] exists on unix systems only, [overflow reports](set_overflow_report) on Linux, macOS,
//! FreeBSD and Windows, [stack measurements](FiberHandle::stack_used) on Linux only.
//!
//! # Cargo features
//!
//! No feature is on by default.
//!
//! * `backtrace`: adds `Dump::backtraces`, which has the calls that each fiber is in, on unix systems.
//! * `fs`: adds the module `fs`, files in the shape of std's.
//! * `process`: adds the module `process`, child processes in the shape of std's.
//! * `compute`: adds the function `compute`, which runs a closure on a pool of threads for
//!   computations (rayon's).
//! * `serde`: makes dumps, and what they consist of, `serde::Serialize`: see [`HubDump`].
//! * `tracing`: sends reports and warnings to `tracing` instead of stderr, and makes the spans that
//!   are entered follow their fibers: see [`ambient`].
//! * `test-util`: adds the module `testing`, which finds bugs of concurrency,
//!   `HubBuilder::schedule` and `HubBuilder::start_paused`, which uses tokio's virtual clock.
//!
//! # Origin
//!
//! The model of one hub that every fiber switches back to comes from Gruvi's "Fibers and
//! the Hub" for Python. `scope` follows `std::thread::scope`, joining follows tokio's
//! `JoinHandle`, and waiting for futures on a coroutine's stack follows corona, which did
//! so for tokio 0.1.
//!
//! [`corosensei`]: https://docs.rs/corosensei
#![cfg_attr(docsrs, feature(doc_cfg))]

mod base;
mod bridge;
mod cancel;
mod current;
mod entry;
#[cfg(feature = "fs")]
#[cfg_attr(docsrs, doc(cfg(feature = "fs")))]
pub mod fs;
mod generator;
pub mod guide;
mod handles;
mod hub;
mod insight;
pub mod io;
mod local;
pub mod net;
mod offload;
mod overflow;
#[cfg(feature = "process")]
#[cfg_attr(docsrs, doc(cfg(feature = "process")))]
pub mod process;
mod remote;
mod scheduler;
mod scope;
mod shared;
mod stack;
pub mod stream;
mod switch;
mod switch_back;
mod switchpoint;
pub mod sync;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod testing;
pub mod thread;
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
#[cfg(feature = "backtrace")]
#[cfg_attr(docsrs, doc(cfg(feature = "backtrace")))]
pub use insight::{Backtrace, BacktraceEnd, BacktraceFrame};
pub use insight::{
    BlockedHub, Cycle, Dump, DumpAll, DumpError, FiberDump, FiberState, HubDump, HubTimes,
    LongestRun, ProcessDump, Running, SourcePlace, ThreadActivity, WaitDump, WaitsFor, WatchGuard,
    dump_all, watch, watch_deadlocks,
};
#[cfg(unix)]
#[cfg_attr(docsrs, doc(cfg(unix)))]
pub use insight::{SignalGuard, dump_on_signal};
pub use local::{LocalKey, LocalScope};
pub use offload::{Offload, blocking};
#[cfg(feature = "compute")]
pub use offload::{compute, compute_threads};
pub use overflow::set_overflow_report;
pub use remote::{
    Call, CloseThreads, CloseThreadsWithin, HubPool, HubThread, PoolIter, PoolReader, PoolWriter,
};
pub use scope::{Scope, ScopedFiber, scope};
pub use shared::{Cancelled, FiberId, HubClosed, HubMetrics, Slice, SpawnError, Track};
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
