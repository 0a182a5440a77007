//! [`Place`]: which code the thread is running.
//!
//! Places are nested, and each is kept in a local variable: code that enters a new place keeps the
//! old one in a guard, whose `Drop` restores it, also on unwind.
//!
//! # Safety
//!
//! *Current Invariant*: while [`CURRENT`] holds `Stack(p)` or `Poll(p)`, `p` points to the
//! [`StackState`] at the root of the stack that is running. While it holds `Hub(p)` or `Driver(p)`,
//! `p` points to an `Rc<Core>` that the guard which set it has borrowed; that guard is in a
//! caller's frame, on the same chain of stacks. The invariant holds because
//!
//! 1. only this file writes `CURRENT`;
//! 2. a stack sets it when it begins and each time that it is resumed, in [`super::suspend`];
//! 3. [`resume`] restores the resumer's value before any other code runs there;
//! 4. each guard is dropped on the stack that made it, before that stack suspends, because a stack
//!    suspends only in the place `Stack` ([`super::wait_site`] refuses all others).
//!
//! For the same reasons, while `CURRENT` holds neither `Stack` nor `Poll`, [`BENEATH`] points to
//! the state of the innermost stack of ours, or is null if there is none.
//!
//! *Root Invariant*: `state` in a fiber's [cold part](crate::shared::ColdPart), if it is set and the
//! fiber's phase is `Begun`, points to the [`StackState`] at the root of its stack. It is set when the
//! stack begins. When the stack has returned, its hub sets the phase to `Over` before any other code
//! runs; a stack that is left for ever is not freed (Live Stack Invariant of [`crate::switch`]).
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::rc::Rc;

use super::Resumer;
use super::stack_state::StackState;
use crate::base::executors::{self, BlockGuard};
use crate::hub::Core;
use crate::shared::{FiberRef, LocalPhase};
use crate::switch::{Coroutine, CoroutineCell, Step};

/// Which code the thread is running.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// No code of ours: async code or a plain thread.
    Outside,
    /// A future that is polled by a wait that blocks a plain thread.
    ThreadPoll,
    /// The hub's own code, between two fibers.
    Hub(&'a Rc<Core>),
    /// The future that a `run_until` of this hub polls. It counts as async code.
    Driver(&'a Rc<Core>),
    /// A future that is polled by a wait on this stack. It counts as async code.
    Poll(&'a StackState),
    /// The code of a fiber or a bridge, on this stack.
    Stack(&'a StackState),
}

impl<'a> Place<'a> {
    /// Returns the hub whose code runs, or that of the fiber whose code runs.
    #[inline(always)]
    pub(crate) fn hub(self) -> Option<&'a Rc<Core>> {
        match self {
            Place::Stack(state) | Place::Poll(state) => state.hub(),
            Place::Hub(core) | Place::Driver(core) => Some(core),
            Place::Outside | Place::ThreadPoll => None,
        }
    }
}

/// The stored form of [`Place`].
#[derive(Clone, Copy)]
enum Current {
    Outside,
    ThreadPoll,
    Hub(*const Rc<Core>),
    Driver(*const Rc<Core>),
    Poll(*const StackState),
    Stack(*const StackState),
}

thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(Current::Outside) };
    /// The innermost stack of ours below a place that is not tied to a stack, such as that of a hub
    /// that is driven in a fiber.
    static BENEATH: Cell<*const StackState> = const { Cell::new(ptr::null()) };
}

/// A frame of the running code. It must be a local variable of the function that asks for its
/// place, because the place is borrowed for as long as this is.
#[derive(Debug)]
pub(crate) struct Frame(PhantomData<*const ()>);

impl Frame {
    #[inline(always)]
    pub(crate) fn new() -> Frame {
        Frame(PhantomData)
    }

    /// Returns the place of the thread.
    #[inline(always)]
    pub(crate) fn place(&self) -> Place<'_> {
        match CURRENT.get() {
            Current::Outside => Place::Outside,
            Current::ThreadPoll => Place::ThreadPoll,
            // SAFETY: by the Current Invariant the pointer is valid until the guard that set it is
            // dropped. The borrow ends with this frame, which that guard's function has called, and
            // so before.
            Current::Hub(core) => Place::Hub(unsafe { &*core }),
            // SAFETY: as for `Hub`.
            Current::Driver(core) => Place::Driver(unsafe { &*core }),
            // SAFETY: by the Current Invariant the pointer is valid. The borrow ends with this
            // frame, which is on the stack that has the state at its root. If that stack is
            // abandoned meanwhile, it is leaked, and the state stays valid.
            Current::Poll(state) => Place::Poll(unsafe { &*state }),
            // SAFETY: as for `Poll`.
            Current::Stack(state) => Place::Stack(unsafe { &*state }),
        }
    }
}

/// Calls `f` with the place of the thread.
#[inline(always)]
pub(crate) fn with_place<R>(f: impl FnOnce(Place<'_>) -> R) -> R {
    f(Frame::new().place())
}

/// Resumes a coroutine in its cell, and then restores the resumer's place.
#[inline(always)]
pub(crate) fn resume<B>(coroutine: &CoroutineCell<B>) -> Step {
    let _resumer = Restore(CURRENT.get());
    coroutine.resume()
}

/// Resumes a coroutine, and then restores the resumer's place.
#[inline(always)]
pub(crate) fn resume_owned(coroutine: &mut Coroutine) -> Step {
    let _resumer = Restore(CURRENT.get());
    coroutine.resume()
}

/// Runs `body` as the code of the stack with this state. Called once, at the root of the stack.
#[inline(always)]
pub(crate) fn run_stack<R>(state: &StackState, body: impl FnOnce() -> R) -> R {
    // The resumer restores its own value when the stack ends.
    set_stack(state);
    body()
}

/// Records that the stack with this state runs, after it was resumed or at its beginning.
#[inline(always)]
pub(super) fn set_stack(state: &StackState) {
    CURRENT.set(Current::Stack(state));
}

/// Records where the state of a fiber's stack is. Called once, when the stack begins.
#[inline(always)]
pub(super) fn note_root(state: &StackState) {
    if let Resumer::Hub { fiber, hub } = &state.resumer {
        fiber.note_root(&hub.token, NonNull::from(state).cast());
    }
}

/// Calls `f` with the state of the stack of a fiber of this hub. Returns `None` if the stack has not
/// begun, or is over.
pub(crate) fn look_at<R>(
    hub: &Core,
    fiber: &FiberRef,
    f: impl FnOnce(&StackState) -> R,
) -> Option<R> {
    if hub.part(fiber).phase.get() != LocalPhase::Begun {
        return None;
    }
    let state = hub.cold_part(fiber).state.get()?;
    // SAFETY: by the Root Invariant it points to the state of the fiber's stack, and stays valid
    // while `f` runs, because the stack runs on this thread only and `f` does not resume it. There
    // is never a `&mut` to it.
    Some(f(unsafe { state.cast::<StackState>().as_ref() }))
}

/// Returns whether the running code is that of the stack with this state.
pub(super) fn is_stack(state: &StackState) -> bool {
    matches!(CURRENT.get(), Current::Stack(current) if ptr::eq(current, state))
}

/// Marks the thread as running the hub's own code until the guard is dropped.
pub(crate) fn enter_hub(core: &Rc<Core>) -> OtherPlaceGuard<'_> {
    OtherPlaceGuard::enter(Current::Hub(core))
}

/// Marks the thread as running async code in a driver of this hub until the guard is dropped.
pub(crate) fn enter_driver(core: &Rc<Core>) -> OtherPlaceGuard<'_> {
    OtherPlaceGuard::enter(Current::Driver(core))
}

/// Marks the running stack as polling a future until the guard is dropped.
#[inline]
pub(crate) fn enter_poll(state: &StackState) -> PlaceGuard<'_> {
    PlaceGuard::enter(Current::Poll(state))
}

/// Marks the running code as one that cannot wait, in the midst of a switch between stacks, until the
/// guard is dropped.
pub(super) fn enter_hook() -> PlaceGuard<'static> {
    PlaceGuard::enter(match CURRENT.get() {
        Current::Stack(state) | Current::Poll(state) => Current::Poll(state),
        Current::Outside | Current::ThreadPoll => Current::ThreadPoll,
        hubs @ (Current::Hub(_) | Current::Driver(_)) => hubs,
    })
}

/// Marks the thread as blocked in a wait of its own until the guard is dropped.
pub(crate) fn enter_thread_poll() -> (OtherPlaceGuard<'static>, BlockGuard) {
    let place = OtherPlaceGuard::enter(Current::ThreadPoll);
    (place, executors::block_thread())
}

/// Restores the previous place when it is dropped, also on unwind.
#[derive(Debug)]
pub(crate) struct PlaceGuard<'a> {
    _previous: Restore,
    _lends: PhantomData<&'a ()>,
}

impl PlaceGuard<'_> {
    #[inline]
    fn enter(current: Current) -> Self {
        PlaceGuard {
            _previous: Restore(CURRENT.replace(current)),
            _lends: PhantomData,
        }
    }
}

/// Like [`PlaceGuard`], for a place that is not tied to a stack of ours.
#[derive(Debug)]
pub(crate) struct OtherPlaceGuard<'a> {
    /// This is restored first: until then [`BENEATH`] belongs to the place that is left.
    _place: PlaceGuard<'a>,
    _beneath: RestoreBeneath,
}

impl OtherPlaceGuard<'_> {
    fn enter(current: Current) -> Self {
        let beneath = RestoreBeneath(BENEATH.replace(innermost()));
        OtherPlaceGuard {
            _place: PlaceGuard::enter(current),
            _beneath: beneath,
        }
    }
}

/// Returns whether the code that runs is on a stack of ours.
pub(crate) fn is_on_stack() -> bool {
    !innermost().is_null()
}

/// Returns the state of the innermost stack of ours, or null.
fn innermost() -> *const StackState {
    match CURRENT.get() {
        Current::Stack(state) | Current::Poll(state) => state,
        _ => BENEATH.get(),
    }
}

/// Restores [`BENEATH`] when it is dropped.
#[derive(Debug)]
struct RestoreBeneath(*const StackState);

impl Drop for RestoreBeneath {
    fn drop(&mut self) {
        BENEATH.set(self.0);
    }
}

/// Restores [`CURRENT`] when it is dropped.
struct Restore(Current);

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

impl fmt::Debug for Restore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Restore")
    }
}

/// The place of a thread, for a signal handler.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code)] // where there is no overflow report
pub(crate) struct PlaceOfThread {
    current: *const Cell<Current>,
    beneath: *const Cell<*const StackState>,
}

#[allow(dead_code)] // where there is no overflow report
impl PlaceOfThread {
    pub(crate) fn this() -> PlaceOfThread {
        PlaceOfThread {
            current: CURRENT.with(ptr::from_ref),
            beneath: BENEATH.with(ptr::from_ref),
        }
    }

    /// Returns the state of the innermost stack of ours that the thread is running on.
    ///
    /// # Safety
    ///
    /// The caller must be on the thread that made this. It may be a signal handler for a fault of
    /// that thread. The state is valid until the handler returns, and may be in the middle of a
    /// change.
    pub(crate) unsafe fn innermost<'a>(self) -> Option<&'a StackState> {
        // The handler runs between two instructions of this thread, so it sees what the thread has
        // written. A compiler might move such a write past the instruction that faults, if it sees
        // both. But a stack overflows at the entry of a function that was not inlined, and such a
        // function might itself read the place.
        //
        // SAFETY: a thread-local without a destructor stays valid until its thread ends, and by the
        // caller's promise this is that thread, which is still running. A `Cell` has the layout of
        // its contents, and no other code accesses it during the handler.
        let current = unsafe { self.current.cast::<Current>().read_volatile() };
        let state = match current {
            Current::Stack(state) | Current::Poll(state) => state,
            // SAFETY: as above.
            _ => unsafe { self.beneath.cast::<*const StackState>().read_volatile() },
        };
        // SAFETY: by the Current Invariant the pointer is null or points to the state at the root
        // of a stack. That stack does not run again before the handler returns.
        unsafe { state.as_ref() }
    }
}
