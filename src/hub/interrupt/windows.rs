//! Ctrl-C of the console, through tokio's listener.
//!
//! Windows ends the process if nobody listens. So this listens only while an
//! interrupt would be answered: not from the moment in which one is noticed until
//! it has been. (One that the hub's thread is too busy to notice does not end the
//! process, however many follow; Ctrl-Break does.)

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use tokio::signal::windows::{CtrlC, ctrl_c};

use crate::base::contain;
use crate::base::lock::lock;

/// Keeps the default away after a hub has ended that ignored interrupts.
static IGNORES: Mutex<Option<CtrlC>> = Mutex::new(None);

#[derive(Debug)]
pub(super) struct Signal {
    listener: RefCell<Option<CtrlC>>,
    has_come: Cell<bool>,
    ignored: Cell<bool>,
    /// Whoever polls this.
    waker: RefCell<Option<Waker>>,
}

impl Signal {
    pub(super) fn listen(ignored: bool) -> io::Result<Signal> {
        let listener = ctrl_c()?;
        drop(lock(&IGNORES).take());
        Ok(Signal {
            listener: RefCell::new(Some(listener)),
            has_come: Cell::new(false),
            ignored: Cell::new(ignored),
            waker: RefCell::new(None),
        })
    }

    /// Has `cx` woken when an interrupt comes.
    pub(super) fn poll(&self, cx: &mut Context<'_>) {
        let waker = cx.waker().clone();
        drop(self.waker.replace(Some(waker)));
        let mut listener = self.listener.borrow_mut();
        while let Some(Poll::Ready(_)) = listener.as_mut().map(|l| l.poll_recv(cx)) {
            if !self.ignored.get() {
                self.has_come.set(true);
                *listener = None;
            }
        }
    }

    /// Whether an interrupt has come that is not answered.
    #[inline]
    pub(super) fn has_come(&self) -> bool {
        self.has_come.get()
    }

    /// The root fiber was given the cancel for it.
    pub(super) fn answered(&self) {
        self.has_come.set(false);
        self.listen_again();
    }

    pub(super) fn set_ignored(&self, ignored: bool) -> io::Result<()> {
        self.ignored.set(ignored);
        if ignored {
            self.answered();
        }
        Ok(())
    }

    /// From now on an interrupt does what it does by default, or nothing if it is
    /// `ignored`. Returns whether one has come that was not answered.
    pub(super) fn stop(&self, ignored: bool) -> bool {
        let listener = self.listener.take();
        if ignored {
            *lock(&IGNORES) = listener;
        }
        self.has_come.get()
    }

    fn listen_again(&self) {
        let mut listener = self.listener.borrow_mut();
        if listener.is_none() {
            // It has worked before; if it does not now, the default holds.
            *listener = ctrl_c().ok();
        }
        drop(listener);
        // It has to be polled to be woken by.
        let waker = self.waker.take();
        waker.into_iter().for_each(contain::wake);
    }
}
