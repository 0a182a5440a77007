//! [`Place`]: which code the thread is running.
//!
//! It is a stack, kept in local variables: who enters a new place restores the old one in a guard's
//! `Drop`, so it survives unwinding.
//!
//! # Safety
//!
//! *Current Invariant*: while [`CURRENT`] holds `Stack(p)` or `Poll(p)`, `p` points at the
//! [`StackState`] at the root of the stack that is running; while it holds `Hub(p)` or `Driver(p)`,
//! `p` points at an `Rc<Core>` borrowed by the guard that put it there, which is further up the same
//! chain of stacks. It holds because (1) only this file writes `CURRENT`; (2) a stack sets it when
//! it begins and again each time that it is resumed, in [`super::suspend`]; (3) [`resume`] puts the
//! resumer's value back before anything else runs there; (4) every guard is dropped on the stack
//! that made it, before that stack suspends, since nothing suspends from any other place than
//! `Stack` ([`super::wait_site`] refuses). For the same reasons [`BENEATH`] points at the state of
//! the innermost stack of ours, or is null where there is none, while `CURRENT` holds neither
//! `Stack` nor `Poll`.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::rc::Rc;

use super::stack_state::StackState;
use crate::base::executors::{self, BlockGuard};
use crate::hub::Core;
use crate::switch::{Coroutine, CoroutineCell, Step};

/// Which code the thread is running.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// Nothing of ours: async code or a plain thread.
    Outside,
    /// A future polled by a wait that blocks a plain thread.
    ThreadPoll,
    /// The hub's own code, between two fibers.
    Hub(&'a Rc<Core>),
    /// The future that a `run_until` of this hub polls. It is async code.
    Driver(&'a Rc<Core>),
    /// A future polled by a wait on this stack. It counts as async code.
    Poll(&'a StackState),
    /// The code on this stack, of a fiber or a bridge.
    Stack(&'a StackState),
}

/// [`Place`] as it is stored.
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
    /// The innermost stack of ours beneath a place that is not on a stack of ours by its nature,
    /// such as a hub that is driven in a fiber.
    static BENEATH: Cell<*const StackState> = const { Cell::new(ptr::null()) };
}

/// A frame of the code that is running: a local variable of the function that asks for its place,
/// which is borrowed no longer than that frame is there.
#[derive(Debug)]
pub(crate) struct Frame(PhantomData<*const ()>);

impl Frame {
    #[inline(always)]
    pub(crate) fn new() -> Frame {
        Frame(PhantomData)
    }

    /// The place that the thread is at.
    #[inline(always)]
    pub(crate) fn place(&self) -> Place<'_> {
        match CURRENT.get() {
            Current::Outside => Place::Outside,
            Current::ThreadPoll => Place::ThreadPoll,
            // SAFETY: Current Invariant; the borrow ends with the frame, which is above the guard
            // that lent the pointer.
            Current::Hub(core) => Place::Hub(unsafe { &*core }),
            // SAFETY: as above.
            Current::Driver(core) => Place::Driver(unsafe { &*core }),
            // SAFETY: Current Invariant; the borrow ends with the frame, which is on the stack that
            // has the state at its root. If that stack is abandoned meanwhile, it is leaked, and
            // the state stays valid.
            Current::Poll(state) => Place::Poll(unsafe { &*state }),
            // SAFETY: as above.
            Current::Stack(state) => Place::Stack(unsafe { &*state }),
        }
    }
}

/// Calls `f` with the place that the thread is at.
#[inline]
pub(crate) fn with_place<R>(f: impl FnOnce(Place<'_>) -> R) -> R {
    f(Frame::new().place())
}

/// Resumes a coroutine in its cell, and keeps the resumer's place.
#[inline(always)]
pub(crate) fn resume(coroutine: &CoroutineCell) -> Step {
    let _resumer = Restore(CURRENT.get());
    coroutine.resume()
}

/// Resumes a coroutine, and keeps the resumer's place.
#[inline(always)]
pub(crate) fn resume_owned(coroutine: &mut Coroutine) -> Step {
    let _resumer = Restore(CURRENT.get());
    coroutine.resume()
}

/// Runs `body` as the code of the stack with this state. Called once, at the root of the stack.
pub(crate) fn run_stack<R>(state: &StackState, body: impl FnOnce() -> R) -> R {
    // The resumer puts its own value back when the stack ends.
    set_stack(state);
    body()
}

/// The stack with this state goes on, or begins.
#[inline(always)]
pub(super) fn set_stack(state: &StackState) {
    CURRENT.set(Current::Stack(state));
}

/// Whether the code that runs is that of the stack with this state.
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

/// Marks the thread as blocked in a wait of its own until the guard is dropped.
pub(crate) fn enter_thread_poll() -> (OtherPlaceGuard<'static>, BlockGuard) {
    let place = OtherPlaceGuard::enter(Current::ThreadPoll);
    (place, executors::block_thread())
}

/// Leaves the place that it was made for when it is dropped, also on unwind.
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

/// As [`PlaceGuard`], for a place that is not on a stack of ours by its nature.
#[derive(Debug)]
pub(crate) struct OtherPlaceGuard<'a> {
    /// Restored first: until then [`BENEATH`] is for the place that is left.
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

/// The state of the innermost stack of ours, or null.
fn innermost() -> *const StackState {
    match CURRENT.get() {
        Current::Stack(state) | Current::Poll(state) => state,
        _ => BENEATH.get(),
    }
}

/// Puts a value back into [`BENEATH`] when it is dropped.
#[derive(Debug)]
struct RestoreBeneath(*const StackState);

impl Drop for RestoreBeneath {
    fn drop(&mut self) {
        BENEATH.set(self.0);
    }
}

/// Puts a value back into [`CURRENT`] when it is dropped.
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

/// A thread's place, for a signal handler.
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

    /// The state of the innermost stack of ours that the thread runs on.
    ///
    /// # Safety
    ///
    /// The caller is on the thread that made this. It may be a signal handler, for a fault of that
    /// thread; the state is valid until it returns, and may be in the middle of a change.
    pub(crate) unsafe fn innermost<'a>(self) -> Option<&'a StackState> {
        // The handler runs between two instructions of this thread, so what the thread has written
        // is seen. A compiler may move such a write past the instruction that faults, if it sees
        // both; but a stack overflows where a function is entered that was not inlined, which may
        // itself want to read the place.
        // SAFETY: variables without a destructor stay until their thread is gone. By the caller's
        // promise it is here. Nothing else refers to them meanwhile.
        let current = unsafe { self.current.cast::<Current>().read_volatile() };
        let state = match current {
            Current::Stack(state) | Current::Poll(state) => state,
            // SAFETY: as above.
            _ => unsafe { self.beneath.cast::<*const StackState>().read_volatile() },
        };
        // SAFETY: Current Invariant. The stack at whose root the state is does not go on before the
        // handler returns.
        unsafe { state.as_ref() }
    }
}
