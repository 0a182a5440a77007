//! My program hangs, or other fibers stand still.
//!
//! # Is the thread busy or idle?
//!
//! If it uses a whole core, a fiber computes without waiting: nothing else of its hub runs.
//! Move the computation to `compute` or a thread, or put a
//! [`yield_now()`](crate::yield_now())`.wait()` into its loop.
//!
//! If it is idle, attach a debugger and look at the hub's thread (for a
//! [`HubPool`](crate::HubPool), the threads have the hub's name and a number). Inside `epoll_wait`
//! or `kevent` the hub waits for events, and each fiber waits for something that does not come.
//! Inside anything else, such as a `futex`, `read` or `nanosleep`, one fiber blocks the thread,
//! and its frames are the ones below.
//!
//! # A fiber blocks the thread
//!
//! | what it calls | instead |
//! |---|---|
//! | std's `thread::sleep`, `park`, `JoinHandle::join`, channels, `Condvar` | [the counterparts](super::porting#from-std) |
//! | std's sockets, files, processes, name resolution, a driver with sockets of its own | tokio's with [`.wait()`](crate::Wait::wait), or [`blocking(f).wait()`](crate::blocking) |
//! | `Mutex::lock` of std, whose guard another fiber of this thread holds across a wait | release it before the wait, or use [`sync::Mutex`](crate::sync::Mutex): see [synchronisation](super::synchronisation) |
//! | a value of std's `OnceLock` or `LazyLock` whose initialiser waits | [`sync::OnceLock`](crate::sync::OnceLock), [`sync::LazyLock`](crate::sync::LazyLock) |
//! | `futures::executor::block_on`, `pollster::block_on` | [`.wait()`](crate::Wait::wait) |
//! | a pool of connections that is empty | `blocking`, or a semaphore of tokio's around it |
//!
//! To find the place without a debugger, [`watch`](crate::watch()) the hubs. While a fiber keeps the
//! thread of its hub, the watchdog says so: the fiber's name, where it was spawned, for how long it has had
//! the thread, where it has waited before, and on Linux what the thread does.
//!
//! ```
//! use std::time::Duration;
//! use switchback::{BlockedHub, watch};
//!
//! # fn main() -> std::io::Result<()> {
//! let _guard = watch(Duration::from_secs(1), BlockedHub::report)?; // to stderr, or to `tracing`
//! // run the program
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//! switchback: hub 'Hub' on thread 'main' stands still: fiber 7 'import', spawned at src/main.rs:30:9
//! has had its thread for 1.0s; the thread is asleep in `futex`: a lock, a channel or a `park` of std?
//! ```
//!
//! With the feature `backtrace`, on x86-64 Linux with glibc, `BlockedHub::backtrace` adds the calls that the
//! fiber is in, in a loop as well as in a system call. A signal interrupts the thread for that, so it is only
//! done if you ask for it; the function's documentation says what that means for system calls.
//!
//! ```no_run
//! # #[cfg(all(feature = "backtrace", unix))]
//! # fn main() -> std::io::Result<()> {
//! const SIGURG: i32 = 23; // nobody else uses it; the `libc` crate has it
//! let _guard = switchback::watch(std::time::Duration::from_secs(1), |blocked| {
//!     blocked.report();
//!     match blocked.backtrace(SIGURG) {
//!         Ok(backtrace) => eprint!("{backtrace}"),
//!         Err(error) => eprintln!("no backtrace: {error}"),
//!     }
//! })?;
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "backtrace", unix)))]
//! # fn main() {}
//! ```
//!
//! [`HubHandle::running`](crate::HubHandle::running) answers the same question at once, and so does Ctrl-C
//! under [`run`](crate::run#ctrl-c) on unix systems: a report names the fiber that has the thread.
//!
//! With [`HubBuilder::slice`](crate::HubBuilder::slice), such fibers are reported without a watchdog, and,
//! if you ask for it, cancelled. The cancel takes effect at the fiber's next wait or
//! [`check_cancelled`](crate::check_cancelled); code that reaches neither is not stopped.
//!
//! # It is slow
//!
//! With [`Track::Times`](crate::Track::Times), [`HubHandle::times`](crate::HubHandle::times) has the
//! fiber that has kept the thread for the longest time, and how long fibers were ready before they
//! ran. If many were ready for milliseconds, some fibers compute for too long, or the thread has too
//! much to do. What is queued, and how many fibers, wakes, turns and timers there are, is in
//! [`HubHandle::metrics`](crate::HubHandle::metrics). Both can be read from any thread, also while
//! the hub is blocked.
//!
//! # Who waits, and where
//!
//! A dump says it: each fiber with its name, where it was spawned, where it waits, for what, and
//! who waits for whom. Fibers that are alike are one entry.
//!
//! | call | from |
//! |---|---|
//! | [`Hub::current().dump()`](crate::Hub::dump) | the hub's thread: a fiber, async code, a panic hook |
//! | [`HubHandle::dump`](crate::HubHandle::dump), [`dump_within`](crate::HubHandle::dump_within) | any thread |
//! | [`dump_all`](crate::dump_all()) | any thread, of every hub of the process |
//! | [`dump_on_signal`](crate::dump_on_signal()) | outside: `kill -QUIT` prints all of it |
//!
//! A hub whose thread is blocked does not answer; the error of `dump_within` and `dump_all` names the
//! fiber that blocks it. Make the program print a dump when it is asked to before you need it.
//!
//! ```
//! use switchback::{Builder, Hub, SwitchBack, prelude::*, spawn, yield_now};
//!
//! # switchback::run(|| {
//! let fetch = || {
//!     let answer = SwitchBack::<u32>::new();
//!     let _never_fired = answer.switcher();
//!     drop(answer.wait());
//! };
//! let fetch = Builder::new().name("fetch").spawn(fetch).unwrap();
//! spawn(move || drop(fetch.wait()));
//! yield_now().wait();
//! let dump = Hub::current().dump();
//! println!("{dump}");
//! # let text = dump.to_string();
//! # assert!(text.contains("'fetch', waiting") && text.contains("SwitchBack<u32>"), "{text}");
//! # assert!(text.contains("for the end of fiber"), "{text}");
//! # }).unwrap();
//! ```
//!
//! A place is that of the call that waits: of your own, or of the std function that you have called, such as
//! `read_exact`. What a fiber waits for is another fiber or a time where that is known, and otherwise the
//! call, such as `net::TcpStream::read`, or the type of the future that `.wait()` is called on.
//! [`HubBuilder::track`](crate::HubBuilder::track) turns the records off, or adds for how long each
//! fiber has waited.
//!
//! With the feature `backtrace`, a dump of a handle or of the process has the calls that each
//! suspended fiber is in, down to the function of yours that called into the library that waits:
//! `Hub::current().handle().dump().backtraces(1000).wait()`. The functions have their names and lines
//! if the program has debug information; `debug = "line-tables-only"` in the profile is enough. What
//! [`dump_on_signal`](crate::dump_on_signal()) prints then has them too.
//!
//! ```text
//! fiber 7 'import', waiting for 12.5s
//!     for a lock that fiber 4 'reindex' has taken
//!     at src/index.rs:41:27
//!     spawned at src/main.rs:30:9 by fiber 1
//!        0: lock<Index>
//!             at .../src/sync/mutex.rs:118
//!        1: program::index::insert
//!             at src/index.rs:41
//!        2: program::import
//!             at src/main.rs:52
//! ```
//!
//! Joins, the ends of scopes, the locks of [`sync`](crate::sync) and what its `Once`, `OnceLock` and `LazyLock`
//! run are followed: fibers that wait for each other come first in the dump, and [`HubDump::cycles`](crate::HubDump::cycles) has them. To be told of
//! them without asking, use [`watch_deadlocks`](crate::watch_deadlocks()). Another lock or a channel is not
//! followed, nor a [`park`](crate::park()), since anybody with its handle may end it (the dump says if
//! nobody has one); the call is named. Of those who share an [`RwLock`](crate::sync::RwLock) one is known
//! at a time, so a cycle over another of them is not found.
//!
//! # Each call over a socket takes 40 ms
//!
//! A message was sent in two small writes, and then an answer is waited for. The system keeps the second
//! write back until the peer has acknowledged the first one, which the peer delays. `writeln!` makes a
//! write of each of its parts. Write a message at once, or into a `BufWriter` that is flushed at its end, or
//! call `set_nodelay(true)`.
//!
//! # Everybody waits
//!
//! A fiber that waits for what never comes is a deadlock like any other: two fibers that join
//! each other, a lock that is held while its holder waits for the one who wants it, a channel
//! whose sender is kept alive by its own receiver.
//!
//! * Give fibers names, with [`Builder::name`](crate::Builder::name).
//! * Ask for [a dump](crate::Hub::dump), as above.
//! * Run a small program that has the deadlock under many orders, with
//!   [`explore`](super::testing#every-order), which prints the seed of the one that stops.
//! * Ask who is left: the error of [`Hub::close_within`](crate::Hub::close_within) names the
//!   fibers that did not end, and [`Hub::metrics`](crate::Hub::metrics) counts the living.
//! * Put a limit around the suspects, [`with_timeout`](crate::with_timeout) or
//!   [`wait_timeout`](crate::Wait::wait_timeout). The error returns at the place that waits.
//!
//! ```
//! use std::future::pending;
//! use std::time::Duration;
//! use switchback::{Builder, Hub, prelude::*};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let stuck = || while switchback::catch_cancel(|| pending::<()>().wait()).is_err() {};
//!     drop(Builder::new().name("reader of the queue").spawn(stuck).unwrap());
//!     tokio::task::yield_now().await;
//!     let limit = Duration::from_millis(10);
//!     let error = Hub::current().close_within(limit).await.unwrap_err();
//!     assert!(error.to_string().contains("reader of the queue"));
//! }
//! ```
//!
//! # It hangs at the end
//!
//! * `run` returns when every fiber has ended. One that catches its cancel and goes on, as
//!   libraries that catch panics do, keeps it open, and so does a job of `blocking`. Bound it
//!   with [`HubBuilder::close_timeout`](crate::HubBuilder::close_timeout).
//! * A fiber inside [`shield`](crate::shield) gets its cancel when the shield ends.
//! * A thread of a hub that says it "stays parked for ever" holds stacks that could not be
//!   unwound: see [how a hub ends](super::cancellation#how-a-hub-ends).
//!
//! # Nothing ever runs
//!
//! * A fiber made with [`Fiber::new`](crate::Fiber::new) runs when it is
//!   [started](crate::Fiber::start) or joined.
//! * A `SwitchBack`, a `sleep` or a `bridge` is a future: it does nothing until it is awaited or
//!   waited for.
//! * A hub runs on its runtime's thread: if that thread no longer drives the runtime, its fibers
//!   stand still, and a warning says so.
