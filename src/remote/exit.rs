//! [`Exit`]: tells waiters that the thread of a hub has ended.

use std::any::Any;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::panicking;

use crate::base::lock::{Mutex, lock};
use crate::base::{OwnKey, WakerList, contain};

/// The exit state of a hub's thread.
pub(super) struct Exit {
    state: Mutex<State>,
    waiting: WakerList,
}

#[derive(Default)]
struct State {
    way: Option<Way>,
    /// The payload of the thread's panic, until it is taken.
    panic: Option<Box<dyn Any + Send>>,
}

/// The way in which a thread has left its hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The thread is ending, and runs no more user code.
    Over,
    /// The thread stays parked for ever.
    Parked,
}

thread_local! {
    /// Set before every other thread-local of the thread, so that it is destroyed last.
    static FAREWELL: OnceCell<Farewell> = const { OnceCell::new() };
}

/// Reports the end of its thread when it is dropped.
struct Farewell(Arc<Exit>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.leave(Way::Over);
    }
}

impl Default for Exit {
    fn default() -> Exit {
        Exit {
            state: Mutex::new(State::default()),
            waiting: WakerList::new(),
        }
    }
}

impl Exit {
    /// Arranges that the end of the calling thread is reported. Must be called before
    /// anything else on that thread.
    pub(super) fn tell_at_end(exit: &Arc<Exit>) {
        FAREWELL.with(|farewell| {
            let _ = farewell.set(Farewell(exit.clone()));
        });
    }

    /// Records that the thread has left its hub, and wakes the waiters.
    pub(super) fn leave(&self, way: Way) {
        lock(&self.state).way = Some(way);
        self.waiting.close();
    }

    pub(super) fn set_panic(&self, payload: Box<dyn Any + Send>) {
        lock(&self.state).panic = Some(payload);
    }

    /// Takes the payload of the thread's panic, if it has not been taken. Returns `None`
    /// while the calling thread is panicking, because the panic cannot be resumed there.
    pub(super) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        if panicking() {
            return None;
        }
        lock(&self.state).panic.take()
    }

    pub(super) fn way(&self) -> Option<Way> {
        lock(&self.state).way
    }
}

impl Drop for Exit {
    fn drop(&mut self) {
        if let Some(payload) = self.take_panic() {
            contain::run("the drop of a panic's payload", || drop(payload));
        }
    }
}

impl fmt::Debug for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exit").field(&self.way()).finish()
    }
}

/// A waiter for the end of a thread.
#[derive(Debug)]
pub(super) struct ExitWaiter {
    exit: Arc<Exit>,
    key: OwnKey,
}

impl ExitWaiter {
    pub(super) fn new(exit: &Arc<Exit>) -> ExitWaiter {
        ExitWaiter {
            exit: exit.clone(),
            key: OwnKey::default(),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Way> {
        self.exit.waiting.leave(&self.key, cx.waker());
        match self.exit.way() {
            Some(way) => Poll::Ready(way),
            None => Poll::Pending,
        }
    }
}

impl Drop for ExitWaiter {
    fn drop(&mut self) {
        self.exit.waiting.forget(&self.key);
    }
}

#[cfg(all(test, switchback_loom))]
mod loom_tests {
    use std::future::poll_fn;

    use loom::future::block_on;
    use loom::thread;

    use super::*;

    #[test]
    fn all_who_wait_for_the_end_of_a_thread_are_told() {
        loom::model(|| {
            let exit = Arc::new(Exit::default());
            let other = {
                let exit = exit.clone();
                thread::spawn(move || {
                    let mut waiter = ExitWaiter::new(&exit);
                    assert_eq!(block_on(poll_fn(|cx| waiter.poll(cx))), Way::Over);
                })
            };
            let leaves = {
                let exit = exit.clone();
                thread::spawn(move || exit.leave(Way::Over))
            };
            let mut waiter = ExitWaiter::new(&exit);
            assert_eq!(block_on(poll_fn(|cx| waiter.poll(cx))), Way::Over);
            leaves.join().unwrap();
            other.join().unwrap();
        });
    }
}
