//! Switchpoints: functions that mark code that may suspend, or rule it out.
//!
//! The check itself is in [`WaitSite`], and every call that may suspend makes it first. It
//! looks at a counter, which is in the state of the running stack, or in the thread for code
//! outside of our stacks.

use crate::cancel::Raised;
use crate::current::{Forbidden, Place, WaitSite, with_place};

/// Marks the calling function as one that may suspend, so that a call in the wrong place is
/// found even when it would not have suspended.
///
/// It makes the check that each wait makes first, but does not suspend. Everything in this
/// crate that may suspend makes the same check. It has no effect where waiting is possible,
/// and none at all while the thread is panicking.
///
/// The idea and the name come from Gruvi's `switchpoint`.
///
/// # Panics
///
/// Panics where a [`wait`](crate::Wait::wait) does: inside [`assert_no_switchpoints`], in
/// async code, inside a future's `poll`, and in the hub's callbacks. The panic reports the
/// place of the call; with `#[track_caller]`, that of the function's caller.
///
/// # Examples
///
/// ```should_panic
/// use switchback::{assert_no_switchpoints, prelude::*, switchpoint, yield_now};
///
/// #[track_caller]
/// fn fetch(cache: &mut Option<u32>) -> u32 {
///     switchpoint(); // this function may wait, even if the cache is full
///     *cache.get_or_insert_with(|| {
///         yield_now().wait();
///         42
///     })
/// }
///
/// # switchback::run(|| {
/// let mut cache = Some(41);
/// assert_eq!(fetch(&mut cache), 41);
/// assert_no_switchpoints(|| fetch(&mut cache)); // panics
/// # }).unwrap();
/// ```
#[track_caller]
pub fn switchpoint() {
    WaitSite::here_or_error("a function that calls `switchpoint()`");
}

/// Runs `f` and panics if it calls anything that may suspend, even if that call would not
/// have suspended.
///
/// Nothing else runs on the thread between two switchpoints. Other fibers therefore never
/// see data that `f` has changed only in part, and no lock is needed; this function makes
/// sure that it stays so. It is also the remedy for APIs during which no other code may run
/// on the thread: see the examples.
///
/// A call is refused before anything is touched: no future is polled, and nothing is taken
/// from a channel. The panic names the call and its place. As in [`shield`](crate::shield),
/// a cancel, a deadline or the close of the hub stays pending; here, so does the abrupt end
/// of the hub.
///
/// The ban applies to the calling fiber or bridge. Other fibers may wait, including those
/// that `f` spawns, and so may bridges that it polls. Outside of fibers it applies to the
/// calling thread, but not to fibers that the thread runs inside `f`. Calls can be nested. The
/// following are not switchpoints: this function, [`spawn`](crate::spawn),
/// [`cancel`](crate::Fiber::cancel), [`with_timeout`](crate::with_timeout),
/// [`catch_cancel`](crate::catch_cancel) and [`check_cancelled`](crate::check_cancelled).
///
/// While a fiber unwinds, a second panic would abort the process. In its destructors, a call
/// that can return an error returns it without a poll; one that cannot, such as a bare
/// [`wait`](crate::Wait::wait), is allowed. While another fiber of the thread waits in such a
/// destructor, nothing tells whether the caller unwinds too. Then a call without an error
/// neither panics nor waits: its stack is abandoned, and a report says so.
///
/// The idea and the name come from Gruvi's `assert_no_switchpoints`. Do not overuse it: if
/// several changes must appear as one, it is better to keep them in a single function.
///
/// # Panics
///
/// Panics if `f` panics, and in any call in `f` that may suspend.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use switchback::assert_no_switchpoints;
///
/// // Every observer sees a sum of 100.
/// fn transfer(from: &Cell<u32>, to: &Cell<u32>, amount: u32) {
///     assert_no_switchpoints(|| {
///         from.set(from.get() - amount);
///         to.set(to.get() + amount);
///     })
/// }
///
/// let (a, b) = (Cell::new(60), Cell::new(40));
/// transfer(&a, &b, 10);
/// assert_eq!((a.get(), b.get()), (50, 50));
/// ```
///
/// This catches a wait in the initialiser of a `thread_local!`, which is unsound. Use a
/// [`fiber_local!`](crate::fiber_local) if the initialiser has to wait.
///
/// ```should_panic
/// use switchback::{assert_no_switchpoints, prelude::*, yield_now};
///
/// thread_local! {
///     static CONFIG: String = assert_no_switchpoints(load);
/// }
///
/// fn load() -> String {
///     yield_now().wait(); // panics
///     "config".to_owned()
/// }
///
/// switchback::run(|| CONFIG.with(|config| config.len())).unwrap();
/// ```
///
/// This catches a wait inside a closure of an API whose calls must nest on each thread,
/// such as those of `scoped-tls` and rayon:
///
/// ```should_panic
/// use std::cell::Cell;
/// use switchback::{assert_no_switchpoints, prelude::*, yield_now};
///
/// thread_local! {
///     static LEVEL: Cell<u32> = const { Cell::new(0) };
/// }
///
/// /// A foreign API. It relies on nothing else running between its two lines.
/// fn nested<T>(f: impl FnOnce() -> T) -> T {
///     let level = LEVEL.replace(LEVEL.get() + 1);
///     let result = f();
///     LEVEL.set(level);
///     result
/// }
///
/// switchback::run(|| {
///     nested(|| assert_no_switchpoints(|| {
///         yield_now().wait(); // panics
///     }));
/// })
/// .unwrap();
/// ```
///
/// This catches a wait while other threads use a borrow from a thread-local, which is
/// destroyed when the thread exits, even if the waiting stack was abandoned:
///
/// ```should_panic
/// use std::sync::Mutex;
/// use std::thread;
/// use switchback::{assert_no_switchpoints, prelude::*, yield_now};
///
/// thread_local! {
///     static TOTAL: Mutex<u32> = const { Mutex::new(0) };
/// }
///
/// switchback::run(|| {
///     TOTAL.with(|total| assert_no_switchpoints(|| {
///         thread::scope(|s| {
///             s.spawn(|| *total.lock().unwrap() += 1);
///             yield_now().wait(); // panics, after the other thread has ended
///         });
///     }));
/// })
/// .unwrap();
/// ```
#[doc(alias = "non_blocking")]
#[doc(alias = "critical section")]
pub fn assert_no_switchpoints<T>(f: impl FnOnce() -> T) -> T {
    with_place(|place| match place {
        Place::Stack(state) => {
            let _shield = Raised::by_one(&state.shields);
            let _forbidden = Raised::by_one(&state.no_switch);
            f()
        }
        _ => {
            let _forbidden = Forbidden::begin();
            f()
        }
    })
}
