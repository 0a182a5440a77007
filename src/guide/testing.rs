//! How to test code that waits.
//!
//! # In tests
//!
//! Under `#[tokio::test]`, whose runtime is a current-thread one, fibers work at once:
//!
//! ```
//! use switchback::{prelude::*, spawn};
//! use tokio::sync::mpsc;
//!
//! /// The code under test: it waits.
//! fn sum(mut numbers: mpsc::Receiver<u32>) -> u32 {
//!     std::iter::from_fn(|| numbers.recv().wait()).sum()
//! }
//!
//! # /*
//! #[tokio::test]
//! # */
//! # #[tokio::main(flavor = "current_thread")]
//! async fn it_adds_up() {
//!     let (sender, receiver) = mpsc::channel(1);
//!     let fiber = spawn(move || sum(receiver));
//!     for n in [1, 2, 3] {
//!         sender.send(n).await.unwrap();
//!     }
//!     drop(sender);
//!     assert_eq!(fiber.await.unwrap(), 6);
//! }
//! # it_adds_up();
//! ```
//!
//! A plain `#[test]` wraps its body in [`run`](crate::run()). The code under test may also run
//! on the test's own thread without any of this: [`.wait()`](crate::Wait::wait) blocks there.
//!
//! An assertion that fails inside a fiber is a panic of that fiber: the test fails only if
//! somebody joins it and unwraps the result.
//!
//! # On the virtual clock
//!
//! With tokio's `start_paused = true` (tokio's feature `test-util`), time passes only while
//! nothing else can be done, for [`sleep`](crate::sleep), the timeouts and
//! [`with_timeout`](crate::with_timeout) as well. An hour takes no time, and figures are exact:
//!
//! ```
//! use std::time::Duration;
//! use switchback::{prelude::*, sleep, spawn, with_timeout};
//! use tokio::time::Instant;
//!
//! fn patient() -> Result<(), switchback::Elapsed> {
//!     with_timeout(Duration::from_secs(3600), || sleep(Duration::MAX).wait())
//! }
//!
//! # /*
//! #[tokio::test(start_paused = true)]
//! # */
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn it_gives_up_after_an_hour() {
//!     let begin = Instant::now();
//!     assert!(spawn(patient).await.unwrap().is_err());
//!     assert_eq!(begin.elapsed().as_secs(), 3600);
//! }
//! # it_gives_up_after_an_hour();
//! ```
//!
//! For a program under `run` there is `HubBuilder::start_paused`, with this crate's feature
//! `test-util`. Take the time from `tokio::time::Instant`, since std's is not virtual. While a
//! job of [`blocking`](crate::blocking) runs, the clock stands still.
//!
//! # Order
//!
//! A hub runs what is ready first-in first-out, so a test can rely on the order of its
//! fibers. [`yield_now`](crate::yield_now())`().wait()` lets everything that is ready now run once;
//! `sleep(Duration::ZERO).wait()` also lets tokio look for I/O.
//!
//! ```
//! use std::cell::RefCell;
//! use std::rc::Rc;
//! use switchback::{prelude::*, spawn, yield_now};
//!
//! # switchback::run(|| {
//! let log = Rc::new(RefCell::new(Vec::new()));
//! for name in ["first", "second"] {
//!     let log = log.clone();
//!     spawn(move || log.borrow_mut().push(name));
//! }
//! yield_now().wait();
//! assert_eq!(*log.borrow(), ["first", "second"]);
//! # }).unwrap();
//! ```
//!
//! # Peers, cancels, leaks
//!
//! * For a peer, use `tokio::io::duplex` in an [`io::Blocking`](crate::io::Blocking), or
//!   `tokio_test::io::Builder`, which checks what is written. Code that is generic over `Read`
//!   and `Write` can also be tested with a slice and a `Vec`, without fibers.
//! * To test that code cleans up when it is cancelled, spawn it, let it run with `yield_now`,
//!   [`cancel`](crate::Fiber::cancel) it, join it, and look at what its destructors did.
//! * To be sure that code does not wait, call it inside
//!   [`assert_no_switchpoints`](crate::assert_no_switchpoints).
//! * To be sure that nothing was left behind, look at
//!   [`Hub::metrics`](crate::Hub::metrics), or await
//!   [`close_within`](crate::Hub::close_within): its error names the fibers that did not end.
//! * For a stack size, run the deepest input with
//!   [`measure_stack`](crate::Builder::measure_stack) and look at
//!   [`stack_used`](crate::FiberHandle::stack_used).
