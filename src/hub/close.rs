//! How a hub ends in good order: [`Close`] and [`CloseWithin`].

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::core::{Core, State};
use crate::cancel::CAN_UNWIND;
use crate::fiber::{FiberHandle, Record, interrupt};
use crate::foreign;
use crate::switch::{self, Place};
use crate::time::{Timeout, deadline_after};

/// What a hub knows of its close.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// The root fiber, if it waits for the close: neither cancelled nor waited for.
    exempt: RefCell<Option<Arc<Record>>>,
    waiting: RefCell<Vec<Waker>>,
}

impl Closing {
    fn register(&self, waker: &Waker) {
        let known = |known: &Waker| known.will_wake(waker);
        if !self.waiting.borrow().iter().any(known) {
            let waker = waker.clone();
            self.waiting.borrow_mut().push(waker);
        }
    }

    /// Wakes whoever waits for the close.
    pub(super) fn wake(&self) {
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(foreign::wake);
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

    /// Ready when the hub has closed, its root apart.
    fn poll_closed(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.state.get() == State::Ended {
            return Poll::Ready(());
        }
        if !self.only_exempt_live() {
            self.close.register(cx.waker());
            return Poll::Pending;
        }
        if self.live.borrow().is_empty() {
            self.set_ended();
        }
        Poll::Ready(())
    }

    /// Ready when the hub has ended, for the last of its drivers.
    pub(super) fn poll_end(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.live.borrow().is_empty() {
            self.close.exempt.take();
        } else if !CAN_UNWIND && !self.has_ready() {
            // Whoever can be cancelled has been; the others never will be.
            self.end_abruptly();
        }
        self.poll_closed(cx)
    }

    fn only_exempt_live(&self) -> bool {
        let live = self.live.borrow();
        live.iter()
            .all(|(_, fiber)| self.close.exempts(&fiber.record))
    }
}

/// The future of [`Hub::close`](crate::Hub::close).
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct Close {
    core: Rc<Core>,
    began: bool,
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
        self.core.poll_closed(cx)
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
