//! How a hub ends in good order: [`Close`] and [`CloseWithin`].

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use slab::Slab;

use super::core::{Core, State};
use super::turn::wake_after_io;
use crate::cancel::CAN_UNWIND;
use crate::fiber::{FiberHandle, Record, counts_a_panic_for_ever, interrupt};
use crate::foreign;
use crate::switch::{self, Place};
use crate::time::{Timeout, deadline_after};

/// What a hub knows of its close.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// The root fiber, if it waits for the close: neither cancelled nor waited for.
    exempt: RefCell<Option<Arc<Record>>>,
    waiting: RefCell<Slab<Waker>>,
}

impl Closing {
    /// Has `waker` woken when the hub has closed or ended. `key` is that of an
    /// earlier call, if there was one.
    fn register(&self, key: Option<usize>, waker: &Waker) -> usize {
        let waker = waker.clone();
        let (key, _old) = {
            let mut waiting = self.waiting.borrow_mut();
            match key.and_then(|key| Some((key, waiting.get_mut(key)?))) {
                Some((key, known)) => (key, Some(mem::replace(known, waker))),
                None => (waiting.insert(waker), None),
            }
        };
        key
    }

    /// Whoever registered under this key waits no longer.
    fn unregister(&self, key: usize) {
        let _waker = self.waiting.borrow_mut().try_remove(key);
    }

    /// Wakes whoever waits for the close.
    pub(super) fn wake(&self) {
        let waiting = self.waiting.take();
        for (_, waker) in waiting {
            foreign::wake(waker);
        }
    }

    fn exempts(&self, record: &Arc<Record>) -> bool {
        let exempt = self.exempt.borrow();
        exempt
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, record))
    }
}

impl Core {
    /// This fiber is the one that the hub was made to run.
    pub(super) fn set_root(&self, root: &FiberHandle) {
        self.root.replace(Some(root.0.clone()));
    }

    fn is_root(&self, record: &Arc<Record>) -> bool {
        let root = self.root.borrow();
        root.as_ref().is_some_and(|root| Arc::ptr_eq(root, record))
    }

    /// Starts the close, or exempts a root fiber from one that has started.
    pub(super) fn begin_close(&self, exempt: Option<Arc<Record>>) {
        if let Some(root) = exempt {
            root.take_back_interrupt(interrupt::CLOSE);
            self.close.exempt.replace(Some(root));
        }
        if !self.is_open() {
            return;
        }
        self.state.set(State::Closing);
        let live: Vec<_> = {
            let live = self.live.borrow();
            live.iter().map(|(_, fiber)| fiber.record.clone()).collect()
        };
        for record in live {
            if !self.close.exempts(&record) {
                record.interrupt(interrupt::CLOSE);
                self.wake(&record);
            }
        }
    }

    /// A fiber has left the table: that may complete the close.
    #[inline]
    pub(super) fn check_closed(&self) {
        if self.state.get() == State::Closing && self.only_exempt_live() {
            self.close.wake();
        }
    }

    /// Whether the hub has closed, its root apart.
    fn has_closed(self: &Rc<Self>) -> bool {
        if self.shared.failure().is_some() {
            // Nobody will drive it any more.
            self.end_abruptly();
        }
        if self.state.get() == State::Ended {
            return true;
        }
        if self.live.borrow().is_empty() {
            self.set_ended();
        }
        self.only_exempt_live()
    }

    /// Ready when the hub has ended. `key` is `None` at the first poll.
    pub(super) fn poll_ended(
        self: &Rc<Self>,
        key: &mut Option<usize>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.has_closed() && self.state.get() == State::Ended {
            return Poll::Ready(());
        }
        *key = Some(self.close.register(*key, cx.waker()));
        Poll::Pending
    }

    /// Ready when the hub has closed, for whoever made it run and lets it end.
    /// `key` is `None` at the first poll.
    pub(super) fn poll_end(
        self: &Rc<Self>,
        key: &mut Option<usize>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        // Whoever can be told is told; the others never will be.
        if !CAN_UNWIND || self.is_put_off_for_ever() {
            if self.has_ready() {
                wake_after_io(cx);
            } else {
                self.end_abruptly();
            }
        }
        if self.has_closed() {
            return Poll::Ready(());
        }
        *key = Some(self.close.register(*key, cx.waker()));
        Poll::Pending
    }

    /// Whether the close of every fiber that is left is put off, and for ever.
    fn is_put_off_for_ever(&self) -> bool {
        let live = self.live.borrow();
        counts_a_panic_for_ever(self.made_while_panicking)
            && live.iter().all(|(_, fiber)| fiber.record.is_put_off())
    }

    /// The interrupt of a fiber has been put off: see `poll_end`.
    pub(crate) fn interrupt_put_off(&self) {
        if self.state.get() == State::Closing {
            self.close.wake();
        }
    }

    fn only_exempt_live(&self) -> bool {
        let live = self.live.borrow();
        let exempt = self.close.exempt.borrow();
        let is_live = |root: &Arc<Record>| {
            let fiber = live.get(root.slot);
            fiber.is_some_and(|fiber| Arc::ptr_eq(&fiber.record, root))
        };
        live.len() == usize::from(exempt.as_ref().is_some_and(is_live))
    }
}

/// The future of [`Hub::close`](crate::Hub::close).
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct Close {
    core: Rc<Core>,
    began: bool,
    key: Option<usize>,
}

impl Close {
    #[track_caller]
    pub(super) fn new(core: &Rc<Core>) -> Close {
        let waits_for_itself = switch::with_place(|place| match place {
            Place::Fiber(state) => state.record().is_some_and(|record| {
                Arc::ptr_eq(&record.hub, &core.shared) && !core.is_root(record)
            }),
            _ => false,
        });
        assert!(!waits_for_itself, "{WAITS_FOR_ITSELF}");
        Close {
            core: core.clone(),
            began: false,
            key: None,
        }
    }
}

const WAITS_FOR_ITSELF: &str = "a fiber cannot wait for the close of its own hub: it would wait \
                                for itself; close it from its root fiber or from async code";

impl Future for Close {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.began {
            self.began = true;
            let closer = switch::with_place(|place| match place {
                Place::Poll(state) => state.record().cloned(),
                _ => None,
            });
            let own = closer.filter(|record| Arc::ptr_eq(&record.hub, &self.core.shared));
            if let Some(fiber) = &own {
                assert!(self.core.is_root(fiber), "{WAITS_FOR_ITSELF}");
            }
            self.core.begin_close(own);
        }
        if self.core.has_closed() {
            return Poll::Ready(());
        }
        let blocks = switch::with_place(|place| matches!(place, Place::ThreadPoll));
        assert!(
            !blocks,
            "this wait blocks the thread of the hub whose close it waits for: it would wait for \
             ever; await it in the runtime",
        );
        self.key = Some(self.core.close.register(self.key, cx.waker()));
        Poll::Pending
    }
}

impl Drop for Close {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.core.close.unregister(key);
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
            close: Timeout::new(Close::new(core), deadline_after(duration)),
        }
    }
}

impl Future for CloseWithin {
    type Output = Result<(), CloseTimeout>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let closed = ready!(this.close.poll(cx));
        Poll::Ready(closed.map_err(|_| CloseTimeout {
            duration: *this.duration,
            fibers: this.core.names_of(|fiber| !this.core.close.exempts(fiber)),
        }))
    }
}

/// A hub did not close in time: some fibers had not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseTimeout {
    duration: Duration,
    fibers: Vec<String>,
}

impl CloseTimeout {
    /// The names of the fibers that had not ended.
    pub fn fibers(&self) -> &[String] {
        &self.fibers
    }
}

impl fmt::Display for CloseTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the hub did not close within {:?}; still alive: {}",
            self.duration,
            self.fibers.join(", "),
        )
    }
}

impl Error for CloseTimeout {}

impl From<CloseTimeout> for io::Error {
    /// The kind is [`io::ErrorKind::TimedOut`].
    fn from(timeout: CloseTimeout) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, timeout)
    }
}
