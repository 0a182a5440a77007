//! [`PutBack`]: user code that is run where nothing may unwind.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Cancelled, Expired, MAX_REFUSED};
use crate::fiber::FiberState;
use crate::report;
use crate::switch::{self, Place};

/// Runs pieces of user code each of which has to run, as destructors have.
///
/// A panic is reported and ends there. A cancel that unwinds one of them is not
/// lost: when this is dropped it is pending again, for the fiber's next wait. Not
/// earlier, since it is delivered once, and what runs next is to have its waits.
/// (A deadline and the close of the hub come again at each wait anyway.)
#[derive(Debug, Default)]
pub(crate) struct PutBack(Option<Cancelled>);

impl PutBack {
    /// Runs `f`, called `what` in a report.
    pub(crate) fn run(&mut self, what: &str, f: impl FnOnce()) {
        let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else {
            return;
        };
        let payload = match payload.downcast::<Cancelled>() {
            Ok(cancelled) if self.keep(&cancelled) => return,
            Ok(cancelled) => cancelled as Box<dyn Any + Send>,
            Err(payload) if payload.is::<Expired>() => return,
            Err(payload) => payload,
        };
        report::error(format_args!("{what} panicked, which is ignored"));
        // Its drop could panic again.
        std::mem::forget(payload);
    }

    /// Keeps a cancel, the first of several, if the code that runs can be given
    /// it again.
    fn keep(&mut self, cancelled: &Cancelled) -> bool {
        switch::with_place(|place| match place {
            Place::Fiber(state) if state.has_ended() => {
                state.tell_of_end_again();
                true
            }
            Place::Fiber(state) if state.record().is_some() => {
                self.0.get_or_insert_with(|| cancelled.clone());
                true
            }
            _ => false,
        })
    }
}

impl Drop for PutBack {
    fn drop(&mut self) {
        let Some(cancelled) = self.0.take() else {
            return;
        };
        switch::with_place(|place| {
            if let Place::Fiber(state) = place {
                state.owner.put_back_cancel(cancelled);
            }
        });
    }
}

impl FiberState {
    /// The order to unwind because of the end was caught where it could not go
    /// on: the next wait throws it again, instead of leaving the stack for ever.
    /// (But not for ever either: a loop must not keep the thread.)
    fn tell_of_end_again(&self) {
        let refused = self.refused_at_end.get();
        self.refused_at_end.set(refused + 1);
        self.told_of_end.set(refused >= MAX_REFUSED);
    }
}
