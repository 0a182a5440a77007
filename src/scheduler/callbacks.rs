//! Callbacks in the ready queue.

use crate::base::contain;
use crate::cancel::Redeliver;
use crate::hub::{Core, Ready};
use crate::shared::HubState;

/// Queues a callback behind everything that is ready. If the hub takes no more callbacks, drops it
/// and returns false.
pub(crate) fn queue(core: &Core, callback: Box<dyn FnOnce()>) -> bool {
    let takes = core.state.get() <= HubState::Closing && core.mailbox.failure().is_none();
    if takes {
        core.push(Ready::Callback(callback));
    } else {
        discard(callback);
    }
    takes
}

/// Runs a callback whose entry is being handled.
pub(super) fn run(core: &Core, callback: Box<dyn FnOnce()>) {
    contain::run("a callback of the hub", callback);
    core.callbacks_run.set(core.callbacks_run.get() + 1);
}

/// Drops a callback that will not be called. Where a hub refuses it, its destructor may wait.
pub(crate) fn discard(callback: Box<dyn FnOnce()>) {
    Redeliver::default().run("the drop of a callback", || drop(callback));
}
