//! How a threaded program becomes one with fibers.
//!
//! Most of the code stays as it is. What blocks its thread is replaced, since a hub's thread
//! has other fibers to run: each such call has a counterpart that waits.
//!
//! # By its `use` lines
//!
//! Where the rest of a program is to stay as it is, only its `use` lines change, and the body of `main`
//! goes into [`run`](crate::run()). These modules have the names, the signatures and the error kinds of std's,
//! and each has a table of what differs:
//!
//! | instead of | write | |
//! |---|---|---|
//! | `use std::thread` | [`use switchback::thread`](crate::thread) | fibers in place of threads |
//! | `use std::sync` | [`use switchback::sync`](crate::sync) | locks, conditions and channels that block the fiber |
//! | `use std::net`, `use std::os::unix::net` | [`use switchback::net`](crate::net), `use switchback::net::unix` | sockets |
//! | `use std::fs` | `use switchback::fs`, with the feature `fs` | files, some 100 µs a call: buffer them |
//! | `use std::process` | `use switchback::process`, with the feature `process` | child processes |
//! | `use std::io` | [`use switchback::io`](crate::io), for `stdin` | the rest is std's |
//! | `thread_local!` | `use switchback::fiber_local as thread_local` | values of the fiber |
//!
//! The example `port` is one source under both lists of `use` lines. So are five programs of the tests
//! of this crate, each of 160 to 240 lines: a chat server, a key-value store, a port scanner, a work
//! queue and a pipeline of processes. No other line of them had to change.
//!
//! What the compiler does not find, and is left for you to look at:
//!
//! * Data behind a lock is not touched by others while its holder waits, as with threads. But a cancel,
//!   of which std has none, poisons the lock as a panic does. Put [`shield`](crate::shield()) around a
//!   section that waits, as the example does, or use `sync::nonpoison`.
//! * Calls that still block: the methods of `Path` that ask the system, `println!` into a full pipe,
//!   and libraries with files or sockets of their own. Wrap them in [`blocking`](crate::blocking).
//! * Paths that are written out: search for `std::thread::`, `std::sync::`, `std::net::` and so on. They
//!   compile, and block the thread. ([`watch`](crate::watch()) finds those that are left.)
//! * Threads that compute for long: the system divides the processor among threads, but no fiber runs until
//!   another one waits.
//! * The message of a panic names the thread, not the fiber.
//! * Fibers that are left when `run` returns are cancelled, where threads would be killed.
//!
//! ```
//! use switchback::sync::{Arc, Mutex, mpsc}; // was: std::sync
//! use switchback::thread; // was: std::thread
//!
//! fn main() {
//!     switchback::run(|| {
//!         let (send, jobs) = mpsc::channel::<u32>();
//!         let jobs = Arc::new(Mutex::new(jobs));
//!         let workers: Vec<_> = (0..3)
//!             .map(|_| {
//!                 let jobs = jobs.clone();
//!                 thread::spawn(move || {
//!                     let mut sum = 0;
//!                     loop {
//!                         let job = jobs.lock().unwrap().recv(); // waits with the lock
//!                         match job {
//!                             Ok(job) => sum += job,
//!                             Err(_) => return sum,
//!                         }
//!                     }
//!                 })
//!             })
//!             .collect();
//!         (1..=10).for_each(|job| send.send(job).unwrap());
//!         drop(send);
//!         let sum: u32 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
//!         assert_eq!(sum, 55);
//!     })
//!     .unwrap();
//! }
//! ```
//!
//! # From std
//!
//! In new code, and where fibers are to be cancelled, the crate's own types say more:
//!
//! | std | here |
//! |---|---|
//! | `thread::spawn(f)` | [`spawn(f)`](crate::spawn); fibers of one thread need no `Send` |
//! | `thread.join()` | [`fiber.wait()`](crate::Wait::wait), or [`fiber.join().wait()`](crate::Fiber::join) to keep the handle |
//! | `thread.is_finished()` | not [`is_alive()`](crate::Fiber::is_alive) |
//! | `thread::scope` | [`scope`](crate::scope()) |
//! | `thread::Builder` | [`Builder`](crate::Builder): a name, a stack size, an error instead of a panic |
//! | `thread::sleep(d)` | [`sleep(d)`](crate::sleep)`.wait()` |
//! | `thread::yield_now()` | [`yield_now()`](crate::yield_now())`.wait()` |
//! | `thread::park`, `unpark` | [`park`](crate::park), [`FiberHandle::unpark`](crate::FiberHandle::unpark) |
//! | `thread::current()` | [`current_fiber`](crate::current_fiber) |
//! | `thread_local!` | [`fiber_local!`](crate::fiber_local), if each fiber needs its own |
//! | `mpsc::channel`, `sync_channel` | the same of [`sync`](crate::sync); or tokio's `mpsc::unbounded_channel` and `channel`, with `recv().wait()` and `send(x).wait()` |
//! | `Mutex`, `RwLock`, `Condvar`, `Barrier` | [that page](super::synchronisation): often none, else those of [`sync`](crate::sync) |
//! | `TcpStream`, `TcpListener`, `UnixStream` | the same of [`net`](crate::net); or tokio's, with `.wait()`; for code that takes `Read` and `Write`, in an [`io::Blocking`](crate::io::Blocking) |
//! | `set_read_timeout` | [`Blocking::set_read_timeout`](crate::io::Blocking::set_read_timeout), or [`with_timeout`](crate::with_timeout) around the whole |
//! | `fs::read`, `File` | the same of `fs`; or several calls in one [`blocking(f)`](crate::blocking)`.wait()`, which is faster |
//! | `process::Command` | the same of `process`; or `tokio::process::Command` with `.wait()` |
//! | a pool of threads for connections | a fiber for each; a tokio `Semaphore` if there have to be limits |
//! | a flag that tells a thread to stop | [`cancel`](crate::Fiber::cancel) |
//! | a `main` that does all this | [`run`](crate::run()) around its body |
//!
//! # An example
//!
//! A server with a thread for each connection:
//!
//! ```no_run
//! use std::io::{self, BufRead, BufReader, Write};
//! use std::net::{TcpListener, TcpStream};
//! use std::thread;
//!
//! fn main() -> io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:7000")?;
//!     loop {
//!         let (stream, _) = listener.accept()?;
//!         thread::spawn(move || serve(stream));
//!     }
//! }
//!
//! fn serve(stream: TcpStream) -> io::Result<()> {
//!     let mut lines = BufReader::new(&stream).lines();
//!     while let Some(line) = lines.next().transpose()? {
//!         writeln!(&stream, "{}", line.to_uppercase())?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! And with a fiber for each. Only the `use` lines and `main` differ:
//!
//! ```
//! use std::io::{self, BufRead, BufReader, Write};
//! use switchback::net::{TcpListener, TcpStream};
//! use switchback::thread;
//!
//! fn main() -> io::Result<()> {
//!     switchback::run(|| {
//!         let listener = TcpListener::bind("127.0.0.1:0")?;
//! #       let address = listener.local_addr()?;
//! #       let client = thread::spawn(move || -> io::Result<String> {
//! #           let stream = TcpStream::connect(address)?;
//! #           writeln!(&stream, "hello")?;
//! #           let mut answer = String::new();
//! #           BufReader::new(stream).read_line(&mut answer)?;
//! #           Ok(answer)
//! #       });
//!         loop {
//!             let (stream, _) = listener.accept()?;
//!             thread::spawn(move || serve(stream));
//! #           assert_eq!(client.join().unwrap()?, "HELLO\n");
//! #           return Ok(());
//!         }
//!     })?
//! }
//!
//! fn serve(stream: TcpStream) -> io::Result<()> {
//!     let mut lines = BufReader::new(&stream).lines();
//!     while let Some(line) = lines.next().transpose()? {
//!         writeln!(&stream, "{}", line.to_uppercase())?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Code that is written against `Read` and `Write` also runs over tokio's sockets, and any other
//! stream with tokio's traits, in an [`io::Blocking`](crate::io::Blocking).
//!
//! # Threads that borrow
//!
//! Like the threads of `std::thread::scope`, the fibers of a [`scope`](crate::scope()) can borrow
//! from their parent. A deadline over all of it ends them too:
//!
//! ```
//! use std::time::Duration;
//! use switchback::{prelude::*, scope, with_timeout};
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
//! # What changes
//!
//! * Only one fiber of a thread runs at a time, and others run only while it waits. Data that
//!   fibers of one hub share can be in an `Rc<Cell<_>>` or an `Rc<RefCell<_>>`.
//! * A call that was overlooked and blocks stops all fibers of the thread:
//!   [my program hangs](super::hangs) says how to find it.
//! * A fiber whose handle is dropped goes on, as a thread does, but it ends with its hub: when
//!   `run` returns, fibers that are left are cancelled.
//! * A panic is the joiner's [`JoinError`](crate::JoinError). If nobody joins, it is reported.
//! * A loop that computes needs a [`yield_now()`](crate::yield_now())`.wait()` now and then, or
//!   a thread of its own.
