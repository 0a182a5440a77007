//! Giving way: [`yield_now`], and what a sleep of zero does.

use std::any::TypeId;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

use crate::fiber::FiberState;
use crate::hub::{Core, Ready, Shared, Ticket, registry, wake_after_io};
use crate::switch;

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
    Queued(Place),
    /// There is no hub here, and tokio has been asked to wake the task later.
    Deferred,
}

impl YieldNow {
    /// Whether `future` gives way, and was never polled. If `F` is another future, the
    /// compiler knows the answer.
    #[inline(always)]
    pub(crate) fn is_new<F: Future>(future: Pin<&mut F>) -> bool {
        YieldNow::in_disguise(future).is_some_and(|this| matches!(this.0, State::New))
    }

    /// The output of `F`, which is a `YieldNow`.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub(crate) fn output<F: Future>((): ()) -> F::Output {
        assert!(type_id::<F>() == TypeId::of::<YieldNow>());
        // SAFETY: so it is `()`.
        unsafe { std::mem::transmute_copy(&()) }
    }

    /// `future`, if that is what it is.
    #[inline(always)]
    #[allow(unsafe_code)]
    fn in_disguise<F: Future>(future: Pin<&mut F>) -> Option<&mut YieldNow> {
        if type_id::<F>() != TypeId::of::<YieldNow>() {
            return None;
        }
        // SAFETY: `F` is `YieldNow`, which is `Unpin`.
        let future = unsafe { future.get_unchecked_mut() };
        // SAFETY: as above: two types are one if their ids are equal and one of them has
        // no lifetimes. The pointer is that of a reference, which is used up.
        Some(unsafe { &mut *std::ptr::from_mut(future).cast() })
    }
}

/// The id of a type, were all its lifetimes `'static`.
#[inline(always)]
#[allow(unsafe_code)]
fn type_id<T>() -> TypeId {
    trait Id {
        fn id(&self) -> TypeId
        where
            Self: 'static;
    }
    impl<T> Id for PhantomData<T> {
        #[inline(always)]
        fn id(&self) -> TypeId
        where
            Self: 'static,
        {
            TypeId::of::<T>()
        }
    }
    let of = PhantomData::<T>;
    let of: &dyn Id = &of;
    // SAFETY: the trait and so the vtable are the same; only the lifetimes change, and `id`
    // touches nothing that has them.
    unsafe { std::mem::transmute::<&dyn Id, &(dyn Id + 'static)>(of) }.id()
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            State::New => {
                self.0 = match Place::last() {
                    Some(mut place) => {
                        place.queue(cx);
                        State::Queued(place)
                    }
                    None => {
                        wake_after_io(cx);
                        State::Deferred
                    }
                };
                Poll::Pending
            }
            State::Queued(place) => place.poll_passed(cx),
            State::Deferred => Poll::Ready(()),
        }
    }
}

/// A place in the ready queue of a hub, behind everything that was ready when it
/// was taken.
#[derive(Debug)]
enum Place {
    /// In the queue of the hub, with this number, of the fiber that polls.
    Own { hub: u64, ticket: Ticket },
    /// In the queue of this hub, for the task with this waker.
    Of {
        hub: Arc<Shared>,
        ticket: Ticket,
        queued: Option<Waker>,
    },
}

impl Place {
    /// The last place in the queue of the hub that goes on when the code that is
    /// running gives way, if there is one.
    #[inline]
    fn last() -> Option<Place> {
        let own = with_own_hub(|_, core| Place::Own {
            hub: core.number,
            ticket: core.ticket(),
        });
        own.or_else(Place::last_for_task)
    }

    #[cold]
    fn last_for_task() -> Option<Place> {
        let core = registry::driven_here()?;
        core.drain_remote();
        if !core.is_running() {
            // What was sent has closed it: nobody would come to this place.
            return None;
        }
        Some(Place::Of {
            hub: core.shared.clone(),
            ticket: core.ticket(),
            queued: None,
        })
    }

    /// Sees to it that `cx` is woken from the end of the queue.
    #[inline]
    fn queue(&mut self, cx: &mut Context<'_>) {
        match self {
            Place::Own { .. } => {
                let given = with_own_hub(|state, _| {
                    let own = state.record().is_some_and(|own| own.is_waker(cx.waker()));
                    if own {
                        state.give_way();
                    }
                    own
                });
                if given != Some(true) {
                    // A combinator's waker, that wakes the fiber's in its turn.
                    cx.waker().wake_by_ref();
                }
            }
            Place::Of { hub, queued, .. } => {
                // The entry of an earlier poll may still be there.
                if !queued
                    .as_ref()
                    .is_some_and(|known| known.will_wake(cx.waker()))
                {
                    *queued = Some(cx.waker().clone());
                    let entry = Ready::Waker(cx.waker().clone());
                    let _ = registry::with_local(hub, |core| core.push(entry));
                }
            }
        }
    }

    /// Ready if the queue has come to this place; if not, `cx` is woken again.
    #[inline]
    fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let before = match self {
            Place::Own { hub, ticket } => with_own_hub(|_, core| {
                core.number == *hub && core.is_running() && !core.has_passed(*ticket)
            }),
            Place::Of { hub, ticket, .. } => registry::driven_here()
                .map(|core| Arc::ptr_eq(&core.shared, hub) && !core.has_passed(*ticket)),
        };
        // Otherwise the future has moved to where it cannot go behind that hub.
        if before != Some(true) {
            return Poll::Ready(());
        }
        self.queue(cx);
        Poll::Pending
    }
}

/// Calls `f` with the fiber that polls and its hub, if a fiber does.
#[inline]
fn with_own_hub<R>(f: impl FnOnce(&FiberState, &Rc<Core>) -> R) -> Option<R> {
    switch::with_place(|place| match place {
        switch::Place::Poll(state) => state.hub().map(|hub| f(state, hub)),
        _ => None,
    })
}

/// Ready after everything that is ready now and after a poll for I/O.
#[derive(Debug, Default)]
pub(crate) struct AfterIo {
    state: Option<(Arc<IoPolled>, Option<Place>)>,
}

impl AfterIo {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((io, place)) = &mut self.state else {
            let io = Arc::new(IoPolled::default());
            io.waker.register(cx.waker());
            self.state = Some((io.clone(), Place::last()));
            wake_after_io(&mut Context::from_waker(&Waker::from(io)));
            return Poll::Pending;
        };
        io.waker.register(cx.waker());
        if !io.done.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        match place {
            Some(place) => place.poll_passed(cx),
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
