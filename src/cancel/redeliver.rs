//! [`Redeliver`]: user code that is run where nothing may unwind.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::contain;
use crate::current::{Expired, Place, with_place};
use crate::shared::Cancelled;

/// Runs pieces of user code each of which has to run, as destructors have.
///
/// A panic is reported and ends there. A cancel that unwinds one of them is not
/// lost: when this is dropped it is pending again, for the fiber's next wait. Not
/// earlier, since it is delivered once, and what runs next is to have its waits.
/// (A deadline and the close of the hub come again at each wait anyway.)
#[derive(Debug, Default)]
pub(crate) struct Redeliver(Option<Cancelled>);

impl Redeliver {
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
        contain::ignore(what, payload);
    }

    /// Keeps a cancel, the first of several, if the code that runs can be given
    /// it again.
    fn keep(&mut self, cancelled: &Cancelled) -> bool {
        with_place(|place| match place {
            Place::Stack(state) if state.has_ended() => {
                // The order to unwind was caught where it could not go on.
                state.end_notice.throw_again();
                true
            }
            Place::Stack(state) if state.fiber().is_some() => {
                self.0.get_or_insert_with(|| cancelled.clone());
                true
            }
            _ => false,
        })
    }
}

impl Drop for Redeliver {
    fn drop(&mut self) {
        let Some(cancelled) = self.0.take() else {
            return;
        };
        with_place(|place| {
            if let Place::Stack(state) = place {
                state.resumer.redeliver(cancelled);
            }
        });
    }
}
