//! Suspends the running stack, and saves and restores the thread's ambient state around the switch.
//!
//! The engine saves registers. The resumer keeps its own place ([`super::place::resume`]). A stack
//! that is resumed sets its place again, and updates what it knows about unwinding.
//!
//! The functions named `calmly` are for a thread that counts no panic, where there is less to save.

use std::thread::panicking;

use super::unwinding::{SUSPENDED_PANICKING, UNWINDING_BRIDGES, note_abandoned};
use super::{Resumer, StackState, ambient, place};
use crate::base::{Unwinding, contain};
use crate::shared::HubPart;
use crate::switch::Suspension;

/// Suspends the running stack until it is woken or, if it was told to give way, until its turn comes
/// again. Returns whether it may be unwinding, in the sense of [`super::unwinding`].
#[inline(always)]
pub(crate) fn pause(state: &StackState) -> bool {
    let may_unwind = if panicking() {
        pause_panicking(state)
    } else {
        pause_calmly(state);
        false
    };
    resumed(state);
    may_unwind
}

/// The part of [`pause`] that suspends. Called when the thread counts no panic, so that the stack
/// is not unwinding.
#[inline(always)]
fn pause_calmly(state: &StackState) {
    switch_calmly(state, state.resumer.hub_part(), state.take_suspension());
}

/// Suspends the stack of a fiber, with this hub part, until everything that is ready now has had its
/// turn. Called when the thread counts no panic. If any interrupt is pending afterwards, or there are
/// deadlines, the caller calls [`resumed`].
#[inline(always)]
pub(crate) fn give_way_calmly(state: &StackState, part: &HubPart) {
    state.take_suspension();
    switch_calmly(state, Some(part), Suspension::Yielding);
}

/// Suspends the stack of a fiber, with this hub part, until it is woken. Called when the thread counts no
/// panic and there are no deadlines.
#[inline(always)]
pub(crate) fn wait_calmly(state: &StackState, part: &HubPart) {
    debug_assert!(!panicking() && state.deadlines.is_empty());
    switch_calmly(state, Some(part), state.take_suspension());
    state.threw_recurring.set(false);
}

#[inline(always)]
fn switch_calmly(state: &StackState, part: Option<&HubPart>, how: Suspension) {
    switch(state, part, how);
    // Rule 2: a panic that the thread counts now is not this stack's.
    state.panic_is_foreign.set(panicking());
}

/// The part of [`pause`] that follows the suspension.
#[inline]
pub(crate) fn resumed(state: &StackState) {
    state.threw_recurring.set(false);
    if !state.deadlines.is_empty() {
        if let Resumer::Task(task) = &state.resumer {
            // A bridge may have moved to another task. A fiber's waker never changes.
            state.deadlines.set_waker(&task.waker());
        }
    }
}

/// Suspends the running stack until everything that is ready now has had its turn. Returns what
/// [`pause`] returns.
pub(crate) fn give_way(state: &StackState) -> bool {
    match &state.resumer {
        Resumer::Hub { .. } => state.give_way(),
        Resumer::Task(task) => contain::wake_by_ref(&task.waker()),
    }
    pause(state)
}

#[cold]
fn pause_panicking(state: &StackState) -> bool {
    let surely = state.unwinding() == Unwinding::Yes;
    let unwinding_bridge = usize::from(surely && state.fiber().is_none());
    SUSPENDED_PANICKING.set(SUSPENDED_PANICKING.get() + 1);
    UNWINDING_BRIDGES.set(UNWINDING_BRIDGES.get() + unwinding_bridge);
    switch(state, state.resumer.hub_part(), state.take_suspension());
    SUSPENDED_PANICKING.set(SUSPENDED_PANICKING.get() - 1);
    UNWINDING_BRIDGES.set(UNWINDING_BRIDGES.get() - unwinding_bridge);
    state.resumer.put_off(false);
    let still = panicking();
    let alone = surely && SUSPENDED_PANICKING.get() == 0;
    state.panic_is_foreign.set(still && !alone);
    still
}

/// Leaves the running stack for ever, with everything on it.
pub(crate) fn abandon(state: &StackState) -> ! {
    if let Some(fiber) = state.fiber() {
        fiber.set_abandoned();
    }
    if panicking() {
        SUSPENDED_PANICKING.set(SUSPENDED_PANICKING.get() + 1);
        note_abandoned();
    }
    let unwinding = state.unwinding();
    loop {
        let part = state.resumer.hub_part();
        switch(state, part, Suspension::Abandoned(unwinding));
        debug_assert!(false, "an abandoned stack was resumed");
    }
}

/// Suspends the running stack, whose fiber has this hub part, and continues here when it is resumed.
#[inline(always)]
fn switch(state: &StackState, part: Option<&HubPart>, how: Suspension) {
    debug_assert!(
        place::is_stack(state),
        "only the running stack suspends itself, outside of any poll",
    );
    match ambient::any() {
        true => switch_without_ambients(state, part, how),
        false => switch_now(state, part, how),
    }
}

/// This is not inlined, because what the closure captures would be in the frame of the code that waits.
#[cold]
#[inline(never)]
fn switch_without_ambients(state: &StackState, part: Option<&HubPart>, how: Suspension) {
    if let (Suspension::Yielding, Some(fiber)) = (&how, state.fiber()) {
        fiber.note_waker("waker.wake_by_ref");
    }
    ambient::without_on(state, || switch_now(state, part, how));
}

#[inline(always)]
fn switch_now(state: &StackState, part: Option<&HubPart>, how: Suspension) {
    // The last thing before the suspension: see the Top Invariant of the hub part.
    if let Some(part) = part {
        part.note_top();
    }
    state.suspend(how);
    place::set_stack(state);
}
