//! The steps by which a hub closes: from `Open` to `Ended` in the table of [`HubState`].

use std::rc::Rc;
use std::sync::Arc;

use super::callbacks;
use crate::base::contain;
use crate::hub::{Core, Ready};
use crate::shared::{FiberRef, HubState, LocalPhase, Request, interrupt};

/// Begins the close, if it has not begun. If the root waits for it, the root is exempt from it.
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
        refuse_starts(core);
    }
    check(core);
}

/// Checks whether the close can make progress, because a fiber has left the table or a callback has
/// run.
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
        // The accepted callbacks still have to be taken in and run.
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

/// Marks the hub, which has no fibers left, as ended, and frees everything that it still holds.
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

/// Leaves the hub's pool. The last hub refuses what is in the pool's queue.
fn refuse_starts(core: &Core) {
    for start in core.leave_pool() {
        contain::run("the drop of a fiber's closure", || drop(start));
    }
}

/// Refuses the mail that was taken out of the mailbox and has not been handled, and what a pool
/// without other hubs has queued.
pub(super) fn drop_mail(core: &Core) {
    refuse_starts(core);
    let mail = core.mail.take();
    for request in mail.requests {
        match request {
            Request::Callback(callback) => callbacks::discard(callback),
            // Its destructor tells its joiner.
            Request::Spawn(fiber) => contain::run("the drop of a fiber's closure", || drop(fiber)),
        }
    }
}

/// Empties the ready queue: the tasks in it are woken, the callbacks are dropped, and the fibers
/// are only removed.
fn clear_ready(core: &Core) {
    let (entries, others) = core.ready.take();
    for fiber in entries.into_iter().flatten() {
        let part = core.part(&fiber);
        part.queued.set(false);
        if part.phase.get() == LocalPhase::Over {
            core.table.remove(core.cold_part(&fiber).slot.get());
        }
    }
    for other in others.into_iter().flatten() {
        match other {
            Ready::Waker(waker) => contain::wake(waker),
            Ready::Callback(callback) => callbacks::discard(callback),
            #[cfg(unix)]
            Ready::Poll => {}
        }
    }
}
