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

use tracing::span::{Id, Span};
use tracing::{Dispatch, dispatcher};

use super::hook;
use crate::shared::FiberRef;

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
pub(super) fn without(run: &mut dyn FnMut()) {
    let _reenter = Reenter(hook::call("a subscriber", exit).flatten());
    run();
}

/// Exits all spans for good.
pub(super) fn discard() {
    hook::call("a subscriber", exit);
}

fn exit() -> Option<Exited> {
    // It is cloned out: spans that are exited inside of `get_default` may never be closed.
    let subscriber = dispatcher::get_default(Dispatch::clone);
    let exit_one = || {
        let current = subscriber.current_span();
        let id = current.id()?.clone();
        subscriber.exit(&id);
        Some(id)
    };
    let first = exit_one()?;
    let others = std::iter::from_fn(exit_one).take(MOST - 1).collect();
    Some(Exited {
        subscriber,
        first,
        others,
    })
}

/// Enters the spans when it is dropped, also on unwind.
struct Reenter(Option<Exited>);

impl Drop for Reenter {
    fn drop(&mut self) {
        if let Some(exited) = self.0.take() {
            hook::call("a subscriber", || {
                for id in exited.others.iter().rev() {
                    exited.subscriber.enter(id);
                }
                exited.subscriber.enter(&exited.first);
            });
        }
    }
}

/// A span that a fiber begins in.
pub(super) struct Inheritable(Span);

/// Returns the span that is current.
pub(super) fn inherit() -> Option<Inheritable> {
    let span = hook::call("a subscriber", Span::current)?;
    (!span.is_none()).then_some(Inheritable(span))
}

/// Makes a span for a fiber that begins, as a child of the one that it inherits, if the subscriber
/// wants one. Its name, and those of its fields, are those of tokio's tasks, so that what shows tasks
/// shows fibers too.
#[cold]
pub(super) fn of_fiber(fiber: &FiberRef, inherited: Option<&Inheritable>) -> Option<Inheritable> {
    let span = hook::call("a subscriber", || {
        let place = fiber.origin().place;
        tracing::trace_span!(
            target: "switchback::fiber",
            parent: inherited.and_then(|parent| parent.0.id()),
            "runtime.spawn",
            kind = "fiber",
            task.name = fiber.name(),
            task.id = fiber.id().as_u64(),
            loc.file = place.file(),
            loc.line = place.line(),
            loc.col = place.column(),
        )
    })?;
    (!span.is_disabled()).then_some(Inheritable(span))
}

impl Inheritable {
    /// Enters the span. It is exited with the others.
    pub(super) fn enter(&self) {
        hook::call("a subscriber", || {
            self.0
                .with_subscriber(|(id, subscriber)| subscriber.enter(id));
        });
    }

    /// Gives the span back, which may close it.
    pub(super) fn release(self) {
        hook::call("a subscriber", || drop(self.0));
    }
}
