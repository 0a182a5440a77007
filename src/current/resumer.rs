//! [`Resumer`]: what resumes a stack.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::bridge_task::BridgeTask;
use crate::base::{ResumedIn, executors};
use crate::hub::Core;
use crate::shared::{Cancelled, FiberRef, HubPart, Uncounted, interrupt};

pub(crate) enum Resumer {
    /// A hub. The stack is that of a fiber.
    Hub {
        /// Table Invariant: the hub's table has the fiber as long as this stack has not returned.
        fiber: Uncounted,
        hub: Rc<Core>,
    },
    /// The task that polls a bridge. The stack is that of the bridge.
    Task(Rc<BridgeTask>),
}

impl Resumer {
    /// Returns the fiber; `None` in a bridge.
    #[inline]
    pub(crate) fn fiber(&self) -> Option<&FiberRef> {
        match self {
            Resumer::Hub { fiber, .. } => Some(fiber),
            Resumer::Task(_) => None,
        }
    }

    /// Returns the fiber's hub; `None` in a bridge.
    #[inline]
    pub(crate) fn hub(&self) -> Option<&Rc<Core>> {
        match self {
            Resumer::Hub { hub, .. } => Some(hub),
            Resumer::Task(_) => None,
        }
    }

    /// Calls `f` with the waker that makes the stack resume.
    #[inline]
    pub(crate) fn with_waker<R>(&self, f: impl FnOnce(&Waker) -> R) -> R {
        match self {
            Resumer::Hub { fiber, .. } => f(&fiber.lend_waker()),
            // The waker stays borrowed while `f` runs; the stack cannot be resumed meanwhile.
            Resumer::Task(task) => f(&task.waker()),
        }
    }

    /// Polls `future` with the waker that makes the stack resume.
    #[inline(always)]
    pub(crate) fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        match self {
            Resumer::Hub { fiber, .. } => {
                future.poll(&mut Context::from_waker(&fiber.lend_waker()))
            }
            Resumer::Task(task) => task.poll(future),
        }
    }

    /// Returns what the hub has in the fiber's header for each resume; `None` in a bridge.
    #[inline(always)]
    pub(crate) fn hub_part(&self) -> Option<&HubPart> {
        match self {
            Resumer::Hub { fiber, hub } => Some(hub.part(fiber)),
            Resumer::Task(_) => None,
        }
    }

    /// Returns the [`interrupt`] bits.
    #[inline]
    pub(crate) fn interrupts(&self) -> u8 {
        match self {
            Resumer::Hub { fiber, .. } => fiber.interrupts(),
            Resumer::Task(task) if task.has_ended() => interrupt::END,
            Resumer::Task(_) => 0,
        }
    }

    /// Records whether an interrupt of the fiber is put off because the fiber may be unwinding. A
    /// close may then have nothing left to wait for, so its waiters are woken.
    pub(crate) fn put_off(&self, put_off: bool) {
        if let Resumer::Hub { fiber, hub } = self {
            hub.cold_part(fiber).put_off.set(put_off);
            if put_off && !hub.is_open() {
                hub.mailbox.wake_close_waiters();
            }
        }
    }

    /// Makes a cancel pending again, after it was taken and not delivered.
    pub(crate) fn redeliver(&self, cancelled: Cancelled) {
        if let Resumer::Hub { fiber, .. } = self {
            fiber.cancel(cancelled.into_message());
        }
    }

    pub(crate) fn take_cancel(&self) -> Option<Cancelled> {
        self.fiber()?.take_cancel()
    }

    /// Records that the cancel that was taken is thrown or returned now.
    pub(crate) fn cancel_delivered(&self) {
        if let Resumer::Hub { fiber, hub } = self {
            hub.cancel_delivered(fiber);
        }
    }

    /// Returns whether the running code has entered or left an executor on this stack since the
    /// stack was resumed. If so, the stack must not suspend: see the Nesting Invariant in the
    /// module of [`ResumedIn`].
    #[inline]
    pub(crate) fn is_elsewhere(&self) -> bool {
        !self.resumed_in().is_here() && !executors::is_tokio_gone()
    }

    /// Returns whether the running code is in another runtime than when this stack was resumed by a task
    /// of a hub. (Otherwise [`is_elsewhere`](Resumer::is_elsewhere) tells it.)
    #[inline]
    pub(crate) fn is_in_other_runtime(&self) -> bool {
        match self {
            Resumer::Hub { hub, .. } => hub.driven_in.is_in_task() && hub.is_in_other_runtime(),
            Resumer::Task(_) => false,
        }
    }

    /// Returns where the stack was resumed.
    pub(crate) fn resumed_in(&self) -> &ResumedIn {
        match self {
            Resumer::Hub { hub, .. } => &hub.driven_in,
            Resumer::Task(task) => &task.resumed_in,
        }
    }
}
