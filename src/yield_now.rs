//! [`yield_now`], which is also what a sleep of zero uses.

use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::panicking;

use crate::base::executors::{wake_contained_after_io, wake_in_task};
use crate::base::lock::{Mutex, lock};
use crate::base::{IoWaiter, contain};
use crate::cancel::{OnInterrupt, interrupt};
use crate::current::place::{Frame, Place};
use crate::current::{
    Resumer, SiteKind, StackState, WaitSite, refuse_other_runtime, suspend, with_place,
};
use crate::hub::{Core, Ready, Ticket};
use crate::scheduler::{attach, intake, registry};
use crate::shared::{FiberRef, Mailbox};
use crate::wait::wait_at;

/// Lets everything that is ready now run first. Use `yield_now().wait()` in a fiber and
/// `yield_now().await` in async code.
///
/// In async code on a thread that has a hub, it goes through the hub's queue, so it comes after the
/// fibers that are ready. Elsewhere it is tokio's own [`yield_now`](tokio::task::yield_now).
///
/// Fibers that yield for ever starve nothing else: I/O, timers and tokio's tasks get their turn in
/// between.
///
/// # Cancel safety
///
/// Nothing is lost if it is cancelled or dropped.
///
/// # Examples
///
/// ```
/// use switchback::{prelude::*, spawn, yield_now};
///
/// # switchback::run(|| {
/// let mut counter = spawn(|| {
///     for i in 0..3 {
///         println!("{i}");
///         yield_now().wait();
///     }
/// });
/// # counter.join().wait().unwrap();
/// # }).unwrap();
/// ```
#[doc(alias = "Gosched")]
#[doc(alias = "yield")]
pub fn yield_now() -> YieldNow {
    YieldNow(State::New)
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct YieldNow(State);

#[derive(Debug)]
enum State {
    New,
    Queued(QueuePosition),
    /// There is no hub here, and tokio was asked to wake the task later.
    Deferred,
}

impl YieldNow {
    /// Waits until everything that is ready now has run. This is [`Wait::wait`](crate::Wait::wait)
    /// for the one future that a fiber can wait for without polling it.
    ///
    /// # Panics
    ///
    /// As for [`Wait::wait`](crate::Wait::wait).
    #[track_caller]
    #[inline(always)]
    pub fn wait(self) {
        if !matches!(self.0, State::New) {
            return self.wait_as_any_future(WaitSite::here(CALL).kind);
        }
        // Before its first poll it holds nothing. It is forgotten here, and made anew where it is polled:
        // otherwise it would take room in the caller's frame, and code to drop it.
        mem::forget(self);
        let site = WaitSite::here(CALL);
        let frame = Frame::new();
        if let Place::Stack(state) = frame.place() {
            if let Resumer::Hub { fiber, hub } = &state.resumer {
                return wait_in_queue(state, fiber, hub);
            }
        }
        yield_now().wait_as_any_future(site.kind);
    }

    #[cold]
    #[track_caller]
    fn wait_as_any_future(self, kind: SiteKind) {
        wait_at(WaitSite { kind, call: CALL }, self);
    }
}

const CALL: &str = "`.wait()`";

/// Gives way without a poll: the fiber suspends and continues when its turn comes. An interrupt is
/// left to the slow path, and so is a fiber that has an entry in the queue already.
///
/// A fiber that has none is queued behind everything that is ready, and the hub resumes it when that
/// entry's turn has come, so the fiber need not look at the queue again. (The end of the hub resumes
/// it earlier, with an interrupt.)
///
/// It is not recorded as a wait, which would touch one more line of the stack.
#[track_caller]
#[inline(always)]
fn wait_in_queue(state: &StackState, fiber: &FiberRef, hub: &Core) {
    // Read from the stack's state, which a resume uses anyway, so that no pointer is kept in the frame.
    let is_calm = || state.resumer.interrupts() == 0 && state.deadlines.is_empty();
    let part = hub.part(fiber);
    if is_calm() && !part.queued.get() && hub.is_running() && !panicking() {
        if state.yields_in_other_runtime(Location::caller()) {
            refuse_other_runtime("a wait");
        }
        suspend::give_way_calmly(state, part);
        if !is_calm() {
            gave_way_to_interrupt(state);
        }
        return;
    }
    wait_in_queue_slowly(state, hub);
}

/// Handles the interrupt that has arrived while the fiber gave way. If it is held off, nothing is left
/// to wait for.
#[cold]
#[track_caller]
fn gave_way_to_interrupt(state: &StackState) {
    suspend::resumed(state);
    if let Some(interrupt) = interrupt::take(state, false, OnInterrupt::Unwind) {
        interrupt.throw();
    }
}

#[cold]
#[track_caller]
fn wait_in_queue_slowly(state: &StackState, hub: &Core) {
    let ticket = hub.ticket();
    let mut may_unwind = panicking();
    loop {
        if let Some(interrupt) = interrupt::take(state, may_unwind, OnInterrupt::Unwind) {
            interrupt.throw();
        }
        if hub.has_passed(ticket) || !hub.is_running() {
            return;
        }
        if state.resumer.is_in_other_runtime() {
            refuse_other_runtime("a wait");
        }
        state.give_way();
        may_unwind = suspend::pause(state);
    }
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            State::New => {
                self.0 = match QueuePosition::last() {
                    Some(mut position) => {
                        position.queue(cx);
                        State::Queued(position)
                    }
                    None => {
                        wake_contained_after_io(cx);
                        State::Deferred
                    }
                };
                Poll::Pending
            }
            State::Queued(position) => position.poll_passed(cx),
            State::Deferred => Poll::Ready(()),
        }
    }
}

/// A position in the ready queue of a hub, behind everything that was ready when the position was
/// taken.
#[derive(Debug)]
enum QueuePosition {
    /// The fiber that polls has this position in the queue of its own hub, which has this number.
    Own { hub: u64, ticket: Ticket },
    /// A task has this position in the queue of `hub`. Its waker is queued there.
    Of {
        hub: Arc<Mailbox>,
        ticket: Ticket,
        queued: Queued,
    },
}

impl QueuePosition {
    /// Returns the last position in the queue of the hub that continues when the running code gives
    /// way, if there is such a hub.
    #[inline]
    fn last() -> Option<QueuePosition> {
        let own = with_own_hub(|_, core| QueuePosition::Own {
            hub: core.number,
            ticket: core.ticket(),
        });
        own.or_else(QueuePosition::last_for_task)
    }

    #[cold]
    fn last_for_task() -> Option<QueuePosition> {
        let core = attach::driven_here()?;
        intake::take(&core, 0);
        if !core.is_running() {
            // A request that was taken in has closed the hub, which will not handle this position.
            return None;
        }
        Some(QueuePosition::Of {
            hub: core.mailbox.clone(),
            ticket: core.ticket(),
            queued: Queued(None),
        })
    }

    /// Arranges for `cx` to be woken from the end of the queue.
    #[inline]
    fn queue(&mut self, cx: &mut Context<'_>) {
        match self {
            QueuePosition::Own { .. } => {
                let given = with_own_hub(|state, _| {
                    let own = state.fiber().is_some_and(|own| own.is_waker(cx.waker()));
                    if own {
                        state.give_way();
                    }
                    own
                });
                if given != Some(true) {
                    // This is the waker of a combinator, which wakes the fiber's.
                    contain::wake_by_ref(cx.waker());
                }
            }
            QueuePosition::Of { hub, queued, .. } => {
                // The entry of an earlier poll may still be in the queue.
                let known = queued.0.as_ref();
                if !known.is_some_and(|known| known.will_wake(cx.waker())) {
                    let old = queued.0.replace(contain::clone_waker(cx.waker()));
                    contain::drop_waker(old);
                    let entry = Ready::Waker(contain::clone_waker(cx.waker()));
                    let _ = registry::with_local(hub, |core| core.push(entry));
                }
            }
        }
    }

    /// Ready if the queue has reached this position. If not, `cx` is woken again.
    #[inline]
    fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let before = match self {
            QueuePosition::Own { hub, ticket } => with_own_hub(|_, core| {
                core.number == *hub && core.is_running() && !core.has_passed(*ticket)
            }),
            QueuePosition::Of { hub, ticket, .. } => attach::driven_here()
                .map(|core| Arc::ptr_eq(&core.mailbox, hub) && !core.has_passed(*ticket)),
        };
        // Otherwise the queue has passed the position, or the future was moved to code that cannot
        // wait in this queue.
        if before != Some(true) {
            return Poll::Ready(());
        }
        self.queue(cx);
        Poll::Pending
    }
}

/// The waker that is in the queue, if one is.
#[derive(Debug)]
struct Queued(Option<Waker>);

impl Drop for Queued {
    fn drop(&mut self) {
        contain::drop_waker(self.0.take());
    }
}

/// Calls `f` with the fiber that polls and its hub, if a fiber polls.
#[inline]
fn with_own_hub<R>(f: impl FnOnce(&StackState, &Rc<Core>) -> R) -> Option<R> {
    with_place(|place| match place {
        Place::Poll(state) => state.hub().map(|hub| f(state, hub)),
        _ => None,
    })
}

/// A future that is ready after everything that is ready now, and after a poll for I/O.
#[derive(Debug, Default)]
pub(crate) struct AfterIo {
    state: Option<(IoWaiter, Option<QueuePosition>)>,
}

impl AfterIo {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.state.is_none() {
            let mut waiter = IoWaiter::new();
            let position = QueuePosition::last();
            let polled = poll_io(&mut waiter, position.as_ref(), cx);
            self.state = Some((waiter, position));
            if polled.is_pending() {
                return Poll::Pending;
            }
            // The waker's `clone` has waited, and tokio has polled for I/O meanwhile.
        }
        let Some((waiter, position)) = &mut self.state else {
            unreachable!("it was set above")
        };
        ready!(poll_io(waiter, position.as_ref(), cx));
        match position {
            Some(position) => position.poll_passed(cx),
            None => Poll::Ready(()),
        }
    }
}

/// Polls the waiter for tokio's poll for I/O. Tokio wakes it in the middle of its own work, where a
/// waker of the user's must not run, so a task is woken by its hub.
fn poll_io(
    waiter: &mut IoWaiter,
    position: Option<&QueuePosition>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    match position {
        Some(QueuePosition::Of { hub, .. }) => {
            let queued = Arc::new(WokenByHub {
                hub: hub.clone(),
                waker: Mutex::new(Some(contain::clone_waker(cx.waker()))),
            });
            waiter.poll(&mut Context::from_waker(&Waker::from(queued)))
        }
        _ => waiter.poll(cx),
    }
}

/// A waker that has the hub wake a task. It neither clones nor drops the task's waker when it is
/// called.
struct WokenByHub {
    hub: Arc<Mailbox>,
    waker: Mutex<Option<Waker>>,
}

impl Wake for WokenByHub {
    fn wake(self: Arc<Self>) {
        let Some(waker) = lock(&self.waker).take() else {
            return;
        };
        let mut waker = Some(waker);
        registry::with_local(&self.hub, |core| {
            if core.is_running() {
                core.push(Ready::Waker(waker.take().expect("this runs once")));
            }
        });
        if let Some(waker) = waker {
            wake_in_task(waker);
        }
    }
}

impl Drop for WokenByHub {
    fn drop(&mut self) {
        let waker = lock(&self.waker).take();
        contain::drop_waker(waker);
    }
}
