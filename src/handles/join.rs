//! [`Join`]: waits for a fiber to end.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::JoinError;
use crate::current::place::Frame;
use crate::current::{Blocker, Place};
use crate::scheduler::registry;
use crate::shared::{FiberRef, LocalJoiner, ResultReceiver};

/// The future of [`Fiber::join`](crate::Fiber::join).
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct Join<'a, T> {
    receiver: &'a mut ResultReceiver<T>,
}

impl<'a, T> Join<'a, T> {
    pub(super) fn new(receiver: &'a mut ResultReceiver<T>) -> Join<'a, T> {
        Join { receiver }
    }
}

impl<T> Future for Join<'_, T> {
    type Output = Result<T, JoinError>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        poll(self.get_mut().receiver, cx)
    }
}

impl<T> fmt::Debug for Join<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Join").field(&self.receiver).finish()
    }
}

pub(super) const ITSELF: &str =
    "a fiber cannot join itself: it would wait for ever; let another one join it";

/// Takes the result of a fiber, or arranges for `cx` to be woken when the fiber has ended.
#[inline(always)]
pub(super) fn poll<T>(
    receiver: &mut ResultReceiver<T>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, JoinError>> {
    let polled = receiver.poll(cx, register_locally);
    polled.map(|result| result.map_err(|cause| JoinError::new(cause, receiver.fiber())))
}

/// Records that a fiber of the same hub waits for `fiber`, if it polls with its own waker. Returns
/// whether it did so. Such a joiner need not watch for a failure of the hub, because it fails with
/// the hub.
///
/// # Panics
///
/// Panics if the fiber cannot end while this join waits.
#[inline(always)]
fn register_locally(fiber: &FiberRef, cx: &mut Context<'_>) -> bool {
    // Not `with_place`: its closure would be a function of its own, which is called at each join.
    let frame = Frame::new();
    match frame.place() {
        Place::Poll(state) => {
            let (Some(own), Some(core)) = (state.fiber(), state.hub()) else {
                return false;
            };
            assert!(!FiberRef::ptr_eq(own, fiber), "{ITSELF}");
            state.wait.note(Blocker::Join(fiber.id()));
            let registers = fiber.is_of(&core.token) && own.is_waker(cx.waker());
            if registers {
                let joiner = LocalJoiner {
                    slot: core.cold_part(own).slot.get(),
                    id: own.id(),
                };
                core.cold_part(fiber).joiner.set(Some(joiner));
            }
            registers
        }
        Place::ThreadPoll => {
            refuse_to_block_hub_of(fiber);
            false
        }
        _ => false,
    }
}

/// # Panics
///
/// Panics if the wait that blocks this thread is for a fiber that has to run on it.
#[cold]
fn refuse_to_block_hub_of(fiber: &FiberRef) {
    assert!(
        registry::with_local(fiber.mailbox(), |_| ()).is_none(),
        "this join blocks the thread of the hub that has to run fiber '{}': it would wait for ever; \
         await it in the runtime",
        fiber.name(),
    );
}
