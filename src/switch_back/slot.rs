//! The state that a `SwitchBack` shares with its `Switcher`s.
//!
//! | from | to | by |
//! |---|---|---|
//! | `Waiting` | `Fired` | the first `switch` or `throw`, while the fiber that created it lives |
//! | `Waiting` | `Over` | the poll that finds that the time has passed or that no switcher is left; the drop of the `SwitchBack` |
//! | `Fired` | `Over` | the poll that takes the value; the drop of the `SwitchBack` |
//!
//! Every change is made under one lock. Of several threads that race for a change, one wins, and
//! the others see that they have lost. Values, errors and wakers belong to the user: they are only
//! moved under the lock, and are cloned, woken and dropped outside of it.
//!
//! No wake is lost: a poll leaves its waker in the same critical section in which it finds nothing
//! to return, and code that fires takes that waker.

use std::error::Error;
use std::fmt;
use std::mem;
use std::sync::TryLockError;
use std::task::{Poll, Waker};

use super::error::SwitchError;
use crate::base::contain;
use crate::base::lock::{Mutex, lock};
use crate::handles::FiberHandle;

/// The value or error that a switcher gives.
pub(super) type Fired<T> = Result<T, Box<dyn Error + Send + Sync>>;

pub(super) struct Slot<T> {
    /// The fiber that created the `SwitchBack`. Nothing is fired once it has ended.
    origin: Option<FiberHandle>,
    state: Mutex<State<T>>,
}

struct State<T> {
    outcome: Outcome<T>,
    /// The waker of the last poll.
    waker: Option<Waker>,
    /// The number of switchers.
    switchers: usize,
    /// Whether there was ever a switcher.
    had_switchers: bool,
}

impl<T> Drop for State<T> {
    fn drop(&mut self) {
        contain::drop_waker(self.waker.take());
    }
}

enum Outcome<T> {
    Waiting,
    Fired(Fired<T>),
    Over,
}

/// The result of a poll's first look.
enum Look<T> {
    Done(Result<T, SwitchError>),
    /// Nothing was fired, and this waker is registered already.
    Known,
    /// Nothing was fired, and another waker is registered, or none.
    Unknown,
}

impl<T> Slot<T> {
    pub(super) fn new(origin: Option<FiberHandle>) -> Slot<T> {
        Slot {
            origin,
            state: Mutex::new(State {
                outcome: Outcome::Waiting,
                waker: None,
                switchers: 0,
                had_switchers: false,
            }),
        }
    }

    pub(super) fn origin(&self) -> Option<&FiberHandle> {
        self.origin.as_ref()
    }

    pub(super) fn is_active(&self) -> bool {
        self.origin_lives() && lock(&self.state).is_waiting()
    }

    fn origin_lives(&self) -> bool {
        self.origin.as_ref().is_none_or(FiberHandle::is_alive)
    }

    pub(super) fn add_switcher(&self) {
        let mut state = lock(&self.state);
        state.switchers += 1;
        state.had_switchers = true;
    }

    /// Removes a switcher. If it was the last one, wakes the waiter, whose poll will find that.
    pub(super) fn remove_switcher(&self) {
        let waker = {
            let mut state = lock(&self.state);
            state.switchers -= 1;
            match state.switchers {
                0 => state.waker.take(),
                _ => None,
            }
        };
        waker.into_iter().for_each(contain::wake);
    }

    /// Fires. Returns false, and drops the value here, if another switcher was faster or it is too
    /// late.
    pub(super) fn fire(&self, fired: Fired<T>) -> bool {
        let origin_lives = self.origin_lives();
        let (waker, lost) = {
            let mut state = lock(&self.state);
            if !state.is_waiting() {
                (None, Some(fired))
            } else if origin_lives {
                state.outcome = Outcome::Fired(fired);
                (state.waker.take(), None)
            } else {
                // Code outside of that fiber may be waiting, and was not told of the fiber's end.
                (state.waker.take(), Some(fired))
            }
        };
        waker.into_iter().for_each(contain::wake);
        let won = lost.is_none();
        drop(lost);
        won
    }

    /// Takes the fired value, or arranges for `waker` to be woken for the next poll. Must not be
    /// called again once it has returned a result.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<Result<T, SwitchError>> {
        match self.look(waker) {
            Look::Done(result) => Poll::Ready(result),
            Look::Known => Poll::Pending,
            Look::Unknown => self.register(contain::clone_waker(waker)),
        }
    }

    fn look(&self, waker: &Waker) -> Look<T> {
        let mut state = lock(&self.state);
        if let Some(result) = self.finish(&mut state) {
            return Look::Done(result);
        }
        match &state.waker {
            Some(known) if known.will_wake(waker) => Look::Known,
            _ => Look::Unknown,
        }
    }

    fn register(&self, waker: Waker) -> Poll<Result<T, SwitchError>> {
        let (polled, unused) = {
            let mut state = lock(&self.state);
            match self.finish(&mut state) {
                Some(result) => (Poll::Ready(result), Some(waker)),
                None => (Poll::Pending, state.waker.replace(waker)),
            }
        };
        contain::drop_waker(unused);
        polled
    }

    /// Returns the result, if there is one.
    fn finish(&self, state: &mut State<T>) -> Option<Result<T, SwitchError>> {
        let nobody_fires = (state.had_switchers && state.switchers == 0) || !self.origin_lives();
        match &state.outcome {
            Outcome::Waiting if nobody_fires => {
                state.outcome = Outcome::Over;
                Some(Err(SwitchError::Dropped))
            }
            Outcome::Waiting => None,
            _ => state
                .take_fired()
                .map(|fired| fired.map_err(SwitchError::Thrown)),
        }
    }

    /// Makes the slot inert. Returns a fired value that was not taken.
    pub(super) fn end(&self) -> Option<Fired<T>> {
        let (unclaimed, waker) = {
            let mut state = lock(&self.state);
            (state.take_fired(), state.waker.take())
        };
        contain::drop_waker(waker);
        unclaimed
    }
}

impl<T> State<T> {
    fn is_waiting(&self) -> bool {
        matches!(self.outcome, Outcome::Waiting)
    }

    fn describe(&self) -> &'static str {
        match self.outcome {
            Outcome::Waiting => "Waiting",
            Outcome::Fired(Ok(_)) => "Switched",
            Outcome::Fired(Err(_)) => "Thrown",
            Outcome::Over => "Over",
        }
    }

    /// Takes the fired value, if there is one. Nothing is fired after this.
    fn take_fired(&mut self) -> Option<Fired<T>> {
        match mem::replace(&mut self.outcome, Outcome::Over) {
            Outcome::Fired(fired) => Some(fired),
            Outcome::Waiting | Outcome::Over => None,
        }
    }
}

impl<T> Slot<T> {
    /// Adds the visible fields. Never blocks.
    pub(super) fn fields<'s, 'a, 'b>(
        &self,
        f: &'s mut fmt::DebugStruct<'a, 'b>,
    ) -> &'s mut fmt::DebugStruct<'a, 'b> {
        let state = match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(state)) => Some(state.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        // The formatter is foreign code, so it is not called under the lock.
        let seen = state.map(|state| (state.describe(), state.switchers));
        match seen {
            Some((outcome, switchers)) => f
                .field("state", &format_args!("{outcome}"))
                .field("switchers", &switchers),
            None => f.field("state", &format_args!("<locked>")),
        };
        f.field("fiber", &self.origin)
    }
}
