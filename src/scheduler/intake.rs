//! What other threads have sent, taken in by turns.
//!
//! However much is sent, a turn takes in a bounded part of it, so that fibers, timers and callbacks
//! that are there have their turn too. What is left is kept in the hub's core, in order, and comes
//! before what is sent later. Wakes, which are of fibers that have begun, do not wait behind requests
//! that are left.

use std::rc::Rc;

use super::{callbacks, closing};
use crate::hub::{Core, Ready};
use crate::shared::Request;

/// How many entries of the ready queue are handled in one turn, at most.
pub(super) const TURN_LENGTH: usize = 61;

/// How many wakes are taken in at once. Handling one is short.
const MAX_WAKES: usize = 1024;

/// How many requests are handled at once, including those that are refused.
const MAX_REQUESTS: usize = 256;

/// Takes in what other threads have sent, but of new fibers and callbacks only as many as can be
/// started in this turn, or `least`.
///
/// More of them would be started before what they wait for, and what they wake, has its turn: a
/// burst would need a stack for each of its fibers at once.
#[inline]
pub(crate) fn take(core: &Rc<Core>, least: usize) {
    if core.mailbox.has_mail() || core.has_left_mail.get() {
        let room = TURN_LENGTH.saturating_sub(core.ready.len());
        take_cold(core, room.max(least));
    }
}

#[cold]
fn take_cold(core: &Rc<Core>, mut room: usize) {
    let closes = {
        let mut mail = core.mail.borrow_mut();
        core.mailbox.take_mail(&mut mail);
        std::mem::take(&mut mail.close)
    };
    if closes {
        // Before new fibers are taken in, which are refused then, without a stack.
        closing::begin(core, None);
    }
    #[cfg(unix)]
    if std::mem::take(&mut core.mail.borrow_mut().poll) && core.is_running() {
        core.push(Ready::Poll);
    }
    for _ in 0..MAX_WAKES {
        let woken = core.mail.borrow_mut().wakes.pop_front();
        let Some(fiber) = woken else { break };
        fiber.left_mailbox();
        core.wake(&fiber);
    }
    for _ in 0..MAX_REQUESTS {
        let Some(request) = next_request(core, room > 0) else {
            break;
        };
        let before = core.ready.len();
        match request {
            // A destructor has ended the hub meanwhile.
            Request::Callback(callback) if !core.is_running() => callbacks::discard(callback),
            // It was accepted when it was sent.
            Request::Callback(callback) => core.push(Ready::Callback(callback)),
            Request::Spawn(fiber) => fiber.arrive(),
        }
        room = room.saturating_sub(core.ready.len().saturating_sub(before));
    }
    let left = {
        let mail = core.mail.borrow();
        !mail.wakes.is_empty() || !mail.requests.is_empty()
    };
    core.has_left_mail.set(left);
    closing::check(core);
}

/// The next request that is to be handled now: if there is no room, only one that is refused.
fn next_request(core: &Core, has_room: bool) -> Option<Request> {
    let mut mail = core.mail.borrow_mut();
    let is_refused = matches!(mail.requests.front()?, Request::Spawn(_)) && !core.is_open();
    match has_room || is_refused {
        true => mail.requests.pop_front(),
        false => None,
    }
}
