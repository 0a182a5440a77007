//! Who drives a hub: a task of its runtime, or `Hub::run_until` inside one.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::coop;

use super::core::{Core, DrivenIn, State};
use super::registry;
use super::shared::{Closer, Failure, Shared};
use crate::outside::{self, Surroundings};
use crate::report;
use crate::switch;
use crate::time::helper_sleep;

/// A place among the drivers of a hub. The last one that leaves ends the hub.
///
/// It is `Send`: a runtime may poll and drop its driver on any thread.
#[derive(Debug)]
struct Seat {
    shared: Arc<Shared>,
    key: usize,
    /// The waker that the hub knows.
    waker: Option<Waker>,
    /// Whether its runtime goes on when it leaves.
    in_future: bool,
}

impl Seat {
    fn take(core: &Core, in_future: bool) -> Seat {
        Seat {
            in_future,
            shared: core.shared.clone(),
            key: core.shared.add_driver(),
            waker: None,
        }
    }

    /// Runs one turn of the hub. On a thread that is not the hub's it does
    /// nothing and returns false.
    #[inline]
    fn drive(&mut self, cx: &mut Context<'_>, driven_in: DrivenIn) -> bool {
        if !self.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            self.shared.set_driver_waker(self.key, cx.waker());
            self.waker = Some(cx.waker().clone());
        }
        let driven = registry::with_local(&self.shared, |core| {
            let runs = core.state.get() != State::Ended && self.shared.set_driven();
            if runs {
                core.drive(cx, driven_in);
            }
        });
        driven.is_some()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.shared.remove_driver(self.key) {
            return;
        }
        let ended = registry::with_local(&self.shared, |core| {
            core.end_abruptly();
            if self.in_future {
                registry::retire(core);
            }
        });
        if ended.is_none() && !self.shared.has_ended() {
            self.shared.fail(Failure::Lost);
        }
    }
}

/// The task that drives a hub made on first need, until its runtime is dropped.
#[derive(Debug)]
pub(super) struct Driver {
    seat: Seat,
    shared: Arc<Shared>,
    /// Set while the driver is polled on another thread than the hub's: when it
    /// tries again, since that poll may have used up a wake.
    dormant: Option<Pin<Box<tokio::time::Sleep>>>,
    said_dormant: bool,
}

/// How often a dormant driver looks whether its own thread is back.
const DORMANT: Duration = Duration::from_millis(10);

impl Driver {
    pub(super) fn new(core: &Core) -> Driver {
        Driver {
            seat: Seat::take(core, false),
            shared: core.shared.clone(),
            dormant: None,
            said_dormant: false,
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let driven_in = DrivenIn::Task {
            in_executor: outside::in_executor(),
        };
        if this.seat.drive(cx, driven_in) {
            this.dormant = None;
            return Poll::Pending;
        }
        let shared = &this.shared;
        if shared.fail_unless_driven() {
            return Poll::Ready(());
        }
        let retry = this.dormant.insert(Box::pin(helper_sleep(DORMANT)));
        if pin!(coop::unconstrained(retry.as_mut()))
            .poll(cx)
            .is_ready()
        {
            // The thread was away for so long.
            cx.waker().wake_by_ref();
        }
        if !this.said_dormant {
            this.said_dormant = true;
            report::warn(format_args!(
                "a runtime is driven by another thread than {}, which has its hub: the hub's \
                 fibers stand still until that thread drives the runtime again",
                shared.thread_label(),
            ));
        }
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The runtime is going, whoever else drives the hub: nobody will wake its
        // fibers, or ask for it again.
        let ended = registry::with_local(&self.shared, |core| {
            core.end_abruptly();
            registry::remove(core);
        });
        if ended.is_none() && !self.shared.has_ended() {
            self.shared.fail(Failure::Lost);
        }
    }
}

/// Drives a hub inside the calling task while `future` runs, then closes it.
pub(super) async fn run_until<F: Future>(core: Rc<Core>, future: F) -> F::Output {
    let mut seat = Seat::take(&core, true);
    let mut future = pin!(future);
    let output = poll_fn(|cx| {
        let output = {
            let _driver = switch::enter_driver(&core);
            future.as_mut().poll(cx)
        };
        seat.drive(cx, DrivenIn::Future(Surroundings::now()));
        output
    })
    .await;
    if core.shared.is_last_driver() {
        core.begin_close(None);
        let mut closer = Closer::new(&core.shared);
        poll_fn(|cx| {
            seat.drive(cx, DrivenIn::Future(Surroundings::now()));
            core.poll_end(&mut closer, cx)
        })
        .await;
    }
    output
}

/// Lets a hub that a task drives run until somebody has closed it and it has ended.
pub(super) async fn serve(core: &Rc<Core>) {
    let mut closer = Closer::new(&core.shared);
    poll_fn(|cx| core.poll_served(&mut closer, cx)).await;
}

/// Closes a hub that a task drives, and waits until it has ended.
pub(super) async fn close(core: &Rc<Core>) {
    core.begin_close(None);
    let mut closer = Closer::new(&core.shared);
    poll_fn(|cx| core.poll_end(&mut closer, cx)).await;
}
