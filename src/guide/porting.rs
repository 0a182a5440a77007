//! How a threaded program becomes one with fibers.
//!
//! Most of the code stays as it is. What blocks its thread is replaced, since a hub's thread
//! has other fibers to run: each such call has a counterpart that waits.
//!
//! # By its `use` lines
//!
//! The module [`thread`](crate::thread) has the names and signatures of std's. Where a program is to stay
//! as it is, `use switchback::thread` in place of `use std::thread` makes fibers of its threads, and
//! `use switchback::fiber_local as thread_local` gives each its own locals. The module has a
//! table of what differs from std. The body of `main` goes into [`run`](crate::run()):
//!
//! ```
//! use switchback::thread; // was: std::thread
//! use std::time::Duration;
//!
//! fn main() {
//!     switchback::run(|| {
//!         let workers: Vec<_> = (0..3)
//!             .map(|n| {
//!                 thread::spawn(move || {
//!                     thread::sleep(Duration::from_millis(3 - n));
//!                     n
//!                 })
//!             })
//!             .collect();
//!         let sum: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
//!         assert_eq!(sum, 3);
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
//! | `thread::scope` | [`scope`](crate::scope()) |
//! | `thread::Builder` | [`Builder`](crate::Builder): a name, a stack size, an error instead of a panic |
//! | `thread::sleep(d)` | [`sleep(d)`](crate::sleep)`.wait()` |
//! | `thread::yield_now()` | [`yield_now()`](crate::yield_now())`.wait()` |
//! | `thread::park`, `unpark` | [`park`](crate::park), [`FiberHandle::unpark`](crate::FiberHandle::unpark) |
//! | `thread::current()` | [`current_fiber`](crate::current_fiber) |
//! | `thread_local!` | [`fiber_local!`](crate::fiber_local), if each fiber needs its own |
//! | `mpsc::channel`, `sync_channel` | tokio's `mpsc::unbounded_channel` and `channel`, with `recv().wait()` and `send(x).wait()` |
//! | `Mutex`, `RwLock`, `Condvar`, `Barrier` | [that page](super::synchronisation): often none, else tokio's |
//! | `TcpStream`, `TcpListener`, `UnixStream` | tokio's, with `.wait()`; for code that takes `Read` and `Write`, in an [`io::Blocking`](crate::io::Blocking) |
//! | `set_read_timeout` | [`Blocking::set_read_timeout`](crate::io::Blocking::set_read_timeout), or [`with_timeout`](crate::with_timeout) around the whole |
//! | `fs::read`, `File` | [`blocking(f)`](crate::blocking)`.wait()`, or `tokio::fs` with `.wait()` |
//! | `process::Command` | `tokio::process::Command` with `.wait()` |
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
//! And with a fiber for each. `serve` takes another type, and its body is the same:
//!
//! ```
//! use std::io::{self, BufRead, BufReader, Write};
//! use switchback::{io::Blocking, prelude::*, spawn};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! fn main() -> io::Result<()> {
//!     switchback::run(|| {
//!         let listener = TcpListener::bind("127.0.0.1:0").wait()?;
//! #       let address = listener.local_addr()?;
//! #       let client = std::thread::spawn(move || -> io::Result<String> {
//! #           let stream = std::net::TcpStream::connect(address)?;
//! #           writeln!(&stream, "hello")?;
//! #           let mut answer = String::new();
//! #           BufReader::new(stream).read_line(&mut answer)?;
//! #           Ok(answer)
//! #       });
//!         loop {
//!             let (stream, _) = listener.accept().wait()?;
//!             spawn(move || serve(Blocking::new(stream)));
//! #           assert_eq!(switchback::blocking(|| client.join().unwrap()).wait()?, "HELLO\n");
//! #           return Ok(());
//!         }
//!     })?
//! }
//!
//! fn serve(stream: Blocking<TcpStream>) -> io::Result<()> {
//!     let mut lines = BufReader::new(&stream).lines();
//!     while let Some(line) = lines.next().transpose()? {
//!         writeln!(&stream, "{}", line.to_uppercase())?;
//!     }
//!     Ok(())
//! }
//! ```
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
