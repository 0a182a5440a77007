//! What a `SwitchBack` shares with its `Switcher`s.
//!
//! | from | to | by |
//! |---|---|---|
//! | `Waiting` | `Fired` | the first `switch` or `throw`, while the origin lives |
//! | `Waiting` | `Over` | the poll that finds the time over, or nobody left to fire it; the drop of the `SwitchBack` |
//! | `Fired` | `Over` | the poll that takes what was fired; the drop of the `SwitchBack` |
//!
//! Every change is made under the one lock, so one of those who race for it wins
//! and the others see that they have lost. What is the user's (values, errors,
//! wakers) is only moved under it, and is cloned, woken and dropped outside.
//!
//! No wake is lost: a poll puts its waker there under the same lock under which it
//! has found nothing to return, and whoever gives it something takes that waker.

use std::error::Error;
use std::fmt;
use std::mem;
use std::sync::TryLockError;
use std::task::{Poll, Waker};

use super::error::SwitchError;
use crate::base::contain;
use crate::base::lock::{Mutex, lock};
use crate::handles::FiberHandle;

/// What a switcher gives.
pub(super) type Fired<T> = Result<T, Box<dyn Error + Send + Sync>>;

pub(super) struct Slot<T> {
    /// The fiber that made the `SwitchBack`. Nothing is fired once it has ended.
    origin: Option<FiberHandle>,
    state: Mutex<State<T>>,
}

struct State<T> {
    outcome: Outcome<T>,
    /// Whoever has to be woken for the next poll.
    waker: Option<Waker>,
    /// How many switchers there are.
    switchers: usize,
    /// Whether there was ever one.
    had_switchers: bool,
}

enum Outcome<T> {
    Waiting,
    Fired(Fired<T>),
    Over,
}

/// What a poll finds at first sight.
enum Look<T> {
    Done(Result<T, SwitchError>),
    /// Nothing yet; the waker is there already.
    Known,
    /// Nothing yet; another waker is there, or none.
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

    /// The last one that goes has the next poll find that it was the last.
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

    /// Fires; false if somebody was faster, or it is too late. What was not taken
    /// is dropped here.
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
                // Somebody else may wait, whom nobody has told of that end.
                (state.waker.take(), Some(fired))
            }
        };
        waker.into_iter().for_each(contain::wake);
        let won = lost.is_none();
        drop(lost);
        won
    }

    /// Takes what was fired, or sees to it that `waker` is woken for the next
    /// poll. Not to be called again once it has returned something.
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

    /// What there is to return, if anything.
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

    /// From now on nothing is fired. What was fired and not taken comes back.
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

    /// Takes what was fired, if anything was; nothing will be after that.
    fn take_fired(&mut self) -> Option<Fired<T>> {
        match mem::replace(&mut self.outcome, Outcome::Over) {
            Outcome::Fired(fired) => Some(fired),
            Outcome::Waiting | Outcome::Over => None,
        }
    }
}

impl<T> Slot<T> {
    /// Adds what can be said of it. Never blocks.
    pub(super) fn fields<'s, 'a, 'b>(
        &self,
        f: &'s mut fmt::DebugStruct<'a, 'b>,
    ) -> &'s mut fmt::DebugStruct<'a, 'b> {
        let state = match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(state)) => Some(state.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        // What writes it is not our code: not under the lock.
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
