//! Handles Ctrl-C under [`run`](crate::run) on the main thread.
//!
//! | when an interrupt comes | the interrupt |
//! |---|---|
//! | while no hub listens | ends the process, as by default |
//! | while a hub listens | cancels the hub's root fiber |
//! | while the previous one has not been delivered | ends the process, as by default |
//! | while the listening hub ignores interrupts | has no effect |
//!
//! The third rule must hold even while the hub's thread is stuck, so it is applied where
//! the system reports the interrupt, in [`sys`]. The rest happens on the hub's thread: when
//! the runtime is woken for the interrupt, before each turn of the hub, and before
//! each resume of the root, so that a root that yields or is woken is cancelled at that very wait.

#[cfg(unix)]
use std::cell::RefCell;
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
use crate::shared::{FiberNames, FiberRef};

/// The interrupts that a hub listens for.
#[derive(Debug)]
pub(crate) struct Interrupts {
    signal: sys::Signal,
    root: OnceCell<FiberRef>,
    /// Reports which fiber has the thread, as long as an interrupt is not answered.
    #[cfg(unix)]
    teller: RefCell<Option<sys::Teller>>,
    /// Whether the root was sent a cancel that has not been delivered yet.
    sent: Cell<bool>,
    /// Whether the root was given the cancel of an interrupt.
    was_delivered: Cell<bool>,
    /// Whether the next interrupt ends the process, although none has come.
    lets_end: Cell<bool>,
    /// Whether a late interrupt has been reported.
    was_late: Cell<bool>,
    ignored: Cell<bool>,
    over: Cell<bool>,
}

/// Whether a hub listens. There is one main thread, but a program may give other threads
/// the same name, and may run a hub while the runtime of another is dropped.
static LISTENING: AtomicBool = AtomicBool::new(false);

impl Interrupts {
    /// Records that `fiber` was given a cancel. If it is the root fiber, the last interrupt
    /// has been answered.
    pub(crate) fn delivered(&self, fiber: &FiberRef) {
        let is_root = matches!(self.root.get(), Some(root) if FiberRef::ptr_eq(root, fiber));
        if is_root && self.sent.replace(false) {
            self.was_delivered.set(true);
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
        // An interrupt that came earlier still counts.
        self.notice();
        if let Err(e) = self.signal.set_ignored(ignored) {
            warn_of(&e);
        }
    }

    /// Reports, once, that an interrupt came after the root had ended.
    fn warn_late(&self, so: impl FnOnce() -> String) {
        if !self.was_late.replace(true) {
            report::warn(format_args!(
                "Ctrl-C came too late for the root fiber, which has ended{}",
                so(),
            ));
        }
    }
}

/// Listens for interrupts on behalf of a hub, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener(Option<Rc<Interrupts>>);

impl Listener {
    /// Listens if this is the main thread. A runtime must be current.
    pub(crate) fn new(ignored: bool) -> Listener {
        let is_main = thread::current().name() == Some("main");
        if !is_main || LISTENING.swap(true, Ordering::AcqRel) {
            return Listener(None);
        }
        match sys::Signal::listen(ignored) {
            Ok(signal) => Listener(Some(Rc::new(Interrupts {
                signal,
                root: OnceCell::new(),
                #[cfg(unix)]
                teller: RefCell::new(None),
                sent: Cell::new(false),
                was_delivered: Cell::new(false),
                lets_end: Cell::new(false),
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

    /// Makes interrupts cancel `root` from now on. The hub has to check the returned
    /// interrupts too.
    pub(crate) fn cancels(&self, root: FiberRef) -> Option<Rc<Interrupts>> {
        let interrupts = self.0.as_ref()?;
        #[cfg(unix)]
        match sys::Teller::start(tell_who_has_the_thread(root.clone())) {
            Ok(teller) => drop(interrupts.teller.replace(Some(teller))),
            Err(e) => warn_of(&e),
        }
        let set = interrupts.root.set(root);
        debug_assert!(set.is_ok(), "a hub has one root");
        Some(interrupts.clone())
    }

    /// Waits for `future`; interrupts cancel the root meanwhile.
    pub(crate) async fn beside<F: Future>(&self, future: F) -> F::Output {
        self.beside_with(future, |_| {}).await
    }

    /// Like [`beside`](Self::beside), for a hub whose root has ended: an interrupt is
    /// reported, with the names of the fibers that are left.
    pub(crate) async fn beside_close<F: Future>(
        &self,
        future: F,
        names: impl Fn() -> FiberNames,
    ) -> F::Output {
        self.beside_with(future, |interrupts| {
            if interrupts.signal.has_come() {
                interrupts.warn_late(|| {
                    let names = names();
                    format!("; its hub closes, pressed again it ends the process; alive: {names}")
                });
            }
        })
        .await
    }

    /// If an interrupt has come, lets the next one end the process, unless they are ignored. Returns
    /// whether one has come.
    pub(crate) fn let_end_process(&self) -> bool {
        let Some(interrupts) = &self.0 else {
            return false;
        };
        let has_come = interrupts.signal.has_come();
        if has_come {
            interrupts.warn_late(String::new);
        }
        let was_interrupted = has_come || interrupts.was_delivered.get();
        if was_interrupted && !interrupts.ignored.get() {
            interrupts.lets_end.set(true);
            interrupts.signal.let_end_process();
        }
        was_interrupted
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
            #[cfg(unix)]
            drop(interrupts.teller.take());
            let has_come = interrupts.signal.stop(interrupts.ignored.get());
            LISTENING.store(false, Ordering::Release);
            if has_come && !interrupts.lets_end.get() {
                interrupts.warn_late(String::new);
            }
        }
    }
}

/// Returns what a [`Teller`](sys::Teller) calls: it reports the fiber that has the thread of this root's
/// hub, if that is the same one as at its last look, and then returns false.
#[cfg(unix)]
fn tell_who_has_the_thread(root: FiberRef) -> impl FnMut() -> bool + Send {
    let mut seen = None;
    move || {
        let hub = root.mailbox();
        // Before the fiber: if it is the same as before, no fiber was resumed in between.
        let resumes = hub.running.resumes();
        let last = seen.replace(resumes);
        let Some(fiber) = FiberRef::running(hub) else {
            return true;
        };
        if last != Some(resumes) {
            return true;
        }
        seen = None;
        report::warn(format_args!(
            "Ctrl-C has come, but fiber {} '{}', spawned at {}, has the thread of hub '{}', so the root \
             fiber is not cancelled yet; pressed again, Ctrl-C ends the process",
            fiber.id(),
            fiber.name(),
            fiber.origin().place,
            hub.name(),
        ));
        false
    }
}

fn warn_of(error: &io::Error) {
    report::warn(format_args!(
        "cannot listen for Ctrl-C, which will not reach the root fiber: {error}"
    ));
}

#[cfg(all(test, unix))]
mod tests {
    use crate::{Wait, run, spawn, yield_now};

    use super::*;

    #[test]
    fn a_fiber_is_reported_that_has_the_thread_at_two_looks() {
        run(|| {
            let root = crate::current_fiber().unwrap().0;
            let mut looks = tell_who_has_the_thread(root);
            assert!(looks());
            yield_now().wait();
            assert!(looks(), "it was resumed in between");
            assert!(!looks());
        })
        .unwrap();
    }

    #[test]
    fn a_hub_that_runs_no_fiber_is_not_reported() {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let root = spawn(|| std::future::pending::<()>().wait());
            yield_now().await;
            let mut looks = tell_who_has_the_thread(root.handle().0);
            assert!((0..10).all(|_| looks()));
        });
    }
}
