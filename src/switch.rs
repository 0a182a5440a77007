//! The only contact with the coroutine engine: start, resume, suspend, and the
//! record of where the thread is.
//!
//! # The two directions
//!
//! [`Coroutine::resume`] goes from the resumer (the hub) onto a fiber's stack,
//! [`Suspender::suspend`] goes back. Nothing else in the crate changes stacks.
//!
//! # What a switch saves
//!
//! The engine saves the callee-saved registers. Of the thread's ambient state
//! we save one thing, [`CURRENT`]: which code the thread is running. It is a
//! stack kept in local variables: whoever enters a new place restores the old
//! one in a guard's `Drop`, so it survives unwinding. What the operating system
//! keeps per thread (errno, the signal mask, the floating-point control word)
//! belongs to the thread and is not saved; std's panic count belongs to the
//! thread too, which is why [`crate::cancel`] has rules about it.
//!
//! # Speed
//!
//! A switch leaves the processor's record of return addresses out of step, so each
//! function that returns right after one is a branch predicted wrongly. Both
//! directions, and what calls them in [`crate::wait`] and [`crate::hub`], are
//! therefore inlined by force, without closures, which cannot be; so is
//! [`Wait::wait`](crate::Wait::wait), into the code that calls it. (Measured: 27 against
//! 47 ns for each time that one of ten fibers gives way.)
//!
//! # Safety
//!
//! *Current Invariant*: while `CURRENT` holds `Fiber(p)` or `Poll(p)`, `p`
//! points at the [`FiberState`] at the root of the stack that is running; while
//! it holds `Hub(p)` or `Driver(p)`, `p` points at an `Rc<Core>` borrowed by the guard that
//! put it there, which is further up the same chain of stacks. It holds because
//! (1) only this module writes `CURRENT`; (2) a stack sets it when it begins and
//! again each time [`Suspender::suspend`] returns; (3) `resume` puts the
//! resumer's value back before anything else runs there; (4) every guard is
//! dropped on the stack that made it, before that stack suspends, since nobody
//! suspends from any other place than `Fiber` ([`crate::wait`] refuses). For the same
//! reasons [`BENEATH`] points at the `FiberState` of the innermost stack of ours, or is
//! null where there is none, while `CURRENT` holds neither `Fiber` nor `Poll`.
//!
//! *Live Stack Invariant*: a stack with live frames is never freed, reset or
//! reused. It holds because dropping a [`Coroutine`] leaks it, and its stack comes
//! out only through [`Coroutine::into_stack`], which insists that it has finished. Pinned nodes
//! of tokio's lists and borrows of scoped threads point into such stacks.
//!
//! *Running Coroutine Invariant*: nobody reaches a coroutine that runs. A [`Berth`],
//! where it is resumed in place, gives no access to it from before `resume` until its
//! resumer lets it rest or takes it out; other resumers own what they resume.
#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;
use std::rc::Rc;

use corosensei::{CoroutineResult, Yielder};

use crate::cancel::Unwinding;
use crate::fiber::FiberState;
use crate::foreign::AbortOnUnwind;
use crate::hub::Core;
use crate::stack::{Extent, Stack};

/// Why a fiber gave the thread back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspension {
    /// It waits and wants to be resumed when it is woken.
    Waiting,
    /// It wants to be resumed after everything that is ready.
    Yielding,
    /// It cannot go on and must never be resumed: leak it. With what is known of
    /// its unwinding.
    Abandoned(Unwinding),
}

/// What came of a [`Coroutine::resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The stack suspended itself.
    Suspended(Suspension),
    /// The body returned; [`Coroutine::into_stack`] may be called.
    Finished,
}

type Engine = corosensei::Coroutine<(), Suspension, (), Stack>;

/// A body on a stack of its own, seen from the resumer.
///
/// Dropping one that has not finished leaks its stack and everything on it.
pub(crate) struct Coroutine(ManuallyDrop<Engine>);

impl Coroutine {
    /// Puts `body` on `stack` without running it.
    ///
    /// `body` gets the fiber's side of the switch and builds its [`FiberState`]
    /// from it, to be made current with [`run_fiber`]. It must not unwind; an
    /// unwind that escapes it aborts the process, since there is nobody to catch
    /// it.
    pub(crate) fn new<F>(stack: Stack, body: F) -> Coroutine
    where
        F: FnOnce(Suspender) + 'static,
    {
        // SAFETY: nothing is borrowed.
        unsafe { Coroutine::new_unchecked(stack, body) }
    }

    /// As [`new`](Coroutine::new), for a body that borrows.
    ///
    /// # Safety
    ///
    /// What `body` borrows must be valid until the body has finished or, if it
    /// was never begun, until the coroutine is dropped; if it is dropped in
    /// between, which leaks it, for ever.
    #[inline(always)]
    pub(crate) unsafe fn new_unchecked<F>(stack: Stack, body: F) -> Coroutine
    where
        F: FnOnce(Suspender),
    {
        if size_of::<F>() > MAX_BODY {
            // SAFETY: as promised by the caller; the box is part of the body.
            unsafe { Coroutine::put(stack, Box::new(body)) }
        } else {
            // SAFETY: as promised by the caller.
            unsafe { Coroutine::put(stack, body) }
        }
    }

    /// # Safety
    ///
    /// As [`new_unchecked`](Coroutine::new_unchecked).
    #[inline(always)]
    unsafe fn put<F>(stack: Stack, body: F) -> Coroutine
    where
        F: FnOnce(Suspender),
    {
        let extent = stack.extent();
        let root = move |yielder: &Yielder<(), Suspension>, ()| {
            let bomb = AbortOnUnwind;
            body(Suspender { yielder, extent });
            std::mem::forget(bomb);
        };
        // SAFETY: as promised by the caller. A coroutine that is forgotten keeps
        // its stack for ever: Live Stack Invariant.
        let engine = unsafe { Engine::with_stack_unchecked(stack, root) };
        UNFINISHED.set(UNFINISHED.get() + 1);
        Coroutine(ManuallyDrop::new(engine))
    }

    /// Runs the body until it suspends or ends.
    ///
    /// # Panics
    ///
    /// If the body has already finished.
    #[inline(always)]
    pub(crate) fn resume(&mut self) -> Step {
        let _resumer = Restore(CURRENT.get());
        match self.0.resume(()) {
            CoroutineResult::Yield(suspension) => Step::Suspended(suspension),
            CoroutineResult::Return(()) => Step::Finished,
        }
    }

    /// Leaves the stack, and what is on it, as it is for ever.
    pub(crate) fn leak(self) {
        // Live Stack Invariant: the engine is in a `ManuallyDrop`.
    }

    /// The stack of a body that has finished, for reuse.
    ///
    /// # Panics
    ///
    /// If the body has not finished.
    pub(crate) fn into_stack(self) -> Stack {
        let stack = ManuallyDrop::into_inner(self.0).into_stack();
        UNFINISHED.set(UNFINISHED.get() - 1);
        stack
    }
}

/// A place for a coroutine that is resumed where it is.
#[derive(Default)]
pub(crate) struct Berth {
    coroutine: UnsafeCell<Option<Coroutine>>,
    /// From [`resume`](Berth::resume) until [`rest`](Berth::rest) or
    /// [`leave`](Berth::leave).
    is_out: Cell<bool>,
}

impl Berth {
    /// Puts in a coroutine.
    #[inline(always)]
    pub(crate) fn put(&self, coroutine: Coroutine) {
        assert!(!self.is_out.get(), "nobody takes the place of what runs");
        // SAFETY: nobody else refers to it: the resumer alone does, while it is out, and
        // all others only inside of these methods, which call nobody.
        unsafe { *self.coroutine.get() = Some(coroutine) };
    }

    /// Whether the coroutine has been resumed, and neither rests nor has left.
    #[inline]
    pub(crate) fn is_out(&self) -> bool {
        self.is_out.get()
    }

    /// Runs the body until it suspends or ends, and leaves the coroutine to the
    /// caller: to [`rest`](Berth::rest) or to [`leave`](Berth::leave).
    ///
    /// # Panics
    ///
    /// If there is no coroutine, or it is out.
    #[inline(always)]
    pub(crate) fn resume(&self) -> Step {
        assert!(!self.is_out.replace(true), "what runs is not resumed");
        // SAFETY: it is out now, so nobody else refers to it until this is over
        // (Running Coroutine Invariant). `self` is borrowed, so it stays.
        let coroutine = unsafe { &mut *self.coroutine.get() };
        match coroutine {
            Some(coroutine) => coroutine.resume(),
            None => panic!("there is a coroutine to resume"),
        }
    }

    /// The coroutine that was resumed can be resumed again.
    #[inline]
    pub(crate) fn rest(&self) {
        debug_assert!(self.is_out.get(), "what was resumed comes to rest");
        self.is_out.set(false);
    }

    /// Takes out the coroutine that was resumed.
    ///
    /// # Panics
    ///
    /// If it was not resumed.
    #[inline]
    pub(crate) fn leave(&self) -> Coroutine {
        assert!(self.is_out.replace(false), "what was resumed leaves");
        // SAFETY: as in `put`.
        let coroutine = unsafe { (*self.coroutine.get()).take() };
        coroutine.expect("what is out has not left")
    }
}

impl fmt::Debug for Berth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Berth")
            .field("is_out", &self.is_out)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Coroutine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coroutine")
            .field("started", &self.0.started())
            .field("done", &self.0.done())
            .finish()
    }
}

thread_local! {
    /// How many bodies of this thread have not finished.
    static UNFINISHED: Cell<usize> = const { Cell::new(0) };
}

/// How many stacks of this thread have not returned: those that wait, and those
/// that were abandoned or forgotten.
pub(crate) fn unfinished() -> usize {
    UNFINISHED.get()
}

/// Larger bodies are boxed, in bytes. The engine copies a body to the stack and
/// refuses more than 1024 bytes.
const MAX_BODY: usize = 512;

/// The fiber's side of the switch. It lives on the fiber's own stack.
#[derive(Debug)]
pub(crate) struct Suspender {
    yielder: *const Yielder<(), Suspension>,
    extent: Extent,
}

impl Suspender {
    /// Where the stack is.
    #[allow(dead_code)] // where there is no overflow report
    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    /// Gives the thread back to the resumer and returns when resumed.
    ///
    /// `state` is the caller's own state: the one this suspender is part of.
    #[inline(always)]
    pub(crate) fn suspend(&self, state: &FiberState, how: Suspension) {
        debug_assert!(
            matches!(CURRENT.get(), Current::Fiber(p) if std::ptr::eq(p, state)),
            "only the running fiber suspends itself, outside of any poll",
        );
        // SAFETY: the engine keeps the yielder at the root of the stack that it
        // was handed out on, for as long as the body runs. A `Suspender` never
        // leaves the `FiberState` made by that body, so whoever holds `&self`
        // runs above that root.
        let yielder = unsafe { &*self.yielder };
        yielder.suspend(how);
        CURRENT.set(Current::Fiber(state));
    }
}

/// Runs `body` as the code of the fiber with this state: makes it current.
///
/// Called once, at the root of the fiber's stack.
pub(crate) fn run_fiber<R>(state: &FiberState, body: impl FnOnce() -> R) -> R {
    // The resumer's guard puts its own value back when the stack ends.
    CURRENT.set(Current::Fiber(state));
    body()
}

thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(Current::Outside) };
    /// The innermost stack of ours, for a place that is not on it by itself: a hub
    /// that is driven in a fiber, say.
    static BENEATH: Cell<*const FiberState> = const { Cell::new(ptr::null()) };
}

/// The state of the innermost stack of ours, or null.
fn innermost() -> *const FiberState {
    match CURRENT.get() {
        Current::Fiber(state) | Current::Poll(state) => state,
        _ => BENEATH.get(),
    }
}

/// A thread's place, for a signal handler.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code)] // where there is no overflow report
pub(crate) struct Watch {
    current: *const Cell<Current>,
    beneath: *const Cell<*const FiberState>,
}

#[allow(dead_code)] // where there is no overflow report
impl Watch {
    pub(crate) fn of_this_thread() -> Watch {
        Watch {
            current: CURRENT.with(ptr::from_ref),
            beneath: BENEATH.with(ptr::from_ref),
        }
    }

    /// The state of the innermost stack of ours that the thread runs on.
    ///
    /// # Safety
    ///
    /// The caller is on the thread that made this. It may be a signal handler, for a
    /// fault of that thread; the state is valid until it returns, and may be in the
    /// middle of a change.
    pub(crate) unsafe fn innermost<'a>(self) -> Option<&'a FiberState> {
        // The handler runs between two instructions of this thread, so what the
        // thread has written is seen. A compiler may move such a write past the
        // instruction that faults, if it sees both; but a stack overflows where a function
        // is entered that was not inlined, which may itself want to read the place.
        // SAFETY: variables without a destructor stay until their thread is gone. By
        // the caller's promise it is here. Nothing else refers to them meanwhile.
        let current = unsafe { self.current.cast::<Current>().read_volatile() };
        let state = match current {
            Current::Fiber(state) | Current::Poll(state) => state,
            // SAFETY: as above.
            _ => unsafe { self.beneath.cast::<*const FiberState>().read_volatile() },
        };
        // SAFETY: Current Invariant. The stack at whose root the state is does not
        // go on before the handler returns.
        unsafe { state.as_ref() }
    }
}

/// [`Place`] as it is stored.
#[derive(Clone, Copy)]
enum Current {
    Outside,
    ThreadPoll,
    Hub(*const Rc<Core>),
    Driver(*const Rc<Core>),
    Poll(*const FiberState),
    Fiber(*const FiberState),
}

/// Which code the thread is running.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// Nothing of ours: async code or a plain thread.
    Outside,
    /// A future polled by a wait that blocks a plain thread.
    ThreadPoll,
    /// The hub's own code, between two fibers.
    Hub(&'a Rc<Core>),
    /// The future that a `run_until` of this hub polls: async code.
    Driver(&'a Rc<Core>),
    /// A future polled by a waiting fiber. It counts as async code.
    Poll(&'a FiberState),
    /// The fiber itself.
    Fiber(&'a FiberState),
}

/// A frame of the code that is running: a local variable of whoever asks for its
/// place, which is borrowed no longer than that frame is there.
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
            // SAFETY: Current Invariant; the borrow ends with the frame, which is above
            // the guard that lent the pointer.
            Current::Hub(core) => Place::Hub(unsafe { &*core }),
            // SAFETY: as above.
            Current::Driver(core) => Place::Driver(unsafe { &*core }),
            // SAFETY: Current Invariant; the borrow ends with the frame, which is on
            // the stack that has the state at its root. Should that stack be
            // abandoned meanwhile, it is leaked and the state stays valid.
            Current::Poll(state) => Place::Poll(unsafe { &*state }),
            // SAFETY: as above.
            Current::Fiber(state) => Place::Fiber(unsafe { &*state }),
        }
    }
}

/// Calls `f` with the place that the thread is at.
#[inline]
pub(crate) fn with_place<R>(f: impl FnOnce(Place<'_>) -> R) -> R {
    f(Frame::new().place())
}

/// Marks the thread as running the hub's own code until the guard is dropped.
pub(crate) fn enter_hub(core: &Rc<Core>) -> OtherPlaceGuard<'_> {
    OtherPlaceGuard::enter(Current::Hub(core))
}

/// Marks the thread as running async code in a driver of this hub until the guard
/// is dropped.
pub(crate) fn enter_driver(core: &Rc<Core>) -> OtherPlaceGuard<'_> {
    OtherPlaceGuard::enter(Current::Driver(core))
}

/// Marks the running fiber as polling a future until the guard is dropped.
#[inline]
pub(crate) fn enter_poll(state: &FiberState) -> PlaceGuard<'_> {
    PlaceGuard::enter(Current::Poll(state))
}

/// Marks the thread as blocked in a wait of its own until the guard is dropped.
pub(crate) fn enter_thread_poll() -> OtherPlaceGuard<'static> {
    OtherPlaceGuard::enter(Current::ThreadPoll)
}

/// Leaves the place it was made for when dropped, also on unwind.
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

/// As [`PlaceGuard`], for a place that is on no stack of ours by itself.
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

/// Puts a value back into [`BENEATH`] when dropped.
#[derive(Debug)]
struct RestoreBeneath(*const FiberState);

impl Drop for RestoreBeneath {
    fn drop(&mut self) {
        BENEATH.set(self.0);
    }
}

/// Puts a value back into [`CURRENT`] when dropped.
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
