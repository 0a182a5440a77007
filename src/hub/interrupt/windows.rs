//! Handles Ctrl-C of the console with tokio's listener.
//!
//! Windows ends the process if nothing listens. This therefore listens only while an
//! interrupt would be answered, and stops between noticing an interrupt and answering it.
//! (If the hub's thread is too busy to notice an interrupt, the process does not end,
//! however many follow; Ctrl-Break ends it.)

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use tokio::signal::windows::{CtrlC, ctrl_c};

use crate::base::contain;
use crate::base::lock::lock;

/// Suppresses the default effect after a hub that ignored interrupts has ended.
static IGNORES: Mutex<Option<CtrlC>> = Mutex::new(None);

#[derive(Debug)]
pub(super) struct Signal {
    listener: RefCell<Option<CtrlC>>,
    has_come: Cell<bool>,
    ignored: Cell<bool>,
    /// The waker of the task that polls this.
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

    /// Arranges for `cx` to be woken when an interrupt comes.
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

    /// Returns whether an interrupt has come that is not answered.
    #[inline]
    pub(super) fn has_come(&self) -> bool {
        self.has_come.get()
    }

    /// Records that the cancel was delivered to the root fiber.
    pub(super) fn answered(&self) {
        self.has_come.set(false);
        self.listen_again();
    }

    /// Lets the next interrupt end the process: without a listener it does what it does by default.
    pub(super) fn let_end_process(&self) {
        self.listener.take();
    }

    pub(super) fn set_ignored(&self, ignored: bool) -> io::Result<()> {
        self.ignored.set(ignored);
        if ignored {
            self.answered();
        }
        Ok(())
    }

    /// Restores the default effect of an interrupt, or none if it is `ignored`. Returns
    /// whether an interrupt has come that was not answered.
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
            // This worked before. If it fails now, the default applies.
            *listener = ctrl_c().ok();
        }
        drop(listener);
        // The new listener has to be polled before it can wake a task.
        let waker = self.waker.take();
        waker.into_iter().for_each(contain::wake);
    }
}
