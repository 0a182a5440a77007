//! [`Standby`]: looks after the hub of a `run_until`.
//!
//! A `run_until` may be forgotten, or kept and not polled, while its hub goes on to take fibers. So
//! there is a task of the hub's runtime that drives the hub if nothing else does. When the runtime
//! drops the task, the hub ends, as it does with the task that drives other hubs.
//!
//! To drive a hub too early is harmless, except that fibers cannot call `spawn_local` then if the
//! `run_until` is in a `LocalSet`. So the task waits for a while after the hub was woken, and then
//! lets everything else that is ready have its turn many times: a `LocalSet` polls 61 tasks at a
//! time, and the `run_until` may be behind many others.
//!
//! On a multi-thread runtime the task runs on any thread, so it only ends the hub.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::runtime::RuntimeFlavor;
use tokio::task::coop;
use tokio::time::Sleep;

use super::{registry, turn};
use crate::base::executors::wake_after_io;
use crate::base::{Surroundings, helper};
use crate::hub::{Alarm, Core};
use crate::shared::{CloseWaiter, Mailbox};

/// How long after a wake the hub may be without a turn.
const PATIENCE: Duration = Duration::from_millis(100);

/// How many times everything else that is ready then has its turn.
const LOOKS: u32 = 1_000;

#[derive(Debug)]
pub(super) struct Standby {
    mailbox: Arc<Mailbox>,
    end: CloseWaiter,
    alarm: Arc<Alarm>,
    stage: Stage,
    /// The last turn of the hub that is known.
    turn: u64,
}

#[derive(Debug)]
enum Stage {
    /// The hub has nothing to do. If `drives`, this task was the last that drove it.
    Quiet { drives: bool },
    /// The hub was woken not long ago.
    Patient(Pin<Box<Sleep>>),
    /// The hub has had no turn for long. Everything else has had its turn so many times since.
    Looking(u32),
}

impl Standby {
    /// Spawns the task, if the hub's runtime still takes tasks. Otherwise the hub ends.
    pub(super) fn spawn(core: &Core) {
        let alarm = Arc::new(Alarm::default());
        if core.runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
            core.set_alarm(alarm.clone());
        }
        core.runtime.spawn(Standby {
            mailbox: core.mailbox.clone(),
            end: CloseWaiter::new(&core.mailbox),
            alarm,
            stage: Stage::Quiet { drives: false },
            turn: 0,
        });
    }

    /// Goes on to the next stage. Pending if it has to wait there.
    fn step(&mut self, core: &Rc<Core>, cx: &mut Context<'_>) -> Poll<()> {
        let turn = core.turn.get();
        let was_driven = turn != self.turn;
        let has_work = core.awake.get() || core.mailbox.has_mail();
        match &mut self.stage {
            Stage::Quiet { .. } if !self.alarm.is_raised() => return Poll::Pending,
            Stage::Quiet { drives: true } if !was_driven => self.stage = Stage::Looking(LOOKS - 1),
            Stage::Quiet { .. } => {
                self.turn = turn;
                self.stage = Stage::Patient(Box::pin(helper::sleep(PATIENCE)));
            }
            Stage::Patient(_) => {
                ready!(self.poll_timer(cx));
                self.stage = match was_driven && has_work {
                    true => Stage::Quiet { drives: false },
                    false => Stage::Looking(0),
                };
            }
            Stage::Looking(_) if was_driven || !has_work => self.rest(core, false),
            Stage::Looking(LOOKS) => {
                turn::drive(core, cx, Surroundings::in_task());
                self.turn = core.turn.get();
                if core.awake.get() {
                    // The turn has asked for another poll.
                    return Poll::Pending;
                }
                self.rest(core, true);
            }
            Stage::Looking(looks) => {
                *looks += 1;
                wake_after_io(cx);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Waits for the next wake of the hub.
    fn rest(&mut self, core: &Core, drives: bool) {
        self.alarm.lower();
        if core.awake.get() || core.mailbox.has_mail() {
            // The hub was woken before the alarm was lowered.
            self.alarm.raise();
        }
        self.stage = Stage::Quiet { drives };
    }

    /// Looks again later, because another thread than the hub's polls this.
    fn look_later(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.alarm.is_raised() {
            self.stage = Stage::Patient(Box::pin(helper::sleep(PATIENCE)));
            return self.poll_timer(cx);
        }
        Poll::Pending
    }

    /// Ready if the hub was not woken just now.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stage {
            Stage::Patient(timer) => pin!(coop::unconstrained(timer.as_mut())).poll(cx),
            _ => Poll::Ready(()),
        }
    }
}

impl Future for Standby {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.end.register(cx);
        this.alarm.register(cx);
        let mailbox = this.mailbox.clone();
        loop {
            if mailbox.has_ended() {
                return Poll::Ready(());
            }
            match registry::with_local(&mailbox, |core| this.step(core, cx)) {
                Some(stepped) => ready!(stepped),
                None => ready!(this.look_later(cx)),
            }
        }
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        if !self.mailbox.has_ended() {
            registry::end_for_good(&self.mailbox);
        }
    }
}
