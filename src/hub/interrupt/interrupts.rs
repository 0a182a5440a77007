//! Ctrl-C, under [`run`](crate::run) on the main thread.
//!
//! | an interrupt that comes | does |
//! |---|---|
//! | while no hub listens | what it does by default: it ends the process |
//! | while one listens | cancels its root fiber |
//! | while the one before has not been delivered | ends the process, as by default |
//! | while the hub that listens ignores it | nothing |
//!
//! The third must hold while the hub's thread is stuck, so it is decided where
//! the system reports the interrupt, in [`sys`]. The rest is done on the hub's
//! thread: when the runtime is woken for it, and before each turn of the hub, so
//! that a fiber that gives way gets it at that very wait.

use std::cell::{Cell, OnceCell};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;

use super::sys;
use crate::base::report;
use crate::shared::FiberRef;

/// The interrupts that a hub listens for.
#[derive(Debug)]
pub(crate) struct Interrupts {
    signal: sys::Signal,
    root: OnceCell<FiberRef>,
    /// Whether the root was sent a cancel that it has not been given yet.
    sent: Cell<bool>,
    /// Whether it was said that one came too late.
    was_late: Cell<bool>,
    ignored: Cell<bool>,
    over: Cell<bool>,
}

/// Whether a hub listens. There is one main thread, but a program may call others
/// so, and may run a hub while the runtime of another is dropped.
static LISTENING: AtomicBool = AtomicBool::new(false);

impl Interrupts {
    /// What the root fiber was given is the answer to the last interrupt, if it
    /// was sent one.
    pub(crate) fn delivered(&self, fiber: &FiberRef) {
        let is_root = matches!(self.root.get(), Some(root) if FiberRef::ptr_eq(root, fiber));
        if is_root && self.sent.replace(false) {
            self.signal.answered();
        }
    }

    /// Cancels the root fiber if an interrupt has come.
    #[inline]
    pub(crate) fn notice(&self) {
        if !self.over.get() && self.signal.has_come() {
            self.send();
        }
    }

    #[cold]
    fn send(&self) {
        let Some(root) = self.root.get() else {
            return;
        };
        if !self.sent.get() && root.cancel(Some("interrupted".into())) {
            self.sent.set(true);
        }
    }

    pub(crate) fn set_ignored(&self, ignored: bool) {
        if self.over.get() || self.ignored.replace(ignored) == ignored {
            return;
        }
        // What came before still counts.
        self.notice();
        if let Err(e) = self.signal.set_ignored(ignored) {
            warn_of(&e);
        }
    }

    /// Says, once, that an interrupt came when the root had ended.
    fn warn_late(&self, so: impl FnOnce() -> String) {
        if !self.was_late.replace(true) {
            report::warn(format_args!(
                "Ctrl-C came too late for the root fiber, which has ended{}",
                so(),
            ));
        }
    }
}

/// Listens for interrupts, on behalf of a hub, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener(Option<Rc<Interrupts>>);

impl Listener {
    /// Listens if this is the main thread. Needs a current runtime.
    pub(crate) fn new(ignored: bool) -> Listener {
        let is_main = thread::current().name() == Some("main");
        if !is_main || LISTENING.swap(true, Ordering::AcqRel) {
            return Listener(None);
        }
        match sys::Signal::listen(ignored) {
            Ok(signal) => Listener(Some(Rc::new(Interrupts {
                signal,
                root: OnceCell::new(),
                sent: Cell::new(false),
                was_late: Cell::new(false),
                ignored: Cell::new(ignored),
                over: Cell::new(false),
            }))),
            Err(e) => {
                LISTENING.store(false, Ordering::Release);
                warn_of(&e);
                Listener(None)
            }
        }
    }

    /// From now on, interrupts cancel `root`. Its hub is to notice them too.
    pub(crate) fn cancels(&self, root: FiberRef) -> Option<Rc<Interrupts>> {
        let interrupts = self.0.as_ref()?;
        let set = interrupts.root.set(root);
        debug_assert!(set.is_ok(), "a hub has one root");
        Some(interrupts.clone())
    }

    /// Waits for `future`; interrupts cancel the root meanwhile.
    pub(crate) async fn beside<F: Future>(&self, future: F) -> F::Output {
        self.beside_with(future, |_| {}).await
    }

    /// As [`beside`](Self::beside), when the root has ended: an interrupt is
    /// reported, with the names of the fibers that are left.
    pub(crate) async fn beside_close<F: Future>(
        &self,
        future: F,
        names: impl Fn() -> Vec<String>,
    ) -> F::Output {
        self.beside_with(future, |interrupts| {
            if interrupts.signal.has_come() {
                interrupts.warn_late(|| {
                    let names = names().join(", ");
                    format!("; its hub closes, pressed again it ends the process; alive: {names}")
                });
            }
        })
        .await
    }

    async fn beside_with<F: Future>(&self, future: F, noticed: impl Fn(&Interrupts)) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            if let (Poll::Pending, Some(interrupts)) = (&polled, &self.0) {
                interrupts.signal.poll(cx);
                interrupts.notice();
                noticed(interrupts);
            }
            polled
        })
        .await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(interrupts) = &self.0 {
            interrupts.over.set(true);
            let has_come = interrupts.signal.stop(interrupts.ignored.get());
            LISTENING.store(false, Ordering::Release);
            if has_come {
                interrupts.warn_late(String::new);
            }
        }
    }
}

fn warn_of(error: &io::Error) {
    report::warn(format_args!(
        "cannot listen for Ctrl-C, which will not reach the root fiber: {error}"
    ));
}
