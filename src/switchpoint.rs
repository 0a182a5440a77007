//! Switchpoints: marking the functions that may suspend, and ruling them out.
//!
//! The check itself is [`WaitSite`]'s, which every call that may suspend makes first. What it looks at
//! is a counter: the stack's own, in its state, or the thread's, for code outside of stacks of ours.

use crate::cancel::Raised;
use crate::current::{Forbidden, Place, WaitSite, with_place};

/// Says that the function that calls it may suspend, so that a call of it in the
/// wrong place is found although it does not suspend each time.
///
/// It makes the check that each wait makes first, and suspends nothing. Everything
/// in this crate that may suspend makes it. Where waiting is possible it does
/// nothing, and while the thread is panicking it does nothing at all.
///
/// The idea and the name are those of Gruvi's `switchpoint`.
///
/// # Panics
///
/// Where a [`wait`](crate::Wait::wait) panics: inside [`assert_no_switchpoints`],
/// in async code, inside a future's `poll`, and in the hub's callbacks. The panic
/// has the place of the call; with `#[track_caller]`, that of the function's caller.
///
/// # Examples
///
/// ```should_panic
/// use switchback::{assert_no_switchpoints, prelude::*, switchpoint, yield_now};
///
/// #[track_caller]
/// fn fetch(cache: &mut Option<u32>) -> u32 {
///     switchpoint(); // it may wait, whatever is in the cache
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

/// Runs `f` and panics if it calls anything that may suspend, even where that
/// would not have suspended.
///
/// Nothing else runs on the thread between two switchpoints. So what `f` does to
/// data that fibers share, none of them can see half done, and no lock is needed;
/// this makes sure that it stays so. It is also the remedy for APIs during which
/// no other code must run on the thread, see the examples.
///
/// What is refused, is refused before anything is touched: no future is polled,
/// nothing is taken from a channel. The panic names the call and its place. As
/// in [`shield`](crate::shield), a cancel stays pending, and so does a deadline or
/// the close of the hub; here, the abrupt end of the hub too.
///
/// It is for the calling fiber, or the body of a bridge: others may wait, and so may
/// fibers that `f` spawns. Outside of fibers it is for the calling thread, and not
/// for fibers that the thread runs inside `f`. Calls can be nested. Neither it nor
/// [`spawn`](crate::spawn), [`cancel`](crate::Fiber::cancel),
/// [`with_timeout`](crate::with_timeout), [`catch_cancel`](crate::catch_cancel) and
/// [`check_cancelled`](crate::check_cancelled) are switchpoints.
///
/// While the thread is panicking, a second panic would abort the process. There,
/// what can return an error returns it, without a poll, and what has none to
/// return, such as a bare [`wait`](crate::Wait::wait), is let through.
///
/// The idea and the name are those of Gruvi's `assert_no_switchpoints`. Do not
/// overuse it: it is better to keep changes that must be seen as one in a single
/// function.
///
/// # Panics
///
/// With the panic of `f`. Calls in `f` that may suspend panic.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use switchback::assert_no_switchpoints;
///
/// // The sum is always 100 for whoever looks.
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
/// A wait in the initialiser of a `thread_local!`, which is unsound (use a
/// [`fiber_local!`](crate::fiber_local) if it has to wait):
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
/// A wait inside a closure of an API whose calls must nest on each thread, as
/// those of `scoped-tls` and rayon must:
///
/// ```should_panic
/// use std::cell::Cell;
/// use switchback::{assert_no_switchpoints, prelude::*, yield_now};
///
/// thread_local! {
///     static LEVEL: Cell<u32> = const { Cell::new(0) };
/// }
///
/// /// Not ours. It relies on nothing else running between its two lines.
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
/// A wait while other threads use what is borrowed from a thread-local, which goes
/// when the thread exits, even if the waiting stack was abandoned:
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
