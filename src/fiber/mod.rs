//! Fibers: what is run on a hub.
//!
//! A fiber has three sides, so that it is plain who may touch what:
//!
//! | side | where | who |
//! |---|---|---|
//! | [`Record`] | an allocation, by [`FiberRef`] | everybody: handles, wakers, the hub |
//! | [`FiberState`] | the root of its stack | the code that runs on that stack |
//! | [`HubSide`] | in the record | the hub, on its thread |
//!
//! Its result goes from its stack to its [`Fiber`] through the same allocation: from
//! its [`Delivery`] to its [`Receipt`].

mod builder;
mod fiber_ref;
mod handle;
mod hub_side;
mod park;
mod record;
mod state;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::panicking;

pub use builder::Builder;
pub(crate) use fiber_ref::{Count, FiberRef};
pub use handle::{FiberHandle, current_fiber, in_fiber};
pub(crate) use hub_side::{HubSide, Neighbour, Stage};
pub use park::park;
pub use record::FiberId;
pub(crate) use record::{FiberIds, Phase, Record, interrupt};
pub(crate) use state::{FiberState, Owner, clear_mark, counts_a_panic_for_ever};

use crate::hub::{Core, Shared, registry};
use crate::join::{Cause, Delivery, Join, JoinError, Receipt, packet};
use crate::switch::{self, Suspender};

/// Makes a fiber that runs `f`, and starts it.
///
/// The fiber is queued behind everything that is ready on the current hub; it
/// never runs before `spawn` has returned. In a fiber the current hub is the
/// fiber's own, elsewhere that of the current runtime, which is made on first
/// need.
///
/// Dropping the returned [`Fiber`] detaches it.
///
/// # Panics
///
/// Where there is no hub and none can be made: outside of a tokio runtime, on a
/// multi-thread runtime that is not inside [`Hub::run_until`], on a thread that
/// does not drive its runtime. If the hub is closed or no stack can be had,
/// which [`Builder::spawn`] returns as an error. While the thread is panicking,
/// when a second panic would abort the process, it returns a fiber that was
/// cancelled instead.
///
/// [`Hub::run_until`]: crate::Hub::run_until
///
/// # Examples
///
/// ```
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() {
///     let mut fiber = switchback::spawn(|| 6 * 7);
///     assert_eq!(fiber.join().await.unwrap(), 42);
/// }
/// ```
#[track_caller]
pub fn spawn<F, T>(f: F) -> Fiber<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    Fiber::make(f, Start::AtOnce)
}

/// Owns the result of a fiber, as [`std::thread::JoinHandle`] does of a thread.
///
/// It is itself a future with the same output as [`join`](Fiber::join). Dropping
/// it detaches the fiber: it goes on, and its result is dropped where it ends.
/// A fiber that was never started is cancelled instead.
///
/// A `Fiber` can be sent to another thread if `T` can, and joined there; the
/// fiber stays on its hub's thread.
pub struct Fiber<T>(Receipt<T>);

/// When a new fiber is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    AtOnce,
    /// When [`Fiber::start`] is called.
    Later,
}

impl<T> Fiber<T> {
    /// Makes a fiber that runs `f` once it is started.
    ///
    /// # Panics
    ///
    /// As [`spawn`].
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{Fiber, prelude::*};
    ///
    /// let mut fiber = Fiber::new(|| "done");
    /// assert!(fiber.start());
    /// assert!(!fiber.start()); // only once
    /// assert_eq!(fiber.join().wait().unwrap(), "done");
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn new<F>(f: F) -> Fiber<T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        Fiber::make(f, Start::Later)
    }

    #[track_caller]
    fn make<F>(f: F, start: Start) -> Fiber<T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let made = registry::with_current(|core| Fiber::create(core, Builder::new(), start, f));
        let why = match made {
            Ok(Ok(fiber)) => return fiber,
            Ok(Err(e)) => e.to_string(),
            Err(none) => none.to_string(),
        };
        if !panicking() {
            panic!("{why}");
        }
        // A second panic would abort the process.
        Fiber::stillborn(why)
    }

    #[inline]
    fn record(&self) -> &FiberRef {
        self.0.fiber()
    }

    /// Queues the fiber behind everything that is ready. False, and without
    /// effect, if it was started before or has ended.
    pub fn start(&self) -> bool {
        let record = self.record();
        let started = record.claim_start();
        if started {
            crate::switch_back::wake(record);
        }
        started
    }

    /// Waits for the fiber to end and takes its result: `join().wait()` in a
    /// fiber, `join().await` in async code.
    ///
    /// A fiber that was not started is started: nobody else could do it while
    /// this waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; the fiber can be joined again. The
    /// result is taken when the future is ready.
    ///
    /// # Errors
    ///
    /// The future gives a [`JoinError`] if the fiber panicked, was cancelled, or
    /// could not be run to its end.
    ///
    /// # Panics
    ///
    /// In the fiber itself, and if the result was taken before.
    #[track_caller]
    pub fn join(&mut self) -> Join<'_, T> {
        let itself = switch::with_place(|place| match place {
            switch::Place::Fiber(state) => state.is(self.record()),
            _ => false,
        });
        assert!(
            !itself,
            "a fiber cannot join itself: it would wait for ever"
        );
        assert!(
            !self.record().is_claimed(),
            "the result of fiber '{}' was taken by an earlier join",
            self.name(),
        );
        self.start();
        Join::new(self)
    }

    /// Asks the fiber to end: see [`FiberHandle::cancel`].
    pub fn cancel(&self) -> bool {
        self.record().cancel(None)
    }

    /// Asks the fiber to end: see [`FiberHandle::cancel_with`].
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.record().cancel(Some(message.into()))
    }

    /// A handle to the fiber, without its result.
    pub fn handle(&self) -> FiberHandle {
        FiberHandle(self.record().clone())
    }

    /// The fiber's number.
    pub fn id(&self) -> FiberId {
        self.record().id()
    }

    /// The fiber's name: the one it was given, or `Fiber-N` with its number.
    pub fn name(&self) -> &str {
        self.record().name()
    }

    /// Whether the fiber has not ended. A fiber that was not started is alive.
    pub fn is_alive(&self) -> bool {
        self.record().is_alive()
    }

    pub(crate) fn from_receipt(receipt: Receipt<T>) -> Fiber<T> {
        Fiber(receipt)
    }

    /// A fiber that was cancelled before it was made.
    pub(crate) fn stillborn(why: String) -> Fiber<T> {
        let no_hub = Arc::new(Shared::new(None));
        no_hub.end();
        let (delivery, receipt) = packet(no_hub, FiberId::next(), None, Start::Later);
        delivery.refuse(why);
        Fiber(receipt)
    }

    pub(crate) fn poll_join(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        self.0.poll(cx)
    }
}

impl<T: 'static> Fiber<T> {
    /// Makes a fiber on this hub.
    pub(crate) fn create<F>(
        core: &Rc<Core>,
        settings: Builder,
        start: Start,
        f: F,
    ) -> io::Result<Fiber<T>>
    where
        F: FnOnce() -> T + 'static,
    {
        let stack = core.take_stack(settings.stack_size)?;
        let name = settings.name.map(String::into_boxed_str);
        let id = core.ids.next();
        let (delivery, receipt) = core.spares.packet(&core.shared, id, name, start);
        core.add(delivery, stack, settings.measure_stack, f);
        Ok(Fiber(receipt))
    }
}

/// What runs at the root of a fiber's stack.
///
/// # Safety
///
/// The body is run only while the hub's table has the fiber: the two that it gets
/// are not counted (Table Invariant).
#[allow(unsafe_code)]
pub(crate) unsafe fn body<F, T>(
    hub: &Rc<Core>,
    delivery: ManuallyDrop<Delivery<T>>,
    f: F,
) -> impl FnOnce(Suspender) + use<F, T>
where
    F: FnOnce() -> T,
{
    let hub = hub.clone();
    move |suspender| {
        // SAFETY: as promised by the caller; the state is used by the body only.
        let record = unsafe { FiberRef::lend(delivery.fiber().as_ptr()) };
        let state = FiberState::new(suspender, Owner::Fiber { record, hub });
        switch::run_fiber(&state, || run(&state, f, &delivery));
    }
}

/// Runs `f` and hands over its result. Everything that is the user's is dropped
/// here, where it may wait: the closure, a result that nobody will take, and the
/// fiber-locals, in this order.
fn run<F, T>(state: &FiberState, f: F, delivery: &Delivery<T>)
where
    F: FnOnce() -> T,
{
    let outcome = catch_unwind(AssertUnwindSafe(|| match state.cancelled_before_start() {
        None => {
            delivery.put(f());
            None
        }
        Some(cancelled) => {
            drop(f);
            Some(Cause::Cancelled(cancelled))
        }
    }));
    let cause = outcome.unwrap_or_else(|payload| Some(Cause::from_panic(payload)));
    delivery.complete(cause, &state.locals);
}

impl<T> Future for Fiber<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.start();
        this.poll_join(cx)
    }
}

impl<T> Drop for Fiber<T> {
    fn drop(&mut self) {
        let record = self.record();
        if record.is_claimed() {
            return;
        }
        if record.phase() == Phase::New {
            record.cancel(None);
        }
        self.0.detach();
    }
}

impl<T> fmt::Debug for Fiber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.record(), f)
    }
}
