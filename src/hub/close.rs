//! How a hub ends in good order: [`Close`] and [`CloseWithin`].
//!
//! 1. From the first poll of a `Close` on, no new fibers are taken, and each that
//!    lives is told at each wait.
//! 2. When the last has ended, no new callbacks are taken either, and no
//!    descriptors are polled any more.
//! 3. When those that were queued have run, the hub has closed.
//!
//! A root fiber that waits for the close is left out of it: the hub has closed
//! for it when all others have ended, and ends with it.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::core::{Core, State};
use super::registry;
use super::shared::{Closer, Shared, Takes};
use super::turn::wake_after_io;
use crate::cancel::CAN_UNWIND;
use crate::fiber::{FiberHandle, FiberRef, counts_a_panic_for_ever, interrupt};
use crate::switch::{self, Place};
use crate::time::{Timeout, deadline_after};

impl Core {
    /// This fiber is the one that the hub was made to run.
    pub(super) fn set_root(&self, root: &FiberHandle) {
        self.root.replace(Some(root.0.clone()));
    }

    fn is_root(&self, record: &FiberRef) -> bool {
        let root = self.root.borrow();
        root.as_ref()
            .is_some_and(|root| FiberRef::ptr_eq(root, record))
    }

    fn is_exempt(&self, record: &FiberRef) -> bool {
        let exempt = self.exempt.borrow();
        exempt
            .as_ref()
            .is_some_and(|known| FiberRef::ptr_eq(known, record))
    }

    /// Starts the close, or exempts a root fiber from one that has started.
    pub(super) fn begin_close(self: &Rc<Self>, exempt: Option<FiberRef>) {
        if let Some(root) = exempt {
            root.take_back_interrupt(interrupt::CLOSE);
            self.exempt.replace(Some(root));
        }
        if self.is_open() {
            self.state.set(State::Closing);
            let mut fibers = self.table.fibers();
            fibers.retain(|fiber| !self.is_exempt(fiber));
            let fibers: Arc<[_]> = fibers.into();
            self.shared.begin_close(fibers.clone());
            for record in &*fibers {
                record.interrupt(interrupt::CLOSE);
                self.wake(record);
            }
        }
        self.check_closed();
    }

    /// A fiber has left the table, or a callback has run: that may complete the
    /// close.
    #[inline]
    pub(super) fn check_closed(self: &Rc<Self>) {
        if !self.is_open() {
            self.go_on_closing();
        }
    }

    #[cold]
    fn go_on_closing(self: &Rc<Self>) {
        if self.state.get() == State::Closing && self.only_exempt_live() {
            self.state.set(State::Draining);
            self.shared.restrict(Takes::Wakes);
            #[cfg(unix)]
            self.poll.stop();
            // What was sent before that is taken.
            self.drain_remote();
        }
        if self.state.get() != State::Draining || self.has_callbacks() {
            return;
        }
        let has_root = !self.table.is_empty();
        if has_root {
            self.shared.wake_closers();
        } else {
            self.set_ended();
        }
    }

    /// Whether the hub has closed, its root apart.
    fn has_closed(self: &Rc<Self>) -> bool {
        if self.shared.failure().is_some() {
            // Nobody will drive it any more.
            self.end_abruptly();
        }
        match self.state.get() {
            State::Open | State::Closing => false,
            State::Draining => !self.has_callbacks(),
            State::Ended => true,
        }
    }

    /// Ready when the hub has ended.
    pub(super) fn poll_ended(
        self: &Rc<Self>,
        closer: &mut Closer,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.has_closed() && self.state.get() == State::Ended {
            return Poll::Ready(());
        }
        closer.register(cx);
        Poll::Pending
    }

    /// Ready when the hub has closed, for whoever made it run and lets it end.
    pub(super) fn poll_end(self: &Rc<Self>, closer: &mut Closer, cx: &mut Context<'_>) -> Poll<()> {
        // Whoever can be told is told; the others never will be.
        if !CAN_UNWIND || self.is_put_off_for_ever() {
            if self.ready.has_work() {
                wake_after_io(cx);
            } else {
                self.end_abruptly();
            }
        }
        if self.has_closed() {
            return Poll::Ready(());
        }
        closer.register(cx);
        Poll::Pending
    }

    /// As [`poll_end`](Core::poll_end), for whoever lets it run until somebody
    /// closes it.
    pub(super) fn poll_served(
        self: &Rc<Self>,
        closer: &mut Closer,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.is_open() {
            closer.register(cx);
            return Poll::Pending;
        }
        self.poll_end(closer, cx)
    }

    /// Whether the close of every fiber that is left is put off, and for ever.
    fn is_put_off_for_ever(&self) -> bool {
        counts_a_panic_for_ever(self.made_while_panicking)
            && self.table.all(|fiber| fiber.is_put_off())
    }

    /// The interrupt of a fiber has been put off: see `poll_end`.
    pub(crate) fn interrupt_put_off(&self) {
        if self.state.get() == State::Closing {
            self.shared.wake_closers();
        }
    }

    fn only_exempt_live(&self) -> bool {
        self.table.all(|fiber| self.is_exempt(fiber))
    }
}

/// The future of [`Hub::close`](crate::Hub::close) and
/// [`HubHandle::close`](crate::HubHandle::close).
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct Close {
    closer: Closer,
    began: bool,
}

impl Close {
    #[track_caller]
    pub(super) fn new(hub: &Arc<Shared>) -> Close {
        let waits_for_itself = switch::with_place(|place| match place {
            Place::Fiber(state) => state.record().is_some_and(|record| {
                let own = state.hub().filter(|core| Arc::ptr_eq(&core.shared, hub));
                own.is_some_and(|core| !core.is_root(record))
            }),
            _ => false,
        });
        assert!(!waits_for_itself, "{WAITS_FOR_ITSELF}");
        Close {
            closer: Closer::new(hub),
            began: false,
        }
    }

    /// On the hub's own thread.
    fn poll_here(&mut self, core: &Rc<Core>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.began {
            self.began = true;
            let closer = switch::with_place(|place| match place {
                Place::Poll(state) => state.record().cloned(),
                _ => None,
            });
            let own = closer.filter(|record| Arc::ptr_eq(&record.hub, &core.shared));
            if let Some(fiber) = &own {
                assert!(core.is_root(fiber), "{WAITS_FOR_ITSELF}");
            }
            core.begin_close(own);
        }
        if core.has_closed() {
            return Poll::Ready(());
        }
        let blocks = switch::with_place(|place| matches!(place, Place::ThreadPoll));
        assert!(
            !blocks,
            "this wait blocks the thread of the hub whose close it waits for: it would wait for \
             ever; await it in the runtime",
        );
        self.closer.register(cx);
        Poll::Pending
    }

    /// On another thread: ready when the hub has ended, its root too.
    fn poll_elsewhere(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.began {
            self.began = true;
            self.closer.hub().ask_to_close();
        }
        if !self.closer.hub().has_ended() {
            self.closer.register(cx);
        }
        // Again: it may have ended before it knew whom to wake.
        match self.closer.hub().has_ended() {
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
        match registry::local(self.closer.hub()) {
            Some(core) => self.poll_here(&core, cx),
            None => self.poll_elsewhere(cx),
        }
    }
}

pin_project! {
    /// The future of [`Hub::close_within`](crate::Hub::close_within).
    #[derive(Debug)]
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
    pub(super) fn new(core: &Rc<Core>, duration: Duration) -> CloseWithin {
        CloseWithin {
            core: core.clone(),
            duration,
            close: Timeout::new(Close::new(&core.shared), deadline_after(duration)),
        }
    }
}

impl Future for CloseWithin {
    type Output = Result<(), CloseTimeout>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let closed = ready!(this.close.poll(cx));
        Poll::Ready(closed.map_err(|_| {
            CloseTimeout {
                duration: *this.duration,
                fibers: this
                    .core
                    .table
                    .names_of(|fiber| !this.core.is_exempt(fiber)),
                busy: Vec::new(),
            }
        }))
    }
}

/// A hub, or the hubs of a pool, did not close in time: some fibers had not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseTimeout {
    duration: Duration,
    fibers: Vec<String>,
    busy: Vec<String>,
}

impl CloseTimeout {
    pub(crate) fn new(duration: Duration) -> CloseTimeout {
        CloseTimeout {
            duration,
            fibers: Vec::new(),
            busy: Vec::new(),
        }
    }

    /// Adds what is known of a hub on the thread with this name that has not
    /// closed.
    pub(crate) fn add(&mut self, thread: &str, fibers: Option<Vec<String>>) {
        match fibers {
            Some(fibers) if !fibers.is_empty() => self.fibers.extend(fibers),
            _ => self.busy.push(thread.to_owned()),
        }
    }

    /// The names of the fibers that had not ended.
    pub fn fibers(&self) -> &[String] {
        &self.fibers
    }

    /// The names of the threads of a [`HubThread`](crate::HubThread) or
    /// [`HubPool`](crate::HubPool) that were busy with something else than waiting
    /// fibers: with one that computes, so that the hub did not get to close, or
    /// with blocking jobs that go on when all fibers have ended.
    pub fn busy_threads(&self) -> &[String] {
        &self.busy
    }
}

impl fmt::Display for CloseTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the hub did not close within {:?}", self.duration)?;
        if !self.fibers.is_empty() || self.busy.is_empty() {
            write!(f, "; still alive: {}", self.fibers.join(", "))?;
        }
        if !self.busy.is_empty() {
            write!(f, "; busy threads: {}", self.busy.join(", "))?;
        }
        Ok(())
    }
}

impl Error for CloseTimeout {}

impl From<CloseTimeout> for io::Error {
    /// The kind is [`io::ErrorKind::TimedOut`].
    fn from(timeout: CloseTimeout) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, timeout)
    }
}
