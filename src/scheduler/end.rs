//! How a hub ends without a close: abruptly, or with its thread.

use std::mem;
use std::rc::Rc;

use super::{closing, turn};
use crate::base::{half_way, report};
use crate::current::{ambient, place, unwinding};
use crate::hub::Core;
use crate::shared::{FiberRef, HubFailure, HubState};

/// Ends every fiber by force: each is resumed once with the order to unwind, and abandoned if it
/// waits again. Fibers that are running are left alone, because the caller may be on the stack of
/// one.
pub(crate) fn end_abruptly(core: &Rc<Core>) {
    if core.state.replace(HubState::Ended) == HubState::Ended {
        return;
    }
    #[cfg(unix)]
    core.poll.stop();
    let _hub = place::enter_hub(core);
    // The fibers end in the order in which this hub made them.
    let mut fibers = core.table.fibers();
    fibers.sort_unstable_by_key(|fiber| fiber.id());
    let end_all = || fibers.iter().for_each(|fiber| turn::end_fiber(core, fiber));
    half_way::outside(|| ambient::without(end_all));
    closing::set_ended(core);
}

/// Ends a child of a scope whose parent cannot wait for it. Called on the parent's stack.
pub(crate) fn end_child(core: &Rc<Core>, child: &FiberRef) {
    unwinding::while_resuming(|| {
        let _hub = place::enter_hub(core);
        turn::end_fiber(core, child);
    });
}

/// Leaks everything on the hub, because its thread ends. No fiber is resumed, unwound or freed:
/// frames of suspended fibers may refer to thread-locals that are already gone.
pub(super) fn leak(core: &Rc<Core>) {
    // The hub may hold values of the user's, whose destructors must not run here.
    mem::forget(core.clone());
    if core.state.replace(HubState::Ended) == HubState::Ended {
        return;
    }
    let names = core.table.names_of(|_| true);
    if !names.is_empty() {
        report::warn(format_args!(
            "a thread ended with suspended fibers on its hub; their stacks are leaked: {}",
            names,
        ));
    }
    mem::forget(core.ready.take());
    core.mailbox.running.leave();
    core.table
        .clear(&core.token, core.mailbox.running.is_read());
    core.mailbox.fail(HubFailure::Lost);
    closing::drop_mail(core);
}
