//! The spans of `tracing` that are entered, as an ambient of each stack.
//!
//! `#[tracing::instrument]` on a plain function enters a span on the thread and exits it at the end. If
//! the function waits in between, its span would be the current one of every other fiber.
//!
//! Subscribers keep the spans of a thread in a stack, and have no call for it as a whole. So the current
//! span is exited until there is none, and the spans are entered again in the opposite order, on the
//! same subscriber. They stay open meanwhile, because the frames on the suspended stack have them.
//!
//! A fiber has a span of its own too, the outermost, if the subscriber wants it: see [`of_fiber`]. It is
//! entered whenever the fiber runs, so it tells how often and for how long that is.

use std::num::NonZeroU64;

use tracing::span::{Id, Span};
use tracing::{Dispatch, dispatcher};

use super::{StackState, hook};
use crate::shared::FiberRef;

/// What panicked, in the report of a panic in a hook.
const SUBSCRIBER: &str = "a subscriber";

/// How many spans are exited at most. A subscriber may not exit what it calls the current span.
const MOST: usize = 256;

/// Returns whether there may be spans.
#[inline(always)]
pub(super) fn any() -> bool {
    dispatcher::has_been_set()
}

/// The spans that were exited.
struct Exited {
    subscriber: Dispatch,
    /// The innermost comes first. Most stacks have one.
    first: Id,
    others: Vec<Id>,
}

/// Exits all spans, calls `run`, and enters them again.
pub(super) fn without<R>(run: impl FnOnce() -> R) -> R {
    let mut reenter = Reenter(None);
    hook::call(SUBSCRIBER, || reenter.exit());
    run()
}

/// Like [`without`], in code of the stack with this state.
#[inline(always)]
pub(super) fn without_on<R>(state: &StackState, run: impl FnOnce() -> R) -> R {
    let mut reenter = Reenter(None);
    hook::call_on(state, SUBSCRIBER, || reenter.exit());
    run()
}

/// Exits all spans for good. A span that nothing else keeps open, such as one whose guard was forgotten,
/// closes.
pub(super) fn discard() {
    hook::call(SUBSCRIBER, || {
        let Some((subscriber, first)) = current() else {
            return;
        };
        let mut next = Some(first);
        for _ in 0..MOST {
            let Some(id) = next else { break };
            // tracing-subscriber 0.3.19 would close it while it exits it, and then its parents may stay open.
            let kept = subscriber.clone_span(&id);
            subscriber.exit(&id);
            subscriber.try_close(kept);
            next = subscriber.current_span().id().cloned();
        }
    });
}

/// Most suspensions find no span. They ask for the current one, once, and keep nothing.
#[inline(always)]
fn exit() -> Option<Exited> {
    current().map(|(subscriber, first)| exit_from(subscriber, first))
}

/// Returns the current span, if there is one, and its subscriber.
#[inline(always)]
fn current() -> Option<(Dispatch, Id)> {
    let mut current = None;
    dispatcher::get_default(|subscriber| {
        if let Some(id) = subscriber.current_span().id() {
            current = Some((subscriber.clone(), id.clone()));
        }
    });
    current
}

/// Exits this span, which is the current one, and all others. This is not done inside of `get_default`,
/// where a span that is exited may never close.
#[cold]
fn exit_from(subscriber: Dispatch, first: Id) -> Exited {
    subscriber.exit(&first);
    let exit_one = || {
        let id = subscriber.current_span().id()?.clone();
        subscriber.exit(&id);
        Some(id)
    };
    let others = std::iter::from_fn(exit_one).take(MOST - 1).collect();
    Exited {
        subscriber,
        first,
        others,
    }
}

/// Enters the spans when it is dropped, also on unwind.
struct Reenter(Option<Exited>);

impl Reenter {
    #[inline(always)]
    fn exit(&mut self) {
        if let Some(exited) = exit() {
            self.0 = Some(exited);
        }
    }
}

impl Drop for Reenter {
    #[inline]
    fn drop(&mut self) {
        if let Some(exited) = self.0.take() {
            enter(exited);
        }
    }
}

#[cold]
fn enter(exited: Exited) {
    let Exited {
        subscriber,
        first,
        others,
    } = exited;
    let mut ids = others.iter().rev();
    for _ in &others {
        let entered = hook::call(SUBSCRIBER, || {
            ids.by_ref().for_each(|id| subscriber.enter(id));
        });
        // If one was closed and cannot be entered, the spans inside of it are entered nevertheless.
        if entered.is_some() {
            break;
        }
    }
    hook::call(SUBSCRIBER, move || {
        subscriber.enter(&first);
        drop(subscriber);
    });
}

/// A span that a fiber begins in.
pub(super) struct Inheritable(Span);

/// Returns the span that is current.
pub(super) fn inherit() -> Option<Inheritable> {
    let span = hook::call(SUBSCRIBER, Span::current)?;
    (!span.is_none()).then_some(Inheritable(span))
}

/// Makes a span for a fiber that begins, as a child of the one that it inherits, if the subscriber
/// wants one. Its name, and those of its fields, are those of tokio's tasks, so that what shows tasks
/// shows fibers too.
#[cold]
pub(super) fn of_fiber(fiber: &FiberRef, inherited: Option<&Inheritable>) -> Option<Inheritable> {
    let span = hook::call(SUBSCRIBER, || {
        let place = fiber.origin().place;
        tracing::trace_span!(
            target: "switchback::fiber",
            parent: inherited.and_then(|parent| parent.0.id()),
            "runtime.spawn",
            kind = "fiber",
            task.name = fiber.name(),
            task.id = fiber.id().number(),
            loc.file = place.file(),
            loc.line = place.line(),
            loc.col = place.column(),
        )
    })?;
    fiber.set_span(span.id().map(|id| id.into_non_zero_u64()));
    (!span.is_disabled()).then_some(Inheritable(span))
}

/// Tells the subscriber, as tokio does of its tasks, what is done with a waker of the fiber that has this
/// span.
#[cold]
pub(crate) fn note_waker(span: NonZeroU64, operation: &'static str) {
    // A subscriber may wake a fiber itself. To tell it of that could go on for ever.
    if !hook::is_running() {
        hook::call(SUBSCRIBER, || {
            tracing::trace!(target: "runtime::waker", op = operation, task.id = span.get());
        });
    }
}

impl Inheritable {
    /// Enters the span. It is exited with the others.
    pub(super) fn enter(&self) {
        hook::call(SUBSCRIBER, || {
            self.0
                .with_subscriber(|(id, subscriber)| subscriber.enter(id));
        });
    }

    /// Gives the span back, which may close it.
    pub(super) fn release(self) {
        hook::call(SUBSCRIBER, || drop(self.0));
    }
}
