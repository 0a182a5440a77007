//! [`Driver`]: what polls a hub. This is a task of the hub's runtime, or [`run_until`] inside one.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::coop;
use tokio::time::Instant;

use super::end::end_abruptly;
use super::standby::Standby;
use super::{closed, closing, registry, retired, turn};
use crate::base::helper::{self, HelperSleep};
use crate::base::{Surroundings, Timeout, contain, report};
use crate::current::place;
use crate::hub::{Alarm, Core};
use crate::shared::{CloseWaiter, Mailbox};

/// A driver of a hub. A hub may have several, and the last one that is dropped ends it.
///
/// It is `Send`, because a runtime may poll and drop it on any thread.
#[derive(Debug)]
struct Driver {
    mailbox: Arc<Mailbox>,
    key: usize,
    kind: Kind,
    /// Raised when the hub is woken, if a task stands by.
    alarm: Option<Arc<Alarm>>,
    /// The waker of the last poll, which the hub has too.
    waker: Option<Waker>,
    /// The surroundings of the last poll.
    polled_in: Option<Surroundings>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A task, which the runtime drops when it ends. After that no code wakes the hub's fibers or
    /// asks for the hub again, even if another driver still runs it.
    Task,
    /// A `run_until`. The runtime continues after it.
    Future,
}

impl Driver {
    fn new(core: &Core, kind: Kind) -> Driver {
        Driver {
            mailbox: core.mailbox.clone(),
            key: core.mailbox.add_driver(),
            kind,
            alarm: None,
            waker: None,
            polled_in: None,
        }
    }

    /// Has a task stand by for a `run_until` that may not be polled to its end, unless a task drives the
    /// hub anyway.
    fn stand_by(&mut self, core: &Core) {
        let alarm = core.alarm.get_or_init(|| Standby::spawn(core));
        if self.alarm.is_none() && alarm.is_some() {
            self.alarm = alarm.clone();
            // The next poll gives the hub another one.
            contain::drop_waker(self.waker.take());
        }
    }

    /// Runs one turn of the hub. On another thread than the hub's, does nothing and returns false.
    #[inline]
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        let known = self.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker()));
        if !known {
            let waker = contain::clone_waker(cx.waker());
            let old = self.waker.replace(contain::clone_waker(&waker));
            let waker = match &self.alarm {
                Some(alarm) => alarm.before(waker),
                None => waker,
            };
            self.mailbox.set_driver_waker(self.key, waker);
            contain::drop_waker(old);
        }
        let here = match self.kind {
            Kind::Task => Surroundings::in_task(),
            Kind::Future => Surroundings::anywhere(self.polled_in.filter(|_| known)),
        };
        self.polled_in = Some(here);
        let driven = registry::with_local(&self.mailbox, |core| {
            if !core.is_running() {
                return;
            }
            if !self.mailbox.set_driven() {
                // It has failed, and nothing else would end its fibers.
                end_abruptly(core);
            } else {
                turn::drive(core, cx, here);
                if let Some(alarm) = self.alarm.as_ref().filter(|_| core.awake.get()) {
                    // The turn has asked for another poll, which may not come.
                    alarm.raise();
                }
            }
        });
        driven.is_some()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let is_last = self.mailbox.remove_driver(self.key);
        contain::drop_waker(self.waker.take());
        if !is_last && self.kind == Kind::Future {
            return;
        }
        if self.kind == Kind::Future {
            registry::with_local(&self.mailbox, |core| retired::add(&core.runtime));
        }
        registry::end_for_good(&self.mailbox);
    }
}

/// The task that drives a hub from its making until its runtime is dropped.
#[derive(Debug)]
pub(super) struct DriverTask {
    driver: Driver,
    /// The timer for the next try, set while the driver is polled on another thread than the hub's.
    /// It is needed because such a poll may have used up a wake.
    dormant: Option<HelperSleep>,
    said_dormant: bool,
}

/// How often a dormant driver checks whether its own thread is back.
const DORMANT: Duration = Duration::from_millis(10);

impl DriverTask {
    pub(super) fn new(core: &Core) -> DriverTask {
        let set = core.alarm.set(None);
        debug_assert!(set.is_ok(), "the task is the first driver");
        DriverTask {
            driver: Driver::new(core, Kind::Task),
            dormant: None,
            said_dormant: false,
        }
    }

    /// Handles a poll on another thread than the hub's.
    #[cold]
    fn sleep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mailbox = &self.driver.mailbox;
        if mailbox.fail_unless_driven() {
            return Poll::Ready(());
        }
        let retry = self.dormant.insert(helper::sleep(DORMANT));
        let retry = pin!(coop::unconstrained(retry));
        if retry.poll(cx).is_ready() {
            // The hub's thread has been away for that long.
            contain::wake_by_ref(cx.waker());
        }
        if !self.said_dormant {
            self.said_dormant = true;
            report::warn(format_args!(
                "a runtime is driven by another thread than {}, which has its hub: the hub's \
                 fibers stand still until that thread drives the runtime again",
                mailbox.thread_label(),
            ));
        }
        Poll::Pending
    }
}

impl Future for DriverTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.driver.drive(cx) {
            this.dormant = None;
            return Poll::Pending;
        }
        this.sleep(cx)
    }
}

/// Drives a hub inside the calling task while `future` runs, then closes it.
pub(super) async fn run_until<F: Future>(core: Rc<Core>, future: F) -> F::Output {
    let mut driver = Driver::new(&core, Kind::Future);
    let mut future = pin!(future);
    let output = poll_fn(|cx| {
        let output = {
            let _driver = place::enter_driver(&core);
            future.as_mut().poll(cx)
        };
        if output.is_pending() {
            driver.stand_by(&core);
        }
        driver.drive(cx);
        output
    })
    .await;
    if core.mailbox.has_one_driver() {
        closing::begin(&core, None);
        if !closed::has_closed(&core) {
            driver.stand_by(&core);
        }
        let waiter = CloseWaiter::new(&core.mailbox);
        poll_fn(|cx| {
            driver.drive(cx);
            closed::poll_end(&core, &waiter, cx)
        })
        .await;
    }
    output
}

/// Lets a hub that a task drives run until it is closed and has ended.
pub(crate) async fn run_until_closed(core: &Rc<Core>) {
    let waiter = CloseWaiter::new(&core.mailbox);
    poll_fn(|cx| closed::poll_served(core, &waiter, cx)).await;
}

/// Closes a hub that a task drives, and waits for its end. At `deadline`, if there is one, the fibers
/// that are left are ended by force.
pub(crate) async fn close(core: &Rc<Core>, deadline: Option<Instant>) {
    closing::begin(core, None);
    let waiter = CloseWaiter::new(&core.mailbox);
    let closed = poll_fn(|cx| closed::poll_end(core, &waiter, cx));
    let Some(deadline) = deadline else {
        return closed.await;
    };
    if Timeout::new(closed, deadline).await.is_err() {
        report::warn(format_args!(
            "fibers did not end within the hub's `close_timeout`, so they are ended by force: {}",
            core.table.names_of(|_| true),
        ));
        end_abruptly(core);
    }
}
