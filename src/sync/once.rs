//! [`Once`]: std's, for fibers, threads and tasks.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use super::line::{Line, Notification, Notified};
use super::waiters::Seat;
use crate::base::lock::ConstUsize;
use crate::cancel::shield;
use crate::current::{Blocker, WaitSite, note, tracked_fiber};
use crate::shared::FiberId;
use crate::wait::wait_at;

/// Runs something once, for all who ask: [`std::sync::Once`].
///
/// It waits only while somebody else is running it. What it runs may wait.
///
/// A cancel does not poison it: what it runs is inside of a [`shield`](crate::shield()), so that the
/// cancel of one does not take it from the others.
///
/// # Examples
///
/// ```
/// use switchback::sync::Once;
/// use switchback::thread;
///
/// static START: Once = Once::new();
///
/// # switchback::run(|| {
/// let fibers = [(); 2].map(|()| {
///     thread::spawn(|| {
///         START.call_once(|| {
///             println!("starting");
///             thread::yield_now(); // the other one waits
///         });
///         assert!(START.is_completed());
///     })
/// });
/// fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
/// # }).unwrap();
/// ```
pub struct Once {
    phase: ConstUsize,
    line: Line,
    /// The number of the fiber that runs it, or 0: a figure for dumps. (Who begins to wait just when it is
    /// begun, on another thread, may not find it.)
    runner: AtomicU64,
}

/// What a [`Once`] begins as.
#[deprecated(note = "use `Once::new`, as std says")]
#[allow(clippy::declare_interior_mutable_const)]
pub const ONCE_INIT: Once = Once::new();

/// The phases.
///
/// `NEW -> RUNNING -> DONE`, or `-> POISONED -> RUNNING` where poison is ignored.
///
/// Ordering: a change releases what was done before, and a look acquires it.
mod phase {
    pub(super) const NEW: usize = 0;
    pub(super) const POISONED: usize = 1;
    pub(super) const RUNNING: usize = 2;
    pub(super) const DONE: usize = 3;
}

/// What is asked of a [`Once`], and by which call.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    pub(super) call: &'static str,
    /// What to await instead in async code.
    pub(super) instead: &'static str,
    /// The message of the panic, if poison is not ignored.
    pub(super) poisoned: Option<&'static str>,
    /// Whether a cancel waits until it has run.
    pub(super) shielded: bool,
}

const POISONED: &str = "a `Once` was poisoned: what it ran before has panicked";

#[allow(clippy::new_without_default)] // std's has none either
impl Once {
    /// Creates one that has not run.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::Once;
    ///
    /// static START: Once = Once::new();
    /// ```
    pub const fn new() -> Once {
        Once {
            phase: ConstUsize::new(phase::NEW),
            line: Line::new(),
            runner: AtomicU64::new(0),
        }
    }

    /// Runs `f`, unless something was run before. Waits while somebody else runs it.
    ///
    /// # Cancel safety
    ///
    /// A call that is cancelled while it waits has not run `f`.
    ///
    /// # Panics
    ///
    /// Panics if `f` does, or what was run before did. While somebody else runs it, panics where
    /// [`wait`](crate::Wait::wait) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::Once;
    ///
    /// static START: Once = Once::new();
    /// let mut runs = 0;
    /// for _ in 0..2 {
    ///     START.call_once(|| runs += 1);
    /// }
    /// assert_eq!(runs, 1);
    /// ```
    #[track_caller]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        let ask = Ask {
            call: "`Once::call_once`",
            instead: "await `wait_async`",
            poisoned: Some(POISONED),
            shielded: true,
        };
        self.run(ask, |_| f());
    }

    /// Runs `f`, unless something was run before that did not panic. Waits while somebody else runs it.
    ///
    /// # Panics
    ///
    /// Panics if `f` does. While somebody else runs it, panics where [`wait`](crate::Wait::wait) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::Once;
    /// use switchback::thread;
    ///
    /// static START: Once = Once::new();
    ///
    /// # switchback::run(|| {
    /// let fails = thread::spawn(|| START.call_once(|| panic!("not yet")));
    /// assert!(fails.join().is_err());
    /// START.call_once_force(|state| assert!(state.is_poisoned()));
    /// START.call_once(|| unreachable!("it has run"));
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn call_once_force<F: FnOnce(&OnceState)>(&self, f: F) {
        let ask = Ask {
            call: "`Once::call_once_force`",
            instead: "await `wait_async`",
            poisoned: None,
            shielded: true,
        };
        self.run(ask, f);
    }

    /// Returns whether it has run. Never waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::Once;
    ///
    /// static START: Once = Once::new();
    /// assert!(!START.is_completed());
    /// START.call_once(|| assert!(!START.is_completed()));
    /// assert!(START.is_completed());
    /// ```
    #[must_use]
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.phase.load(Ordering::Acquire) == phase::DONE
    }

    /// Waits until somebody has run it.
    ///
    /// # Panics
    ///
    /// Panics if what was run has panicked, and where [`wait`](crate::Wait::wait) does, unless it has run.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{sync::Once, thread};
    ///
    /// static READY: Once = Once::new();
    /// let waits = thread::spawn(|| READY.wait());
    /// READY.call_once(|| ());
    /// waits.join().unwrap();
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn wait(&self) {
        self.wait_until_done("`Once::wait`", Some(POISONED));
    }

    /// Waits until somebody has run it without a panic.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, unless it has run.
    #[track_caller]
    pub fn wait_force(&self) {
        self.wait_until_done("`Once::wait_force`", None);
    }

    /// As [`wait_force`](Once::wait_force), for async code.
    pub async fn wait_async(&self) {
        while !self.is_completed() {
            let end = self.join(Seat::of_future());
            if !self.is_completed() {
                end.await.keep();
            }
        }
    }

    #[track_caller]
    pub(super) fn wait_until_done(&self, call: &'static str, poisoned: Option<&str>) {
        while !self.is_completed() {
            let site = WaitSite::here_unless_async(call, "await `wait_async`");
            let end = self.join(Seat::of_call());
            match self.phase.load(Ordering::Acquire) {
                phase::DONE => return,
                phase::POISONED if poisoned.is_some() => panic_poisoned(poisoned),
                _ => wait_at(site, end).keep(),
            }
        }
    }

    /// Runs `f`, unless something was run before. Waits while somebody else runs it.
    #[track_caller]
    pub(super) fn run(&self, ask: Ask, f: impl FnOnce(&OnceState)) {
        loop {
            match self.begin(ask) {
                Begin::Done => return,
                Begin::Run(run) => return run.finish(ask, f),
                Begin::Wait => {
                    let site = WaitSite::here_unless_async(ask.call, ask.instead);
                    let end = self.join(Seat::of_call());
                    if self.phase.load(Ordering::Acquire) == phase::RUNNING {
                        wait_at(site, end).keep();
                    }
                }
            }
        }
    }

    /// As [`run`](Once::run), for async code.
    pub(super) async fn run_async(&self, ask: Ask, f: impl FnOnce(&OnceState)) {
        loop {
            match self.begin(ask) {
                Begin::Done => return,
                Begin::Run(run) => return run.finish(ask, f),
                Begin::Wait => {
                    let end = self.join(Seat::of_future());
                    if self.phase.load(Ordering::Acquire) == phase::RUNNING {
                        end.await.keep();
                    }
                }
            }
        }
    }

    fn join(&self, seat: Seat) -> End<'_> {
        End {
            once: self,
            notified: self.line.join(seat),
        }
    }

    #[track_caller]
    fn begin(&self, ask: Ask) -> Begin<'_> {
        if self.is_completed() {
            return Begin::Done;
        }
        let ignores = ask.poisoned.is_none();
        let begun =
            self.phase
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |phase| match phase {
                    phase::NEW => Some(phase::RUNNING),
                    phase::POISONED if ignores => Some(phase::RUNNING),
                    _ => None,
                });
        match begun {
            Ok(before) => {
                self.runner.store(tracked_fiber(), Ordering::Relaxed);
                Begin::Run(Run {
                    once: self,
                    state: OnceState(before == phase::POISONED),
                    next: phase::POISONED,
                })
            }
            Err(phase::DONE) => Begin::Done,
            Err(phase::POISONED) => panic_poisoned(ask.poisoned),
            Err(_) => Begin::Wait,
        }
    }
}

/// The end of a run. It is ready once one has ended since it was made.
struct End<'a> {
    once: &'a Once,
    notified: Notified<'a>,
}

impl<'a> Future for End<'a> {
    type Output = Notification<'a>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Notification<'a>> {
        let polled = Pin::new(&mut self.notified).poll(cx);
        if polled.is_pending() {
            let runner = self.once.runner.load(Ordering::Relaxed);
            FiberId::known(runner)
                .into_iter()
                .for_each(|runner| note(Blocker::Once(runner)));
        }
        polled
    }
}

#[cold]
#[track_caller]
fn panic_poisoned(why: Option<&str>) -> ! {
    panic!("{}", why.unwrap_or(POISONED));
}

enum Begin<'a> {
    Done,
    Run(Run<'a>),
    Wait,
}

/// A run, which somebody does. Dropped, it leaves the next phase, and wakes all who wait.
struct Run<'a> {
    once: &'a Once,
    state: OnceState,
    next: usize,
}

impl Run<'_> {
    fn finish(mut self, ask: Ask, f: impl FnOnce(&OnceState)) {
        match ask.shielded {
            true => shield(|| f(&self.state)),
            false => f(&self.state),
        }
        self.next = phase::DONE;
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.once.runner.store(0, Ordering::Relaxed);
        self.once.phase.store(self.next, Ordering::Release);
        self.once.line.notify_all();
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

/// What [`Once::call_once_force`] tells its closure.
pub struct OnceState(bool);

impl OnceState {
    /// Returns whether what was run before has panicked.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{sync::Once, thread};
    ///
    /// static START: Once = Once::new();
    /// let fails = thread::spawn(|| START.call_once(|| panic!("cannot start")));
    /// assert!(fails.join().is_err());
    /// START.call_once_force(|state| assert!(state.is_poisoned()));
    /// assert!(START.is_completed());
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.0
    }
}

impl fmt::Debug for OnceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceState")
            .field("poisoned", &self.is_poisoned())
            .finish()
    }
}

#[cfg(all(test, switchback_loom))]
mod loom_tests {
    use std::sync::Arc;

    use loom::future::block_on;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::*;

    #[test]
    fn one_runs_and_all_see_what_it_did() {
        const ASK: Ask = Ask {
            call: "a model",
            instead: "",
            poisoned: None,
            shielded: false,
        };
        loom::model(|| {
            let shared = Arc::new((Once::new(), AtomicUsize::new(0)));
            // What is made at its first use is made before it is shared.
            assert!(!shared.0.is_completed());
            let runs = |shared: &(Once, AtomicUsize)| {
                block_on(shared.0.run_async(ASK, |_| {
                    shared.1.fetch_add(1, Ordering::Relaxed);
                }));
                assert_eq!(shared.1.load(Ordering::Relaxed), 1);
            };
            let other = shared.clone();
            let other = thread::spawn(move || runs(&other));
            runs(&shared);
            other.join().unwrap();
        });
    }
}
