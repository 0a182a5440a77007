//! The coroutine engine: make, resume, suspend, leak. Nothing else in the crate changes stacks.
//!
//! # The two directions
//!
//! [`Coroutine::resume`] goes from the resumer onto a stack, [`Suspender::suspend`] goes back. The
//! engine saves the callee-saved registers. Who resumes and who suspends save what else they need:
//! see [`crate::current`].
//!
//! What the operating system keeps per thread (errno, the signal mask, the floating-point control
//! word) belongs to the thread and is not saved. So does std's panic count, which is why
//! [`crate::current::unwinding`] has rules about it.
//!
//! # Speed
//!
//! A switch leaves the processor's record of return addresses out of step, so each function that
//! returns right after one is a branch predicted wrongly. Both directions, and what calls them in
//! [`crate::current`], [`crate::wait`] and [`crate::scheduler`], are therefore inlined by force,
//! without closures, which cannot be; so is [`Wait::wait`](crate::Wait::wait), into the code that
//! calls it. (Measured: 27 against 47 ns for each time that one of ten fibers gives way.)
//!
//! # Safety
//!
//! *Live Stack Invariant*: a stack with live frames is never freed, reset or reused. It holds
//! because dropping a [`Coroutine`] leaks it, and its stack comes out only through
//! [`Coroutine::into_stack`], which insists that it has finished. Pinned nodes of tokio's lists and
//! borrows of scoped threads point into such stacks.
//!
//! *Running Coroutine Invariant*: nothing reaches a coroutine that is running. A [`CoroutineCell`],
//! where it is resumed in place, gives no access to it from before `resume` until its resumer parks
//! it or takes it out; other resumers own what they resume.
#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::ManuallyDrop;

use corosensei::{CoroutineResult, Yielder};

use crate::base::Unwinding;
use crate::base::contain::AbortOnUnwind;
use crate::stack::{Extent, Stack};

/// Why a stack gave the thread back.
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
    /// `body` gets its side of the switch. It must not unwind. An unwind that escapes it aborts the
    /// process, since nothing could catch it.
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

/// Holds a coroutine that is resumed where it is.
#[derive(Default)]
pub(crate) struct CoroutineCell {
    coroutine: UnsafeCell<Option<Coroutine>>,
    /// From [`resume`](CoroutineCell::resume) until [`park`](CoroutineCell::park) or
    /// [`take`](CoroutineCell::take).
    is_running: Cell<bool>,
}

impl CoroutineCell {
    /// Puts in a coroutine.
    #[inline(always)]
    pub(crate) fn put(&self, coroutine: Coroutine) {
        assert!(
            !self.is_running.get(),
            "the coroutine that is running keeps its place"
        );
        // SAFETY: nobody else refers to it: the resumer alone does, while it is out, and
        // all others only inside of these methods, which call nobody.
        unsafe { *self.coroutine.get() = Some(coroutine) };
    }

    /// Whether the coroutine was resumed, and was neither parked nor taken out since.
    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.is_running.get()
    }

    /// Runs the body until it suspends or ends. Then the caller has to [`park`](CoroutineCell::park)
    /// the coroutine or to [`take`](CoroutineCell::take) it out.
    ///
    /// # Panics
    ///
    /// If there is no coroutine, or it is running.
    #[inline(always)]
    pub(crate) fn resume(&self) -> Step {
        assert!(
            !self.is_running.replace(true),
            "a coroutine that is running is not resumed"
        );
        // SAFETY: it is running now, so nothing else refers to it until this is over (Running
        // Coroutine Invariant). `self` is borrowed, so it stays.
        let coroutine = unsafe { &mut *self.coroutine.get() };
        match coroutine {
            Some(coroutine) => coroutine.resume(),
            None => panic!("there is a coroutine to resume"),
        }
    }

    /// The coroutine that was resumed can be resumed again.
    #[inline]
    pub(crate) fn park(&self) {
        debug_assert!(self.is_running.get(), "only what was resumed is parked");
        self.is_running.set(false);
    }

    /// Takes out the coroutine that was resumed.
    ///
    /// # Panics
    ///
    /// If it was not resumed.
    #[inline]
    pub(crate) fn take(&self) -> Coroutine {
        assert!(
            self.is_running.replace(false),
            "only what was resumed is taken out"
        );
        // SAFETY: as in `put`.
        let coroutine = unsafe { (*self.coroutine.get()).take() };
        coroutine.expect("what is running was not taken out")
    }
}

impl fmt::Debug for CoroutineCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoroutineCell")
            .field("is_running", &self.is_running)
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

/// How many stacks of this thread have not returned: those that wait, and those that were abandoned
/// or forgotten.
pub(crate) fn unfinished() -> usize {
    UNFINISHED.get()
}

/// Larger bodies are boxed, in bytes. The engine copies a body to the stack and
/// refuses more than 1024 bytes.
const MAX_BODY: usize = 512;

/// The body's side of the switch. It lives on the body's own stack.
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

    /// Gives the thread back to the resumer, and returns when resumed.
    #[inline(always)]
    pub(crate) fn suspend(&self, how: Suspension) {
        // SAFETY: the engine keeps the yielder at the root of the stack that it was handed out on,
        // for as long as the body runs. A `Suspender` is used by the code on that stack only (it
        // stays in the state that the body builds at the root), so this runs above that root.
        let yielder = unsafe { &*self.yielder };
        yielder.suspend(how);
    }
}
