//! Synchronous libraries: where to run them, and how to call async code from inside one.
//!
//! # Where
//!
//! | | [`spawn`](crate::spawn) | [`bridge`](crate::bridge()) | [`blocking`](crate::blocking) |
//! |---|---|---|---|
//! | runs | on a hub, independently | inside the task that awaits it | on a thread of tokio's blocking pool |
//! | needs | a hub: see the [crate's table](crate#where-fibers-run); in handlers of a multi-thread runtime, a [`HubPool`](crate::HubPool) | a task that need not be `Send`, of any executor | a closure that is `Send` |
//! | is for | thousands of connections or jobs | one call in the middle of async code | calls that block the thread |
//! | is ended by | a cancel, a deadline, the close of its hub | dropping the future | nothing: it runs to completion |
//! | costs | a stack | a stack | one of at most 512 threads |
//!
//! Here the same library, which asks the peer for a name, runs in each of them:
//!
//! ```
//! use std::io::{self, BufRead, BufReader, Read, Write};
//! use switchback::{blocking, bridge, io::Blocking, spawn};
//!
//! /// Synchronous code, which knows nothing of async.
//! fn ask(mut stream: impl Read + Write) -> io::Result<String> {
//!     stream.write_all(b"name?\n")?;
//!     let mut name = String::new();
//!     BufReader::new(stream).read_line(&mut name)?;
//!     Ok(name)
//! }
//!
//! # fn peer() -> io::Result<std::net::SocketAddr> {
//! #     let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! #     let address = listener.local_addr()?;
//! #     std::thread::spawn(move || {
//! #         while let Ok((mut stream, _)) = listener.accept() {
//! #             stream.write_all(b"Ann\n").unwrap();
//! #             let _ = stream.read_to_end(&mut Vec::new());
//! #         }
//! #     });
//! #     Ok(address)
//! # }
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> io::Result<()> {
//! #   let address = peer()?;
//!     // In a fiber: it runs independently, one of many.
//!     let stream = tokio::net::TcpStream::connect(address).await?;
//!     let fiber = spawn(|| ask(Blocking::new(stream)));
//!     assert_eq!(fiber.await??, "Ann\n");
//!
//!     // In place, as part of this task.
//!     let stream = tokio::net::TcpStream::connect(address).await?;
//!     let name = bridge(|| ask(Blocking::new(stream))).await?;
//!     assert_eq!(name, "Ann\n");
//!
//!     // On a thread, because std's socket blocks the thread.
//!     let name = blocking(move || ask(std::net::TcpStream::connect(address)?)).await?;
//!     assert_eq!(name, "Ann\n");
//!     Ok(())
//! }
//! ```
//!
//! The choice depends on what the library does when it has to wait.
//!
//! * It waits in an object that you pass in: a stream (`Read`, `Write`), an iterator, or a
//!   trait that it calls back. Run it in a fiber or a bridge, and let that object wait with
//!   [`.wait()`](crate::Wait::wait), an [`io::Blocking`](crate::io::Blocking) or a
//!   [`WaitIter`](crate::stream::WaitIter). `spawn` it if there are many calls, or if the
//!   call outlives the code that starts it; `bridge` it if the async code around it
//!   continues only with its result.
//! * It opens its own sockets or files, or holds locks for long. It would stop every fiber
//!   of the thread, so run it on another: `blocking(f).wait()` in a fiber,
//!   `blocking(f).await` in async code.
//! * It computes for long. This stops every fiber of the thread as well. `compute(f)`, with
//!   the feature of that name, runs it on a pool of threads for computations.
//! * It runs its own runtime inside. Tokio panics on that in a fiber, as in all async code.
//!   Use `blocking` here too.
//!
//! To use a filter from async code, wrap it in an
//! [`io::AsyncReader`](crate::io::AsyncReader) or [`AsyncWriter`](crate::io::AsyncWriter);
//! to use an iterator, call [`stream::from_iter`](crate::stream::from_iter()). These are
//! built on bridges.
//!
//! # Crates that were tried
//!
//! These are run unmodified by tests and examples in `examples/libraries`. What reads and writes runs
//! in ten fibers at once, over a `Blocking` whose bytes come a few at a time, whole and cut off, and
//! is cancelled half way.
//!
//! | crate | where | what was tried |
//! |---|---|---|
//! | `flate2` 1.1, `zstd` 0.13 | fiber | decoders and encoders over a `Blocking`, and bodies; `flate2` also in an `AsyncReader` and an `AsyncWriter` |
//! | `tar` 0.4, `zip` 7 | fiber | written, as bodies too, and read; `zip` reads only what it can seek in: a file, or memory; for what its writer does when it is dropped see below |
//! | `csv` 1.4, `serde_json` 1.0, `quick-xml` 0.41 | fiber | their readers, those of the last two through a `BufReader`, and writers |
//! | `ciborium` 0.2, `rmp-serde` 1.3, `bincode` 2.0, `postcard` 1.1, `protobuf` 3.7, `capnp` 0.27 | fiber | read and written; data that is nested too deep for `ciborium` is an error, as on a thread |
//! | `png` 0.18 | fiber | written; it reads only what it can seek in |
//! | `httparse` 1.10, `postgres-protocol` 0.6 | fiber | their parsers, fed from a `Blocking` |
//! | `axum` 0.8, `hyper` 1 | fiber | bodies out of a pool and into it, and an upgrade whose connection goes on in a fiber |
//! | `minijinja` 3.1 | fiber | functions of a template that wait |
//! | `tungstenite` 0.30 | fiber | `accept` and `client` over a `Blocking`, many at once |
//! | `rustls` 0.23 | fiber | `StreamOwned` over a `Blocking`: many handshakes at once, and a deadline that unwinds one of them |
//! | `imap` 3.0.0-alpha.15 | fiber | `Client::new` over a `Blocking`, many at once |
//! | `r2d2` 0.8 | `blocking` | `pool.get()`; the connection is used, and given back, in the fiber |
//!
//! These are run by `examples/slow` in the same way, last on 2026-11-29, on x86-64 Linux. They take
//! minutes to compile, so CI leaves them out; `examples/slow/run.sh` runs them, and says what it ran.
//! Where functions wait, fifty fibers are inside at once.
//!
//! | crate | where | what was tried |
//! |---|---|---|
//! | `xz2` 0.1 | fiber | its encoder and decoder over a `Blocking` |
//! | `handlebars` 6.4 | fiber | helpers that wait, and pages written to a `Blocking`; templates are parsed with `blocking`, since its parser, `pest` 2.9, may find no stack in a fiber |
//! | `wasmi` 2.0 | fiber | host functions that wait; a cancel must not unwind through the module, which aborts: they return it as an error |
//! | `rquickjs` 0.14 | fiber | functions that wait, called by a script; a cancel unwinds through the script, but its `catch` catches it like any exception |
//! | `mlua` 0.11 | fiber | Rust functions that wait, called by a script; a cancel unwinds through the script, but its `pcall` catches it like any error |
//! | `rusqlite` 0.37 | `blocking` | SQL functions, a `busy_handler` and a progress handler that wait work in a fiber, but a database in a file blocks the thread |
//! | `redis` 1.8 | either | its `Parser` and packed commands over a `Blocking` in a fiber; its own connections open sockets: `blocking` |
//! | `ureq` 3.5 | either | with a `Transport` of 15 lines over a `Blocking`: 50 requests at once in fibers; without it, it blocks the thread and needs `blocking` |
//! | `gix-transport` 0.62 | fiber | its handshake over a `Blocking`, with what `git upload-pack` says, and with ten `git daemon`s over their pipes |
//! | `ssh2` 0.9 | fiber | told not to block, with `io::until_ready`: ten sessions with `sshd` at once, and a cancel that closes one |
//! | `openssl` 0.10 | fiber | `SslStream` over a `Blocking`: many connections at once, and a cancel in a handshake; errors can get lost, see below |
//! | `reqwest::blocking` 0.13 | `blocking` | in a fiber it panics: "Cannot drop a runtime in a context where blocking is not allowed"; without debug assertions it blocks the thread |
//! | `postgres` 0.19 | `blocking` | in a fiber it panics: "Cannot start a runtime from within a runtime" |
//! | `stacker` 0.1, `serde_stacker` 0.1 | *not* over waits | if one fiber waits inside, another overflows its stack; inside of `stacker::grow`, and without waits, they work |
//! | `wasmtime` 48 | *not* over waits | host functions of two fibers that wait at once: an assertion fails; those of one fiber at a time can wait, and a cancel unwinds through the module |
//!
//! `std::fs`, `std::net` and `std::process` block the thread, so they need `blocking`; tokio's
//! equivalents, with `.wait()`, do not.
//!
//! # Crates that need care
//!
//! These assume that a call returns before anything else runs on its thread. Keep waits out of what
//! they call, or do as the last column says.
//!
//! | crate | what goes wrong if a fiber waits inside | instead |
//! |---|---|---|
//! | `scoped-tls`, pyo3's GIL guards, `rayon` | undefined behaviour: see SECURITY.md, limit 2 | collect first, wait afterwards; `compute` for rayon |
//! | `wasmtime` | host functions of two fibers that wait at once: an assertion, or an abort | wait before or after the call into the module; or one call at a time, with tokio's `Mutex` around it |
//! | `wasmi` | a cancel, or a panic, that unwinds through the module aborts | [`wait_or_cancelled`](crate::Wait::wait_or_cancelled) in host functions, whose error ends the call |
//! | `stacker`, `serde_stacker` | another fiber overflows its stack; data from strangers is enough. Even without waits, they take the end of the thread's stack for that of the fiber's | a large stack from the start: [`Builder::stack_size`](crate::Builder::stack_size); or, if nothing waits inside, `stacker::grow` around it |
//! | `pest` 2.9, so `handlebars` | nothing has to wait: it asks `stacker`, and fails with "stack limit reached" if a fiber's stack lies below that of the thread | parse with `blocking`, or inside of `stacker::grow` |
//! | `openssl` | all fibers of a thread share one queue of errors: if one's call fails while another's sends an alert, the latter's error is lost, and `read` says that the stream has ended | `rustls`; or a stream that does not block, with `io::until_ready` |
//! | `mlua`, QuickJS | one interpreter in two fibers: an abort. A QuickJS runtime also belongs to the stack that made it | [`sync::Mutex`](crate::sync::Mutex) around it, or one interpreter for each fiber |
//! | reentrant locks, `stdout().lock()` | two fibers of a thread both get in | release the lock before the wait |
//! | std's `Once`, `OnceLock`, `LazyLock` | an initialiser that waits stops the thread as soon as another fiber asks for the value | those of [`sync`](crate::sync), or a `fiber_local!` |
//! | `r2d2` and other pools that block | the thread stops when the pool is empty | `blocking(\|\| pool.get()).wait()`, or a semaphore of tokio's around it |
//! | `block_in_place` with `block_on` | two fibers that wait inside the `block_on` of one multi-thread runtime | `.wait()` |
//! | `zip`, and other encoders that write their end when they are dropped | after an error, a panic or a cancel, half an archive has all marks of a whole one. [`HubPool::output`](crate::HubPool::output) refuses what is written while its fiber unwinds, but cannot tell an error, and a socket takes all of it | a writer below it that is shut before the encoder is dropped, as the example `archive` has; the reader's error says that it is half |
//! | `rusqlite` | a cancel becomes an SQL error, and is used up | end the work after such an error. (A `busy_handler` that waits and a progress handler that yields work) |
//! | `pprof` | its default unwinder crashes on stacks of fibers | its feature for frame pointers |
//!
//! # The sandwich
//!
//! Async code calls a synchronous library, which calls back into one of your traits, whose
//! method has to await something.
//!
//! ```
//! /// Synchronous code, which knows nothing of async.
//! mod library {
//!     pub trait Source {
//!         fn value(&mut self, name: &str) -> String;
//!     }
//!
//!     pub fn render(names: &[&str], source: &mut dyn Source) -> String {
//!         names.iter().map(|name| source.value(name)).collect()
//!     }
//! }
//! ```
//!
//! The usual attempts fall short:
//!
//! * `Handle::current().block_on(look_up(name))` in the method panics: "Cannot start a
//!   runtime from within a runtime".
//! * `futures::executor::block_on` does not panic, which is worse: it stops the runtime
//!   that the future depends on. On a single thread, nothing makes progress again.
//! * `block_in_place` around that `block_on` works on a multi-thread runtime only. It
//!   occupies a worker for as long as the library runs, and everything else in the same
//!   task stops, including the other branches of a `select!`.
//! * Tokio's `spawn_blocking` around the library, with `block_on` in the method, works. It
//!   takes a thread for each call, at most 512 at once, and the closure has to be `Send`
//!   and `'static`. Dropping the future that waits for it stops nothing.
//!
//! On a stack of its own, the method just waits. *In place*, with a
//! [`bridge`](crate::bridge()): it works on any executor, and in any task that may hold
//! values that are not `Send`. Dropping the bridge unwinds the library:
//!
//! ```
//! # mod library {
//! #     pub trait Source { fn value(&mut self, name: &str) -> String; }
//! #     pub fn render(names: &[&str], source: &mut dyn Source) -> String {
//! #         names.iter().map(|name| source.value(name)).collect()
//! #     }
//! # }
//! use std::time::Duration;
//! use switchback::{bridge, prelude::*};
//!
//! async fn look_up(name: &str) -> String {
//!     tokio::time::sleep(Duration::from_millis(1)).await;
//!     name.to_uppercase()
//! }
//!
//! struct Waits;
//!
//! impl library::Source for Waits {
//!     fn value(&mut self, name: &str) -> String {
//!         look_up(name).wait()
//!     }
//! }
//!
//! #[tokio::main] // any flavor
//! async fn main() {
//!     let text = bridge(|| library::render(&["a", "b"], &mut Waits)).await;
//!     assert_eq!(text, "AB");
//! }
//! ```
//!
//! *In a fiber*, with [`spawn`](crate::spawn) on a current-thread runtime: it runs
//! independently, and can be cancelled, joined, and put under
//! [`with_timeout`](crate::with_timeout):
//!
//! ```
//! # mod library {
//! #     pub trait Source { fn value(&mut self, name: &str) -> String; }
//! #     pub fn render(names: &[&str], source: &mut dyn Source) -> String {
//! #         names.iter().map(|name| source.value(name)).collect()
//! #     }
//! # }
//! # async fn look_up(name: &str) -> String { name.to_uppercase() }
//! # struct Waits;
//! # impl library::Source for Waits {
//! #     fn value(&mut self, name: &str) -> String {
//! #         switchback::Wait::wait(look_up(name))
//! #     }
//! # }
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let fiber = switchback::spawn(|| library::render(&["a", "b"], &mut Waits));
//!     assert_eq!(fiber.await.unwrap(), "AB");
//! }
//! ```
//!
//! *From a task of a multi-thread runtime*: the task may move to another thread, but a
//! fiber or a bridge cannot. A server sends the work to a [`HubPool`](crate::HubPool), whose
//! [`call`](crate::HubPool::call) ends with the client: see
//! [multi-thread applications](super::multi_thread). Without a pool, send it to a hub that the main task
//! drives:
//!
//! ```
//! # mod library {
//! #     pub trait Source { fn value(&mut self, name: &str) -> String; }
//! #     pub fn render(names: &[&str], source: &mut dyn Source) -> String {
//! #         names.iter().map(|name| source.value(name)).collect()
//! #     }
//! # }
//! # async fn look_up(name: &str) -> String { name.to_uppercase() }
//! # struct Waits;
//! # impl library::Source for Waits {
//! #     fn value(&mut self, name: &str) -> String {
//! #         switchback::Wait::wait(look_up(name))
//! #     }
//! # }
//! use switchback::Hub;
//!
//! #[tokio::main]
//! async fn main() {
//!     Hub::run_until(async {
//!         let hub = Hub::current().handle();
//!         let task = tokio::spawn(async move {
//!             let fiber = hub.spawn(|| library::render(&["a", "b"], &mut Waits)).unwrap();
//!             fiber.await.unwrap()
//!         });
//!         assert_eq!(task.await.unwrap(), "AB");
//!     })
//!     .await;
//! }
//! ```
//!
//! The example `sandwich` is a complete program of this kind, and so are `websocket`, `tls`,
//! `csv`, `gzip` and `imap` in `examples/libraries`; `archive` there is an axum server.
//!
//! # Callbacks from C
//!
//! A [`SwitchBack`](crate::SwitchBack) is a future that a callback completes, so an API that calls back
//! becomes a call that waits and returns. Its [`Switcher`](crate::Switcher)s can be fired from any thread,
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
//! [Cleanups](crate::SwitchBack::add_cleanup) unregister a callback that did not come in time.
//!
//! If the library is written in C, make sure that no cancel unwinds through its frames:
//! [`wait_or_cancelled`](crate::Wait::wait_or_cancelled) returns the cancel as an error,
//! and [`shield`](crate::shield()) puts it off.
