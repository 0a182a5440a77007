//! Takes in what other threads have sent, in bounded parts.
//!
//! A turn takes in only a bounded part of the mail, so that the fibers, timers and callbacks that were
//! there before are not kept waiting. The rest is kept in the hub's core, in order, and is handled
//! before later mail. Wakes are taken in before the requests that are left, because they are for
//! fibers that exist already.

use std::mem;
use std::rc::Rc;

use super::closing;
use crate::base::contain;
use crate::hub::{Core, Ready};
use crate::shared::{FiberRef, Next, Request};

/// The maximum number of entries of the ready queue that are handled in one turn.
pub(super) const TURN_LENGTH: usize = 128;

/// The maximum number of wakes that are taken in at once. Handling one is short.
const MAX_WAKES: usize = 1024;

/// The maximum number of requests that are handled at once, including those that are refused.
const MAX_REQUESTS: usize = 256;

/// Takes in mail from other threads. Of new fibers and callbacks, it takes only as many as can be
/// started in this turn, but at least `least`.
///
/// If it took more, they would start before the code that they wait for has run, and a burst would
/// need a stack for each of its fibers at once.
#[inline]
pub(crate) fn take(core: &Rc<Core>, least: usize) {
    if core.mailbox.has_mail() || core.has_left_mail.get() {
        let room = TURN_LENGTH.saturating_sub(core.ready.len());
        take_cold(core, room.max(least));
    }
}

#[cold]
fn take_cold(core: &Rc<Core>, mut room: usize) {
    let (closes, looks) = {
        let mut mail = core.mail.borrow_mut();
        core.mailbox.take_mail(&mut mail);
        (mem::take(&mut mail.close), mem::take(&mut mail.looks))
    };
    for look in looks {
        look();
    }
    if closes {
        // This comes before new fibers are taken in, so that they are refused without getting a
        // stack.
        closing::begin(core, None);
    }
    #[cfg(unix)]
    if mem::take(&mut core.mail.borrow_mut().poll) && core.is_running() {
        core.push(Ready::Poll);
    }
    if let Some(trial) = core.trial() {
        // Wakes here come from other threads. A request may be the hub's own.
        if !core.mail.borrow().wakes.is_empty() {
            trial.note_foreign_wake();
        }
    }
    for _ in 0..MAX_WAKES {
        let woken = core.mail.borrow_mut().wakes.pop_front();
        let Some(fiber) = woken else { break };
        fiber.left_mailbox();
        core.remote_wakes.set(core.remote_wakes.get() + 1);
        core.wake(&fiber);
    }
    for _ in 0..MAX_REQUESTS {
        if room == 0 {
            break;
        }
        // If a destructor has ended the hub meanwhile, none are left.
        let request = core.mail.borrow_mut().requests.pop_front();
        let Some(request) = request else { break };
        let before = core.ready.len();
        match request {
            // It was accepted when it was sent, so it is run even if the hub is closing.
            Request::Callback(callback) => core.push(Ready::Callback(callback)),
            Request::Spawn(fiber) => {
                if let Some(fiber) = fiber.arrive() {
                    core.wake(&fiber);
                }
            }
        }
        room = room.saturating_sub(core.ready.len().saturating_sub(before));
    }
    let (left, spent) = {
        let mut mail = core.mail.borrow_mut();
        let left = !mail.wakes.is_empty() || !mail.requests.is_empty();
        (left, mail.take_spent())
    };
    core.has_left_mail.set(left);
    drop(spent);
    closing::check(core);
}

/// Takes the next fiber out of the queue of the hub's pool, and launches it. Those that were
/// cancelled there are refused, which is short and needs no room.
///
/// The fiber has to be begun at once: until then, it can still begin on another hub.
pub(super) fn next_start(core: &Core) -> Option<FiberRef> {
    loop {
        match core.take_start()? {
            Next::Begin(start) => {
                if let Some(launched) = start.arrive() {
                    return Some(launched);
                }
            }
            Next::Refuse(cancelled) => {
                contain::run("the drop of a fiber's closure", || drop(cancelled));
            }
        }
    }
}
