//! Synchronous libraries: where to run them, and the sandwich.
//!
//! # Where
//!
//! | | [`spawn`](crate::spawn) | [`bridge`](crate::bridge()) | [`blocking`](crate::blocking) |
//! |---|---|---|---|
//! | runs | on a hub, by itself | inside the task that awaits it | on a thread of tokio's blocking pool |
//! | needs | a hub: see the [crate's table](crate#where-fibers-run) | nothing, any executor will do | what it takes along has to be `Send` |
//! | is for | connections and jobs, by the thousand | one call in the middle of async code | what blocks the operating system |
//! | is ended by | a cancel, a deadline, the close of its hub | dropping the future | nothing: it runs to its end |
//! | costs | a stack | a stack | a thread, of at most 512 |
//!
//! The same library, which asks somebody's name over a stream, in each of them:
//!
//! ```
//! use std::io::{self, BufRead, BufReader, Read, Write};
//! use switchback::{blocking, bridge, io::Blocking, spawn};
//!
//! /// Somebody else's.
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
//!     // One of many: it goes on by itself.
//!     let stream = tokio::net::TcpStream::connect(address).await?;
//!     let mut fiber = spawn(|| ask(Blocking::new(stream)));
//!     assert_eq!(fiber.join().await??, "Ann\n");
//!
//!     // In place: a part of this task.
//!     let stream = tokio::net::TcpStream::connect(address).await?;
//!     let name = bridge(|| ask(Blocking::new(stream))).await?;
//!     assert_eq!(name, "Ann\n");
//!
//!     // On a thread, since this is a socket that blocks it.
//!     let name = blocking(move || ask(std::net::TcpStream::connect(address)?)).await?;
//!     assert_eq!(name, "Ann\n");
//!     Ok(())
//! }
//! ```
//!
//! What decides is what the library does when it has to wait.
//!
//! * It waits in something that you give it: a stream (`Read`, `Write`), an iterator,
//!   a trait that it calls back. Then it can run in a fiber or a bridge, where that
//!   something waits with [`.wait()`](crate::Wait::wait), an
//!   [`io::Blocking`](crate::io::Blocking) or a [`WaitIter`](crate::stream::WaitIter).
//!   `spawn` it if there are many, or if it has a life of its own; `bridge` it if the
//!   async code around it is to go on only with its result.
//! * It opens sockets or files of its own, or takes locks for long. Then it stops every
//!   fiber of the thread, and belongs on another: `blocking(f).wait()` in a fiber,
//!   `blocking(f).await` in async code.
//! * It computes for long. That stops the thread as well: `compute(f)`, with the
//!   feature of that name, has a pool of threads for that.
//! * It has a runtime of its own inside. Tokio refuses that in a fiber, as in all async
//!   code, with a panic. It belongs into `blocking` too.
//!
//! A filter that is to be used from async code goes into an
//! [`io::AsyncReader`](crate::io::AsyncReader) or
//! [`AsyncWriter`](crate::io::AsyncWriter), an iterator into
//! [`stream::from_iter`](crate::stream::from_iter()): these are bridges inside.
//!
//! # Crates that were tried
//!
//! On 2026-11-22, on x86-64 Linux, unmodified.
//!
//! | crate | where | what was tried |
//! |---|---|---|
//! | `tungstenite` 0.30 | fiber | `accept` and `client` over a `Blocking`: 2,000 at once |
//! | `rustls` 0.23 | fiber | `StreamOwned` over a `Blocking`: 200 handshakes at once, and a deadline that unwinds through one |
//! | `imap` 3.0.0-alpha.15 | fiber | `Client::new` over a `Blocking`: 100 at once |
//! | `flate2` 1.1, `tar` 0.4 | fiber | decoders and encoders over a `Blocking`; in an `AsyncReader` and an `AsyncWriter` |
//! | `csv` 1.4, `serde_json` 1.0, `quick-xml` 0.38 | fiber | their readers over a `Blocking` whose bytes come a few at a time |
//! | `redis` 1.8 | either | its `Parser` and packed commands over a `Blocking` in a fiber; its own connections open sockets: `blocking` |
//! | `ureq` 3.5 | either | with a `Transport` of 15 lines over a `Blocking`: 50 requests at once in fibers; as it is, it blocks the thread, so it belongs into `blocking` |
//! | `mlua` 0.11 | fiber | Rust functions that wait, called by a script; a cancel unwinds through the script, but its `pcall` catches it like any error |
//! | `rusqlite` 0.37 | `blocking` | SQL functions that wait work in a fiber, but a database in a file blocks the thread |
//! | `reqwest::blocking` 0.12 | `blocking` | in a fiber it panics: "Cannot drop a runtime in a context where blocking is not allowed" |
//! | `postgres` 0.19 | `blocking` | in a fiber it panics: "Cannot start a runtime from within a runtime" |
//! | `std::fs`, `std::net`, `std::process` | `blocking` | they block the thread: tokio's own, with `.wait()`, do not |
//!
//! # The sandwich
//!
//! Async code calls a synchronous library, which calls back into a trait of yours,
//! whose method has to await something.
//!
//! ```
//! /// Somebody else's.
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
//! What is tried first:
//!
//! * `Handle::current().block_on(look_up(name))` in the method panics: "Cannot start a
//!   runtime from within a runtime".
//! * `futures::executor::block_on` is not refused, and worse: it stops the runtime that
//!   the future waits for. On one thread nothing goes on, for ever.
//! * `block_in_place` around that `block_on` works on a multi-thread runtime, and only
//!   there. It takes a worker away for as long as the library runs, and everything
//!   else in the same task stands still, the other branches of a `select!` included.
//! * Tokio's `spawn_blocking` around the library, with `block_on` in the method, works: with a
//!   thread for each call, at most 512 at once, and what the library takes along has
//!   to be `Send` and `'static`. Dropping the future that waits for it stops nothing.
//!
//! With a stack of its own, the method just waits. *In place*, by a
//! [`bridge`](crate::bridge()), on any executor, in any task that may hold what is not
//! `Send`; what awaits it can drop it, and the library is unwound:
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
//! #[tokio::main] // of whatever flavor
//! async fn main() {
//!     let text = bridge(|| library::render(&["a", "b"], &mut Waits)).await;
//!     assert_eq!(text, "AB");
//! }
//! ```
//!
//! *In a fiber*, by [`spawn`](crate::spawn), on a current-thread runtime: it goes on by
//! itself, and can be cancelled, joined, and put under
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
//!     let mut fiber = switchback::spawn(|| library::render(&["a", "b"], &mut Waits));
//!     assert_eq!(fiber.join().await.unwrap(), "AB");
//! }
//! ```
//!
//! *From a task of a multi-thread runtime*, which may move to another thread while a
//! fiber or a bridge cannot: send the work to a hub, here one that is driven by the
//! main task:
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
//! If the library calls back from C, see to it that no cancel unwinds through its
//! frames: [`wait_or_cancelled`](crate::Wait::wait_or_cancelled) returns it, [`shield`](crate::shield())
//! puts it off.
//!
//! The examples `websocket`, `tls`, `csv`, `imap` and `sandwich` are programs of this
//! kind.
