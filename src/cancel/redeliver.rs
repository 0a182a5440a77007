//! [`Redeliver`]: runs user code where no unwind may leave it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::contain;
use crate::current::{Expired, Place, with_place};
use crate::shared::Cancelled;

/// Runs several pieces of user code, all of which must run, as destructors must.
///
/// A panic is reported and goes no further. A cancel that unwinds a piece is not lost: when this is
/// dropped, the cancel is pending again, for the fiber's next wait. It is not made pending earlier,
/// because it is delivered once and would interrupt the waits of the next piece. (A deadline and
/// the close of the hub recur at each wait anyway.)
#[derive(Debug, Default)]
pub(crate) struct Redeliver(Option<Cancelled>);

impl Redeliver {
    /// Runs `f`, which a report names `what`.
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

    /// Keeps a cancel, the first of several, if it can be delivered again to the running code.
    /// Returns whether it can.
    fn keep(&mut self, cancelled: &Cancelled) -> bool {
        with_place(|place| match place {
            Place::Stack(state) if state.has_ended() => {
                // The end of the hub was thrown, and was caught where the unwinding could not
                // continue.
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
