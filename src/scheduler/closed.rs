//! Waits until a hub has closed, on the hub's own thread.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::end::end_abruptly;
use crate::base::executors::wake_contained_after_io;
use crate::cancel::CAN_UNWIND;
use crate::current::unwinding::counts_a_panic_for_ever;
use crate::hub::Core;
use crate::shared::{CloseWaiter, HubState};

/// Returns whether the hub has closed, apart from its root.
pub(crate) fn has_closed(core: &Rc<Core>) -> bool {
    if core.mailbox.failure().is_some() {
        // No driver will run it again.
        end_abruptly(core);
    }
    match core.state.get() {
        HubState::Open | HubState::Closing => false,
        HubState::Draining => !core.has_callbacks(),
        HubState::Ended => true,
    }
}

/// Polls for the end of the hub.
pub(super) fn poll_ended(core: &Rc<Core>, waiter: &CloseWaiter, cx: &mut Context<'_>) -> Poll<()> {
    if has_closed(core) && core.state.get() == HubState::Ended {
        return Poll::Ready(());
    }
    waiter.register(cx);
    Poll::Pending
}

/// Polls for the close of the hub, for the code that made it and lets it end.
pub(super) fn poll_end(core: &Rc<Core>, waiter: &CloseWaiter, cx: &mut Context<'_>) -> Poll<()> {
    if is_stuck(core) {
        if core.ready.has_work() {
            wake_contained_after_io(cx);
        } else {
            end_abruptly(core);
        }
    }
    if has_closed(core) {
        return Poll::Ready(());
    }
    waiter.register(cx);
    Poll::Pending
}

/// Like [`poll_end`], for code that lets the hub run until it is closed.
pub(super) fn poll_served(core: &Rc<Core>, waiter: &CloseWaiter, cx: &mut Context<'_>) -> Poll<()> {
    if core.is_open() {
        waiter.register(cx);
        return Poll::Pending;
    }
    poll_end(core, waiter, cx)
}

/// Returns whether the hub is closing and its fibers will not end: those that can be told to were told,
/// and the others never will be.
pub(super) fn is_stuck(core: &Core) -> bool {
    !core.is_open() && (!CAN_UNWIND || is_put_off_for_ever(core))
}

/// Returns whether the close is put off for ever for every fiber that is left.
fn is_put_off_for_ever(core: &Core) -> bool {
    counts_a_panic_for_ever(core.made_while_panicking)
        && core.table.all(|fiber| core.cold_part(fiber).put_off.get())
}
