//! The steps by which a hub closes: from `Open` to `Ended` in the table of [`HubState`].

use std::rc::Rc;
use std::sync::Arc;

use crate::base::contain;
use crate::hub::{Core, Ready};
use crate::scheduler::callbacks;
use crate::shared::{FiberRef, HubState, LocalPhase, Request, interrupt};

/// Begins the close, if it has not begun. If it is the root that waits for it, the root is left out
/// of it.
pub(crate) fn begin(core: &Rc<Core>, waiting_root: Option<&FiberRef>) {
    if let Some(root) = waiting_root {
        root.take_back_interrupt(interrupt::CLOSE);
        core.set_root_waits();
    }
    if core.is_open() {
        core.state.set(HubState::Closing);
        let mut fibers = core.table.fibers();
        fibers.retain(|fiber| !core.is_exempt(fiber));
        let fibers: Arc<[_]> = fibers.into();
        core.mailbox.begin_close(fibers.clone());
        for fiber in &*fibers {
            fiber.interrupt(interrupt::CLOSE);
            core.wake(fiber);
        }
    }
    check(core);
}

/// A fiber has left the table, or a callback has run. That may complete the close.
#[inline]
pub(crate) fn check(core: &Rc<Core>) {
    if !core.is_open() {
        go_on(core);
    }
}

#[cold]
fn go_on(core: &Rc<Core>) {
    if core.state.get() == HubState::Closing && core.only_exempt_live() {
        core.state.set(HubState::Draining);
        core.mailbox.advance(HubState::Draining);
        #[cfg(unix)]
        core.poll.stop();
        // The callbacks that were accepted are taken in and run.
        core.notify();
    }
    if core.state.get() != HubState::Draining || core.has_callbacks() {
        return;
    }
    if core.table.is_empty() {
        set_ended(core);
    } else {
        core.mailbox.wake_close_waiters();
    }
}

/// The hub has no fibers any more. It lets go of everything that it still holds.
pub(super) fn set_ended(core: &Core) {
    core.state.set(HubState::Ended);
    core.mailbox.advance(HubState::Draining);
    drop_mail(core);
    clear_ready(core);
    core.set_driver(None);
    core.stacks.clear();
    core.recycler.clear();
    core.mailbox.counters.publish(&core.metrics());
    core.mailbox.end();
}

/// Refuses what was taken out of the mailbox and not handled.
pub(super) fn drop_mail(core: &Core) {
    let mail = core.mail.take();
    for request in mail.requests {
        match request {
            Request::Callback(callback) => callbacks::discard(callback),
            // It tells its joiner.
            Request::Spawn(fiber) => contain::run("the drop of a fiber's closure", || drop(fiber)),
        }
    }
}

/// Empties the ready queue: tasks in it are woken, fibers are not, callbacks are dropped.
fn clear_ready(core: &Core) {
    let (entries, others) = core.ready.take();
    for fiber in entries.into_iter().flatten() {
        let part = core.part(&fiber);
        part.queued.set(false);
        if part.phase.get() == LocalPhase::Over {
            core.table.remove(part.slot.get());
        }
    }
    for other in others {
        match other {
            Ready::Waker(waker) => contain::wake(waker),
            Ready::Callback(callback) => callbacks::discard(callback),
            #[cfg(unix)]
            Ready::Poll => {}
        }
    }
}
