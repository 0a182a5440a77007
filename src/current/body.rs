//! The code at the root of a fiber's stack.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread::panicking;

use super::backtrace::__rust_begin_short_backtrace;
use super::heritage::{self, Inherited};
use super::place;
use super::{Resumer, StackState};
use crate::hub::Core;
use crate::shared::{Cancelled, Cause, ResultSender, interrupt};
use crate::stack::Extent;
use crate::switch::Suspender;

/// Returns the body of a fiber's stack. Table Invariant: it is run only while the hub's table has
/// the fiber.
#[inline(always)]
pub(crate) fn body<F, T>(
    hub: &Rc<Core>,
    sender: ResultSender<T>,
    inherited: Inherited,
    f: F,
) -> impl FnOnce(Suspender, Extent) + use<F, T>
where
    F: FnOnce() -> T,
{
    let hub = hub.clone();
    move |suspender, extent| {
        let fiber = sender.fiber().lend();
        let state = StackState::new(suspender, extent, panicking(), Resumer::Hub { fiber, hub });
        place::note_root(&state);
        place::run_stack(&state, || {
            heritage::run_with(inherited, &state, || run(&state, f, &sender));
        });
        // Most fibers have none of these. The two methods are inlined; the destructors, which the
        // compiler makes, would be calls.
        let StackState {
            deadlines, locals, ..
        } = state;
        deadlines.end();
        locals.free();
    }
}

/// Runs `f` and hands over its result. All values of the user's are dropped here, where their
/// destructors may wait: first the closure, then a result that no joiner will take, then the
/// fiber-locals.
#[inline(always)]
fn run<F, T>(state: &StackState, f: F, sender: &ResultSender<T>)
where
    F: FnOnce() -> T,
{
    let outcome = catch_unwind(AssertUnwindSafe(|| match cancelled_before_start(state) {
        None => {
            sender.put(__rust_begin_short_backtrace(f));
            None
        }
        Some(cancelled) => {
            drop(f);
            Some(Cause::Cancelled(cancelled))
        }
    }));
    let cause = outcome.unwrap_or_else(|payload| Some(Cause::from_panic(payload)));
    sender.complete(cause, !state.locals.is_empty(), &mut || {
        state.locals.end(Some(&sender.fiber().name()));
    });
    // If there were none, they have not been ended.
    state.locals.seal();
}

/// Returns the cancel of a fiber that has not begun to run, if there is one.
#[inline]
fn cancelled_before_start(state: &StackState) -> Option<Cancelled> {
    match state.resumer.interrupts() {
        0 => None,
        _ => cancelled_before_start_cold(state),
    }
}

#[cold]
fn cancelled_before_start_cold(state: &StackState) -> Option<Cancelled> {
    if let Some(cancelled) = state.resumer.take_cancel() {
        state.resumer.cancel_delivered();
        return Some(cancelled);
    }
    match state.resumer.interrupts() & interrupt::REASONS {
        0 => None,
        bits if bits & interrupt::END != 0 => Some(Cancelled::because(HUB_GONE)),
        _ => Some(Cancelled::because(HUB_CLOSING)),
    }
}

/// The message with which a fiber is cancelled when its hub has ended.
pub(crate) const HUB_GONE: &str = "the hub has ended";
/// The message with which a fiber is cancelled when its hub closes.
pub(crate) const HUB_CLOSING: &str = "the hub is closing";
