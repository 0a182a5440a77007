//! Giving way: [`yield_now`], and what a sleep of zero does.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use futures::task::AtomicWaker;

use crate::hub::{Ready, Shared, Ticket, registry, wake_after_io};
use crate::switch::{self, Place};

/// Lets everything that is ready now go first: `yield_now().wait()` in a fiber,
/// `yield_now().await` in async code.
///
/// In async code on a thread that has a hub it goes through the hub's queue, so
/// that it comes after the fibers that are ready. Elsewhere it is tokio's own
/// [`yield_now`](tokio::task::yield_now).
///
/// Fibers that give way for ever starve nothing else: I/O, timers and tokio's
/// tasks get their turn in between.
///
/// # Cancel safety
///
/// Nothing is lost when it is cancelled or dropped.
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
    Queued(Arc<Shared>, Ticket),
    Last,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &self.0 {
            State::New => {
                self.0 = match queue(cx) {
                    Some((hub, ticket)) => State::Queued(hub, ticket),
                    None => {
                        wake_after_io(cx);
                        State::Last
                    }
                };
                Poll::Pending
            }
            State::Queued(hub, ticket) => {
                ready!(poll_passed(hub, *ticket, cx));
                self.0 = State::Last;
                Poll::Ready(())
            }
            State::Last => Poll::Ready(()),
        }
    }
}

/// Sees to it that `cx` is woken after everything that is ready on this thread's
/// hub. `None` if there is no hub here.
fn queue(cx: &mut Context<'_>) -> Option<(Arc<Shared>, Ticket)> {
    let core = registry::driven_here()?;
    let ticket = core.ticket();
    wake_from_queue(&core, cx);
    Some((core.shared.clone(), ticket))
}

/// Whether everything that was ready on that hub has had its turn; if not, sees
/// to it that `cx` is woken again.
fn poll_passed(hub: &Arc<Shared>, ticket: Ticket, cx: &mut Context<'_>) -> Poll<()> {
    registry::with_local(hub, |core| {
        if core.has_passed(ticket) || !core.is_running() {
            return Poll::Ready(());
        }
        wake_from_queue(core, cx);
        Poll::Pending
    })
    // The task has moved to another thread: it cannot go behind that hub.
    .unwrap_or(Poll::Ready(()))
}

fn wake_from_queue(core: &crate::hub::Core, cx: &mut Context<'_>) {
    // A fiber's own waker puts it at the end of that same queue.
    let in_fiber = switch::with_place(|place| matches!(place, Place::Poll(_)));
    if in_fiber {
        cx.waker().wake_by_ref();
    } else {
        core.push(Ready::Waker(cx.waker().clone()));
    }
}

/// Ready after everything that is ready now and after a poll for I/O.
#[derive(Debug, Default)]
pub(crate) struct AfterIo {
    state: Option<(Arc<IoPolled>, Option<(Arc<Shared>, Ticket)>)>,
}

impl AfterIo {
    pub(crate) fn new() -> AfterIo {
        AfterIo::default()
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((io, place)) = &self.state else {
            let place = registry::driven_here().map(|core| (core.shared.clone(), core.ticket()));
            let io = Arc::new(IoPolled::default());
            io.waker.register(cx.waker());
            wake_after_io(&mut Context::from_waker(&Waker::from(io.clone())));
            self.state = Some((io, place));
            return Poll::Pending;
        };
        io.waker.register(cx.waker());
        if !io.done.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        match place {
            Some((hub, ticket)) => poll_passed(hub, *ticket, cx),
            None => Poll::Ready(()),
        }
    }
}

/// Woken by tokio once it has polled for I/O. Spurious wakes of the sleeper are
/// told apart by the flag.
#[derive(Debug, Default)]
struct IoPolled {
    done: AtomicBool,
    waker: AtomicWaker,
}

impl Wake for IoPolled {
    fn wake(self: Arc<Self>) {
        self.done.store(true, Ordering::Release);
        self.waker.wake();
    }
}
