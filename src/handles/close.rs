//! Closing a hub in good order: [`Close`] and [`CloseWithin`].
//!
//! 1. The first poll of a `Close` begins the close: the hub takes no new fibers, and cancels each
//!    live fiber at each of its waits.
//! 2. When the last fiber has ended, the hub takes no more callbacks and polls no more descriptors.
//! 3. When the callbacks that were queued have run, the hub has closed.
//!
//! A root fiber that waits for the close is exempt from it. For the root, the hub has closed when
//! all other fibers have ended; the hub ends with the root.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::CloseTimeout;
use crate::base::{Timeout, deadline_after};
use crate::current::{Place, with_place};
use crate::hub::Core;
use crate::scheduler::{closed, closing, registry};
use crate::shared::{CloseWaiter, Mailbox};

/// The future of [`Hub::close`](crate::Hub::close) and
/// [`HubHandle::close`](crate::HubHandle::close).
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct Close {
    waiter: CloseWaiter,
    began: bool,
}

impl Close {
    #[track_caller]
    pub(crate) fn new(hub: &Arc<Mailbox>) -> Close {
        let waits_for_itself = with_place(|place| match place {
            Place::Stack(state) => state.fiber().is_some_and(|fiber| {
                let own = state.hub().filter(|core| Arc::ptr_eq(&core.mailbox, hub));
                own.is_some_and(|core| !core.is_root(fiber))
            }),
            _ => false,
        });
        assert!(!waits_for_itself, "{WAITS_FOR_ITSELF}");
        Close {
            waiter: CloseWaiter::new(hub),
            began: false,
        }
    }

    /// Polls on the hub's own thread.
    fn poll_here(&mut self, core: &Rc<Core>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.began {
            self.began = true;
            let closer = with_place(|place| match place {
                Place::Poll(state) => state.fiber().cloned(),
                _ => None,
            });
            let own = closer.filter(|fiber| fiber.is_of(&core.token));
            if let Some(fiber) = &own {
                assert!(core.is_root(fiber), "{WAITS_FOR_ITSELF}");
            }
            closing::begin(core, own.as_ref());
        }
        if closed::has_closed(core) {
            return Poll::Ready(());
        }
        let blocks = with_place(|place| matches!(place, Place::ThreadPoll));
        assert!(
            !blocks,
            "this wait blocks the thread of the hub whose close it waits for: it would wait for \
             ever; await it in the runtime",
        );
        self.waiter.register(cx);
        Poll::Pending
    }

    /// Polls on another thread. Ready when the hub has ended, including its root.
    fn poll_elsewhere(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.began {
            self.began = true;
            self.waiter.mailbox().send_close();
        }
        if !self.waiter.mailbox().has_ended() {
            self.waiter.register(cx);
        }
        // This is checked again, because the hub may have ended before the waker was registered.
        match self.waiter.mailbox().has_ended() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

const WAITS_FOR_ITSELF: &str = "a fiber cannot wait for the close of its own hub: it would wait \
                                for itself; close it from its root fiber or from async code";

impl Future for Close {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match registry::local(self.waiter.mailbox()) {
            Some(core) => self.poll_here(&core, cx),
            None => self.poll_elsewhere(cx),
        }
    }
}

pin_project! {
    /// The future of [`Hub::close_within`](crate::Hub::close_within).
    #[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
    pub struct CloseWithin {
        core: Rc<Core>,
        duration: Duration,
        #[pin]
        close: Timeout<Close>,
    }
}

impl CloseWithin {
    #[track_caller]
    pub(crate) fn new(core: &Rc<Core>, duration: Duration) -> CloseWithin {
        CloseWithin {
            core: core.clone(),
            duration,
            close: Timeout::new(Close::new(&core.mailbox), deadline_after(duration)),
        }
    }
}

impl Future for CloseWithin {
    type Output = Result<(), CloseTimeout>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let closed = ready!(this.close.poll(cx));
        Poll::Ready(closed.map_err(|_| {
            let left = this
                .core
                .table
                .names_of(|fiber| !this.core.is_exempt(fiber));
            CloseTimeout::of_fibers(*this.duration, left)
        }))
    }
}

impl fmt::Debug for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Close").field(self.waiter.mailbox()).finish()
    }
}

impl fmt::Debug for CloseWithin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseWithin")
            .field("hub", &self.core)
            .field("duration", &self.duration)
            .finish()
    }
}
