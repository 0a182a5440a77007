//! How a hub ends other than by a close: abruptly, or with its thread.

use std::rc::Rc;

use super::core::{Core, State};
use super::shared::{Failure, Takes};
use crate::report;
use crate::switch;

impl Core {
    /// Ends every fiber by force: each is resumed once with the order to unwind,
    /// and abandoned if it waits again. Fibers that are running (the caller may
    /// be on the stack of one) are left alone.
    pub(super) fn end_abruptly(self: &Rc<Self>) {
        if self.state.replace(State::Ended) == State::Ended {
            return;
        }
        #[cfg(unix)]
        self.poll.stop();
        let _hub = switch::enter_hub(self);
        // In the order in which this hub made them.
        let mut fibers = self.table.fibers();
        fibers.sort_unstable_by_key(|fiber| fiber.id());
        for fiber in &fibers {
            self.end_fiber(fiber);
        }
        self.set_ended();
    }

    /// The hub has no fibers any more: lets go of everything it still holds.
    pub(super) fn set_ended(&self) {
        self.state.set(State::Ended);
        self.shared.restrict(Takes::Wakes);
        self.clear_ready();
        self.set_driver(None);
        self.stacks.clear();
        self.spares.clear();
        self.shared.counters.publish(&self.metrics());
        self.shared.end();
    }

    /// The hub's thread ends. Nothing is resumed, unwound or freed: frames of
    /// suspended fibers may refer to thread-locals that are already gone.
    pub(super) fn leak(&self) {
        if self.state.replace(State::Ended) == State::Ended {
            return;
        }
        let names = self.table.names_of(|_| true);
        if !names.is_empty() {
            report::warn(format_args!(
                "a thread ended with suspended fibers on its hub; their stacks are leaked: {}",
                names.join(", "),
            ));
        }
        self.forget_ready();
        self.table.clear(self);
        self.shared.fail(Failure::Lost);
    }
}
