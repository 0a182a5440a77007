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
//! There is none on a multi-thread runtime, whose tasks may be on any thread.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::runtime::RuntimeFlavor;
use tokio::task::coop;

use super::end::end_abruptly;
use super::{closed, registry, turn};
use crate::base::Surroundings;
use crate::base::executors::wake_after_io;
use crate::base::helper::{self, HelperSleep};
use crate::hub::{Alarm, Core};
use crate::shared::{CloseWaiter, Mailbox};

/// How long after a wake the hub may be without a turn.
const PATIENCE: Duration = Duration::from_millis(100);

/// How many times everything else that is ready then has its turn. If that takes as long as [`SLOW`],
/// [`FEW_LOOKS`] are enough.
const LOOKS: u32 = 1_000;
const FEW_LOOKS: u32 = 16;
const SLOW: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Standby {
    mailbox: Arc<Mailbox>,
    end: CloseWaiter,
    alarm: Arc<Alarm>,
    stage: Stage,
    /// The number of the hub's last turn that this has seen.
    turn: u64,
}

#[derive(Debug)]
enum Stage {
    /// The hub has nothing to do. If `drives`, this task was the last that drove it.
    Quiet { drives: bool },
    /// The hub was woken not long ago.
    Patient(HelperSleep),
    /// The hub has had no turn for some time. `looks` counts the scheduler's passes since then.
    Looking { looks: u32, since: Instant },
    /// The hub has had no turn for too long.
    Driving,
}

impl Standby {
    /// Spawns the task. Returns its alarm; `None` if the runtime has no tasks on this thread, or takes
    /// none any more.
    pub(super) fn spawn(core: &Core) -> Option<Arc<Alarm>> {
        if core.runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
            return None;
        }
        let alarm = Arc::new(Alarm::new());
        core.runtime.spawn(Standby {
            mailbox: core.mailbox.clone(),
            end: CloseWaiter::new(&core.mailbox),
            alarm: alarm.clone(),
            stage: Stage::Quiet { drives: false },
            turn: 0,
        });
        alarm.arm();
        let was_refused = Arc::strong_count(&alarm) == 1;
        (!was_refused).then_some(alarm)
    }

    /// Goes on to the next stage. Pending if it has to wait there.
    fn step(&mut self, core: &Rc<Core>, cx: &mut Context<'_>) -> Poll<()> {
        let turn = core.turn.get();
        let was_driven = turn != self.turn;
        let has_work = core.awake.get() || core.mailbox.has_mail();
        match &mut self.stage {
            Stage::Quiet { .. } if !self.alarm.is_raised() => return Poll::Pending,
            Stage::Quiet { drives: true } if !was_driven => {
                // One look is enough this time.
                self.stage = Stage::Driving;
                wake_after_io(cx);
                return Poll::Pending;
            }
            Stage::Quiet { .. } => {
                self.turn = turn;
                self.be_patient();
            }
            Stage::Patient(_) => {
                ready!(self.poll_timer(cx));
                self.stage = match was_driven && has_work {
                    true => Stage::Quiet { drives: false },
                    false => Stage::looking(),
                };
            }
            Stage::Looking { .. } | Stage::Driving if was_driven || !has_work => {
                self.rest(core, false);
            }
            Stage::Looking { looks, since } => {
                *looks += 1;
                let is_slow = *looks >= FEW_LOOKS && since.elapsed() >= SLOW;
                if is_slow || *looks == LOOKS {
                    self.stage = Stage::Driving;
                }
                wake_after_io(cx);
                return Poll::Pending;
            }
            Stage::Driving => {
                turn::drive(core, cx, Surroundings::in_task());
                self.turn = core.turn.get();
                if core.awake.get() {
                    // The turn has asked for another poll.
                    return Poll::Pending;
                }
                if closed::is_stuck(core) {
                    // The `run_until` would have ended it.
                    end_abruptly(core);
                }
                self.rest(core, true);
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

    /// Gives the hub some time. Where there is no timer for that, begins to look at once.
    fn be_patient(&mut self) {
        self.stage = match helper::try_sleep(PATIENCE) {
            Ok(timer) => Stage::Patient(timer),
            Err(_) => Stage::looking(),
        };
    }

    /// Looks again later, because another thread than the hub's polls this.
    fn look_later(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.alarm.is_raised() {
            self.be_patient();
            match self.stage {
                Stage::Patient(_) => return self.poll_timer(cx),
                _ => wake_after_io(cx),
            }
        }
        Poll::Pending
    }

    /// Ready if enough time has passed.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stage {
            Stage::Patient(timer) => pin!(coop::unconstrained(timer)).poll(cx),
            _ => Poll::Ready(()),
        }
    }
}

impl Stage {
    fn looking() -> Stage {
        Stage::Looking {
            looks: 0,
            since: Instant::now(),
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
        if self.alarm.is_armed() && !self.mailbox.has_ended() {
            registry::end_for_good(&self.mailbox);
        }
    }
}
