//! [`Standby`]: drives the hub of a `run_until` that is not polled.
//!
//! A `run_until` may be forgotten, or kept and not polled. Its hub is open nevertheless, and takes
//! fibers. A task of the hub's runtime therefore steps in if nobody else drives the hub.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::{registry, turn};
use crate::base::Surroundings;
use crate::base::executors::wake_after_io;
use crate::hub::Core;
use crate::shared::Mailbox;

/// How many times everything that is ready, and I/O, has its turn before this task steps in. A
/// `run_until` in a `LocalSet`, which polls 61 tasks at a time, may be queued behind many others. It is
/// better that its own task drives the hub, because only there can fibers call `spawn_local`.
const PATIENCE: u32 = 1_000;

/// The task. It is not counted among the drivers of the hub, and ends after the hub.
#[derive(Debug)]
pub(super) struct Standby {
    mailbox: Arc<Mailbox>,
    key: usize,
    /// The waker that the hub has, which is tokio's.
    waker: Option<Waker>,
    /// The last turn of the hub, and how often this task has seen work for the hub since.
    turn: u64,
    looks: u32,
}

impl Standby {
    pub(super) fn new(core: &Core) -> Standby {
        Standby {
            mailbox: core.mailbox.clone(),
            key: core.mailbox.add_standby(),
            waker: None,
            turn: 0,
            looks: 0,
        }
    }

    fn look(&mut self, core: &Rc<Core>, cx: &mut Context<'_>) -> Poll<()> {
        if !core.is_running() {
            return Poll::Ready(());
        }
        let turn = core.turn.get();
        if self.turn != turn {
            (self.turn, self.looks) = (turn, 0);
        }
        if core.awake.get() || core.mailbox.has_mail() {
            if self.looks == PATIENCE {
                turn::drive(core, cx, Surroundings::in_task());
                self.turn = core.turn.get();
            } else {
                self.looks += 1;
                wake_after_io(cx);
            }
        }
        Poll::Pending
    }
}

impl Future for Standby {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !this.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            this.mailbox.set_driver_waker(this.key, cx.waker());
            this.waker = Some(cx.waker().clone());
        }
        let mailbox = this.mailbox.clone();
        // A thread other than the hub's can do nothing for it.
        registry::with_local(&mailbox, |core| this.look(core, cx)).unwrap_or_else(|| {
            match mailbox.has_ended() || mailbox.failure().is_some() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.mailbox.remove_standby(self.key);
    }
}
