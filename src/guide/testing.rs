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
//! The hubs of a [`HubPool`](crate::HubPool) have runtimes of their own, so the clock of a test does not
//! hold for them. While such a test waits for its pool and has nothing else to do, its clock jumps to the
//! next timer, so that a `timeout` around the call is over at once. Let the pool have a virtual clock too,
//! with `Hub::builder().start_paused(true).start_pool(1)`, or test without limits around the call.
//!
//! A fiber that only yields, until something has happened that takes time, would keep the clock from
//! advancing, as it does with tokio's own tasks. With this crate's `test-util`, the clock advances to the
//! next timer when the fibers of a hub have done nothing but yield for 10,000 turns. Without it, or if a
//! task of tokio's yields, such a test hangs: let the loop sleep.
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
//! The program, however, should not rely on it: add a wait somewhere, and the order is another.
//!
//! # Every order
//!
//! With the feature `test-util`, `testing::explore` runs a program under a thousand schedules. Each is
//! chosen by a seed, and each run is on a new hub on a paused clock:
//!
#![cfg_attr(not(feature = "test-util"), doc = "```ignore")]
#![cfg_attr(feature = "test-util", doc = "```")]
//! use std::cell::RefCell;
//! use std::rc::Rc;
//! use switchback::testing::Explorer;
//! use switchback::{prelude::*, spawn, yield_now};
//!
//! /// Makes a value on first use. The maker may wait.
//! struct Once(RefCell<Option<u32>>);
//!
//! impl Once {
//!     fn get(&self, make: impl FnOnce() -> u32) -> u32 {
//!         if let Some(value) = *self.0.borrow() {
//!             return value;
//!         }
//!         let value = make(); // two fibers may get here
//!         *self.0.borrow_mut() = Some(value);
//!         value
//!     }
//! }
//!
//! fn program() {
//!     let (once, made) = (Rc::new(Once(RefCell::default())), Rc::new(RefCell::new(0)));
//!     let users = [0, 2].map(|later| {
//!         let (once, made) = (once.clone(), made.clone());
//!         spawn(move || {
//!             (0..later).for_each(|_| yield_now().wait());
//!             once.get(|| {
//!                 yield_now().wait();
//!                 *made.borrow_mut() += 1;
//!                 *made.borrow()
//!             })
//!         })
//!     });
//!     let values = users.map(|user| user.wait().unwrap());
//!     assert_eq!(values, [1, 1]);
//! }
//!
//! # /*
//! #[test]
//! fn a_value_is_made_once() {
//!     switchback::testing::explore(program); // fails
//! }
//! # */
//! switchback::run(program).unwrap(); // passes: in order, the first has made it in time
//! let report = Explorer::new().run(program);
//! let failure = report.failure().unwrap();
//! assert!(failure.contains("right: [1, 1]"));
#![doc = "```"]
//!
//! The message of a failure ends with how to run that schedule alone, as often as it takes to
//! understand it, in a debugger or with prints. (A schedule that fails runs once more, to see whether it
//! fails each time, so what it prints comes twice.)
//!
//! ```text
//! schedule 4 failed (Pct { seed: 3, changes: 2 }): fiber 'Root' panicked with message "..."
//! to run it alone: SWITCHBACK_SEED=3 cargo test a_value_is_made_once
//! ```
//!
//! * Half of the schedules pick at random. The others give each fiber a priority, and change a few of
//!   them on the way; these leave a fiber behind for long. Sleeps and timeouts of fibers take longer
//!   than they say, so that those of unequal length overlap, and tokio's tasks run between any two
//!   fibers.
//! * Assert what must hold under every schedule, which excludes what is said above on order, and exact
//!   times.
//! * Keep the program small: a few fibers that wait a dozen times each. A schedule takes some 50 µs of
//!   processor time in a release build, and ten times that in a debug build.
//! * A program passes for want of schedules, too. `Explorer` sets how many there are, and the report
//!   says how many of them were different. `SWITCHBACK_SCHEDULES=100000 cargo test` searches longer.
//! * A run in which nothing can go on any more fails at once, with the [dump](crate::Hub::dump) of
//!   the hub. (It takes ten seconds if a task of tokio's yields for ever, or sleeps for short times.) A
//!   run with a panic in a fiber that nobody joins fails too. So deadlocks, lost wakes and panics need
//!   no assertion.
//! * The same seed gives the same schedule if nothing in the program differs from run to run. If
//!   something does, such as the order of a `HashMap`, an unbiased `select!` (write `biased;`), or a
//!   thread, the report says that the program is not replayable. Values that outlive a run, such as
//!   statics, are not reset.
//! * `HubBuilder::schedule` gives one hub a schedule, for a test of your own making.
//!
//! # A cancel at every wait
//!
//! `testing::cancel_everywhere` finds all points at which a fiber may be cancelled, and cancels it at
//! each of them, one a run. A closure then asserts what the program promises:
//!
#![cfg_attr(not(feature = "test-util"), doc = "```ignore")]
#![cfg_attr(feature = "test-util", doc = "```should_panic")]
//! use std::cell::RefCell;
//! use std::rc::Rc;
//! use switchback::{prelude::*, spawn, testing::cancel_everywhere, yield_now};
//!
//! cancel_everywhere(|| {
//!     let accounts = Rc::new(RefCell::new([100, 0]));
//!     let changed = accounts.clone();
//!     let transfer = spawn(move || {
//!         changed.borrow_mut()[0] -= 10;
//!         yield_now().wait(); // say, a line in a log
//!         changed.borrow_mut()[1] += 10;
//!     });
//!     (transfer, move || assert_eq!(accounts.borrow().iter().sum::<i32>(), 100))
//! });
#![doc = "```"]
//!
//! ```text
//! cancelled at point 1 of 3, before a poll at src/bank.rs:9:21: fiber 'Root' panicked with message ...
//! ```
//!
//! Fibers that a cancel leaves behind are found without an assertion.
//!
//! # Other tools
//!
//! | | what it varies | what it asks for |
//! |---|---|---|
//! | [loom](https://docs.rs/loom) | threads and most of the memory model: all interleavings up to a bound, so what it passes is proven for that model | loom's versions of std's atomics, locks and threads; models of a few steps |
//! | [shuttle](https://docs.rs/shuttle) | threads and its own futures, at random or by priorities, for larger programs than loom's; atomics are sequentially consistent | shuttle's versions of std's threads, locks and channels |
//! | [turmoil](https://docs.rs/turmoil) | the network between hosts that are simulated in one thread: delays, partitions, crashes | its sockets instead of tokio's |
//! | [madsim](https://docs.rs/madsim) | tasks, network, time and random numbers of a whole distributed system, all from one seed | its versions of tokio, tonic and others, chosen by a cfg |
//! | `explore` | the order of fibers, between waits, and when timers fire | nothing: the program, its libraries and tokio are what they are in production |
//!
//! Code that shares data between threads needs loom or shuttle: fibers of one hub never run at the
//! same time, and `explore` does not look at other threads. A protocol between hosts needs turmoil or
//! madsim: `explore` has no network, and leaves the order of tokio's tasks to tokio. On the other hand,
//! none of the others runs fibers, or cancels at each wait. `explore` takes its two kinds of
//! schedules from shuttle, and proves nothing: like shuttle and madsim, it searches.
//!
//! # Peers, cancels, leaks
//!
//! * For a peer, use `tokio::io::duplex` in an [`io::Blocking`](crate::io::Blocking), or
//!   `tokio_test::io::Builder`, which checks what is written: see below. Code that is generic over
//!   `Read` and `Write` can also be tested with a slice and a `Vec`, without fibers.
//! * To test that code cleans up when it is cancelled at a certain place, spawn it, let it run with
//!   `yield_now`, [`cancel`](crate::Fiber::cancel) it, join it, and look at what its destructors did.
//! * To be sure that code does not wait, call it inside
//!   [`assert_no_switchpoints`](crate::assert_no_switchpoints).
//! * To be sure that nothing was left behind, look at
//!   [`Hub::metrics`](crate::Hub::metrics), or await
//!   [`close_within`](crate::Hub::close_within): its error names the fibers that did not end.
//! * For a stack size, run the deepest input with
//!   [`measure_stack`](crate::Builder::measure_stack) and look at
//!   [`stack_used`](crate::FiberHandle::stack_used).
//!
//! ```
//! use std::io::{BufRead, BufReader, Result, Write};
//! use switchback::io::Blocking;
//!
//! /// Blocking-style code that is to be tested.
//! fn greet(stream: impl std::io::Read + Write) -> Result<String> {
//!     let mut stream = BufReader::new(stream);
//!     stream.get_mut().write_all(b"HELLO\n")?;
//!     let mut answer = String::new();
//!     stream.read_line(&mut answer)?;
//!     Ok(answer)
//! }
//!
//! # switchback::run(|| {
//! // Anything else that is written, or not written, fails the test.
//! let peer = tokio_test::io::Builder::new().write(b"HELLO\n").read(b"WELC").read(b"OME\n").build();
//! assert_eq!(greet(Blocking::new(peer)).unwrap(), "WELCOME\n");
//! # }).unwrap();
//! ```
