//! [`bridge`]: blocking-style code on a stack of its own inside the awaiting task.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::process::abort;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::base::contain::{self, AbortOnUnwind};
use crate::base::{Unwinding, report, thread_end};
use crate::current::backtrace::__rust_begin_short_backtrace;
use crate::current::heritage::{self, Inherited};
use crate::current::{BridgeTask, Resumer, StackState, place, unwinding};
use crate::overflow;
use crate::stack::{self, Extent, StackPool};
use crate::switch::{Coroutine, Step, Suspender, Suspension};

/// Runs `f` on a stack of its own inside the task that awaits the result.
///
/// The returned future is not `Send`, so `tokio::spawn` and the handlers of web frameworks refuse it:
/// await it in the main task, in a `LocalSet`, or in a task of a current-thread executor. In a task
/// of a multi-thread runtime, send the code to a [`HubPool`](crate::HubPool) instead.
///
/// There is no hub: `f` runs wherever the returned future is polled, on any executor, and a wait
/// inside `f` makes the future pending. Use it to call blocking-style code *in place*: the code
/// around it stays async, and dropping the future ends `f`.
///
/// Inside `f`, all futures can be waited for; [`spawn`](crate::spawn) works where it works in the
/// awaiting task. `f` is not a fiber: only dropping the future cancels it, and
/// [`current_fiber`](crate::current_fiber) returns `None`.
///
/// The output of the future is that of `f`.
///
/// # Cancel safety
///
/// Dropping the future unwinds `f` from its current wait, which runs its destructors. A destructor
/// that waits then can no longer be woken: the stack is leaked, with a warning.
///
/// # Panics
///
/// The call panics if no stack can be allocated. The future panics if `f` panics, and if it is
/// polled again after it was ready.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use switchback::{bridge, prelude::*, sleep};
///
/// # #[tokio::main]
/// # async fn main() {
/// let sum = bridge(|| {
///     sleep(Duration::from_millis(1)).wait();
///     40 + async { 2 }.wait()
/// });
/// assert_eq!(sum.await, 42);
/// # }
/// ```
#[doc(alias = "greenlet_spawn")]
#[doc(alias = "block_in_place")]
#[track_caller]
pub fn bridge<F, T>(f: F) -> Bridge<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    let inherited = heritage::inherit();
    Bridge::new(|body, task| {
        Coroutine::new(take_stack(), move |suspender, extent| {
            run(suspender, extent, task, inherited, f, &body.result);
        })
    })
}

/// Like [`bridge`], for a closure that borrows.
///
/// A future can be forgotten. The closure's frames are then never unwound, while the borrowed
/// values end. A safe function could not rule that out:
///
/// ```compile_fail,E0133
/// use switchback::{bridge_borrowed, prelude::*};
///
/// let mut data = vec![1, 2, 3];
/// let mut future = Box::pin(bridge_borrowed(|| {
///     std::thread::scope(|s| {
///         s.spawn(|| loop {
///             data[0] += 1; // on another thread
///         });
///         std::future::pending::<()>().wait();
///     });
/// }));
/// let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// let _ = future.as_mut().poll(&mut cx);
/// std::mem::forget(future);
/// drop(data); // and the thread goes on
/// ```
///
/// # Safety
///
/// The returned future must not be leaked: once it has been polled, it must be polled to its end or
/// dropped before the values that `f` borrows end or are used by other code. (Dropping it unwinds
/// `f`. The process is aborted where that is not possible, because the frames cannot be left alone:
/// if a destructor of `f` waits, if `f` holds a [`scope`](crate::scope()) with a child that cannot
/// be ended, and if the build has `panic = "abort"`.)
///
/// # Cancel safety
///
/// As for [`bridge`], but nothing is leaked: see above.
///
/// # Panics
///
/// As for [`bridge`].
///
/// # Examples
///
/// ```
/// use switchback::{bridge_borrowed, prelude::*, yield_now};
///
/// # #[tokio::main]
/// # async fn main() {
/// let mut list = vec![1, 2];
/// // SAFETY: the future is awaited here and nowhere else.
/// unsafe {
///     bridge_borrowed(|| {
///         yield_now().wait();
///         list.push(3);
///     })
/// }
/// .await;
/// assert_eq!(list, [1, 2, 3]);
/// # }
/// ```
#[track_caller]
#[allow(unsafe_code)]
pub unsafe fn bridge_borrowed<'a, F, T: 'a>(f: F) -> BridgeBorrowed<'a, T>
where
    F: FnOnce() -> T + 'a,
{
    let inherited = heritage::inherit();
    let bridge = Bridge::new(|body, task| {
        let stack = take_stack();
        let body =
            move |suspender, extent| run(suspender, extent, task, inherited, f, &body.result);
        // SAFETY: the caller promises that the future, which owns the coroutine, is polled to its
        // end or dropped before the borrows in `f` end. Dropping it brings the body, whether or not
        // it has begun, to its end, or aborts the process. No other code leaks the coroutine of a
        // borrowing bridge.
        unsafe { Coroutine::new_unchecked(stack, body) }
    });
    BridgeBorrowed {
        bridge,
        borrows: PhantomData,
    }
}

/// The future of [`bridge`].
#[must_use = "futures do nothing unless you `.await` them"]
pub struct Bridge<T> {
    body: Rc<StaysOnItsThread<T>>,
}

/// The future of [`bridge_borrowed`].
#[must_use = "futures do nothing unless you `.await` them"]
pub struct BridgeBorrowed<'a, T> {
    bridge: Bridge<T>,
    borrows: PhantomData<&'a ()>,
}

/// What belongs to a bridge. It is behind an `Rc`, so that the compiler reports one error, not four, for
/// a bridge that is sent to another thread.
struct StaysOnItsThread<T> {
    /// Borrowed while the body runs, which does not use it.
    stack: RefCell<BridgeStack>,
    result: Slot<T>,
}

/// Where the body stores its outcome.
type Slot<T> = Cell<Option<thread::Result<T>>>;

impl<T> Bridge<T> {
    /// Creates a bridge over the coroutine that `make` returns.
    #[track_caller]
    fn new(make: impl FnOnce(Rc<StaysOnItsThread<T>>, Rc<BridgeTask>) -> Coroutine) -> Bridge<T> {
        let body = Rc::new(StaysOnItsThread {
            stack: RefCell::default(),
            result: Cell::default(),
        });
        let task = body.stack.borrow().task.clone();
        let coroutine = make(body.clone(), task);
        body.stack.borrow_mut().coroutine = Some(coroutine);
        Bridge { body }
    }
}

/// The root of a bridge's stack.
fn run<F, T>(
    suspender: Suspender,
    extent: Extent,
    task: Rc<BridgeTask>,
    inherited: Inherited,
    f: F,
    result: &Slot<T>,
) where
    F: FnOnce() -> T,
{
    let state = StackState::new(suspender, extent, thread::panicking(), Resumer::Task(task));
    let body = || {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            // The bridge was dropped before it was polled. The closure is dropped here, so that its
            // destructors run on a stack of ours, and there is no result.
            if state.has_ended() {
                drop(f);
                return None;
            }
            Some(__rust_begin_short_backtrace(f))
        }));
        let mut outcome = match outcome {
            Ok(value) => value.map(Ok),
            Err(payload) => Some(Err(payload)),
        };
        // This comes before the locals are dropped, because its destructor may use them.
        discard_unclaimed(&state, &mut outcome);
        state.locals.end(None);
        // The bridge may have been dropped while a destructor of a local waited.
        discard_unclaimed(&state, &mut outcome);
        result.set(outcome);
    };
    place::run_stack(&state, || heritage::run_with(inherited, &state, body));
}

/// Drops the outcome of a bridge if no code will take it.
fn discard_unclaimed<T>(state: &StackState, outcome: &mut Option<thread::Result<T>>) {
    if state.has_ended() {
        let unclaimed = outcome.take();
        contain::run("a destructor in a dropped bridge", || drop(unclaimed));
    }
}

impl<T> Future for Bridge<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let polled = self.body.stack.borrow_mut().poll(cx);
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => match self.body.result.take() {
                Some(Ok(value)) => Poll::Ready(value),
                Some(Err(payload)) => resume_unwind(payload),
                None => panic!(
                    "a `Bridge` was polled after it was ready; make another one to run the closure again"
                ),
            },
        }
    }
}

impl<T> Future for BridgeBorrowed<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.bridge).poll(cx)
    }
}

// The pinned data is on the stack, which does not move with the future.
impl<T> Unpin for Bridge<T> {}

impl<T> Drop for Bridge<T> {
    fn drop(&mut self) {
        let ended = self.body.stack.borrow_mut().end();
        if let Err(Abandoned(unwinding)) = ended {
            report::warn(format_args!(
                "a bridge waited again while it was being dropped; its stack is leaked{}",
                unwinding.consequence(),
            ));
        }
    }
}

impl<T> Drop for BridgeBorrowed<'_, T> {
    fn drop(&mut self) {
        // If anything panics here, the inner bridge must not leak the stack.
        let bomb = AbortOnUnwind;
        let ended = self.bridge.body.stack.borrow_mut().end();
        if ended.is_err() {
            report::error(format_args!(
                "a borrowing bridge waited again while it was being dropped; its stack can \
                 neither be unwound nor leaked, so the process is aborted",
            ));
            abort();
        }
        mem::forget(bomb);
    }
}

impl<T> fmt::Debug for Bridge<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("running", &self.body.stack.borrow().coroutine.is_some())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for BridgeBorrowed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BridgeBorrowed").field(&self.bridge).finish()
    }
}

/// A bridge's stack, as the task that polls it sees it.
#[derive(Default)]
struct BridgeStack {
    /// `None` before the bridge is complete, and when the body has ended.
    coroutine: Option<Coroutine>,
    has_begun: bool,
    task: Rc<BridgeTask>,
}

impl BridgeStack {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(coroutine) = &mut self.coroutine else {
            return Poll::Ready(());
        };
        assert!(
            !thread_end::has_begun(),
            "a bridge was polled in the destructor of a thread-local: its thread is ending, and \
             frames on its stack may refer to thread-locals that are gone"
        );
        assert!(
            self.task.abandoned().is_none(),
            "a bridge was polled whose {ABANDONED}"
        );
        self.task.resume(cx);
        let step = unwinding::while_resuming(|| place::resume_owned(coroutine));
        thread_end::stacks_have_begun(u64::from(!self.has_begun));
        self.has_begun = true;
        match step {
            Step::Suspended(Suspension::Waiting | Suspension::Yielding) => Poll::Pending,
            Step::Suspended(Suspension::Abandoned(unwinding)) => {
                self.task.set_abandoned(unwinding);
                panic!("the body of a bridge cannot go on: its {ABANDONED}");
            }
            Step::Finished => {
                if let Some(coroutine) = self.coroutine.take() {
                    reuse(coroutine);
                }
                Poll::Ready(())
            }
        }
    }

    /// Unwinds the body to its end, or leaks it.
    fn end(&mut self) -> Result<(), Abandoned> {
        let Some(mut coroutine) = self.coroutine.take() else {
            return Ok(());
        };
        self.task.end();
        // If the thread is ending, frames may refer to thread-locals that are gone. This detects it
        // as far as possible.
        let thread_ends = thread_end::has_begun() || STACKS.try_with(|_| ()).is_err();
        let mut abandoned = self.task.abandoned();
        if abandoned.is_none() && !thread_ends {
            self.task.resume(&mut Context::from_waker(Waker::noop()));
            let step = unwinding::while_resuming(|| place::resume_owned(&mut coroutine));
            match step {
                Step::Finished => {
                    reuse(coroutine);
                    return Ok(());
                }
                Step::Suspended(Suspension::Abandoned(state)) => abandoned = Some(state),
                Step::Suspended(_) => debug_assert!(false, "nobody would resume it"),
            }
        }
        coroutine.leak();
        Err(Abandoned(abandoned.unwrap_or(Unwinding::No)))
    }
}

/// The stack of a bridge could not be unwound.
struct Abandoned(Unwinding);

/// Takes back the stack of a body that has ended.
fn reuse(coroutine: Coroutine) {
    let stack = coroutine.into_stack();
    let _ = STACKS.try_with(|stacks| stacks.put(stack));
}

thread_local! {
    /// Stacks of ended bridges, for new ones.
    static STACKS: StackPool = StackPool::new(stack::DEFAULT_SIZE, MAX_CACHED);
}

const ABANDONED: &str = "stack was abandoned, since a scoped fiber of it was";

const MAX_CACHED: usize = 64;

#[track_caller]
fn take_stack() -> stack::Stack {
    overflow::arm();
    let stack = STACKS
        .try_with(|stacks| stacks.take(None))
        .unwrap_or_else(|_| StackPool::new(stack::DEFAULT_SIZE, 0).take(None));
    match stack {
        Ok(stack) => stack,
        Err(e) => panic!("{e}"),
    }
}
