//! Coroutines: bodies that run on stacks of their own. Nothing else in the crate changes stacks.
//!
//! # The two directions
//!
//! [`Coroutine::resume`] goes from the resumer onto a stack; [`Suspender::suspend`] goes back. The
//! engine saves the callee-saved registers. The resumer and the suspending code save everything
//! else that they need: see [`crate::current`].
//!
//! State that the operating system keeps for each thread (errno, the signal mask, the
//! floating-point control word) belongs to the thread and is not saved. Neither is std's panic
//! count, which is why [`crate::current::unwinding`] has rules about it.
//!
//! With the feature `backtrace`, a stack can also be resumed to store its frames, with
//! [`CoroutineCell::walk`]. It suspends again before any other code of it runs, so [`crate::current`]
//! does not notice. The code that looks for the frames runs on the resumer's stack, because this one
//! may have little room left.
//!
//! # Speed
//!
//! A switch puts the processor's record of return addresses out of step, so each function that
//! returns right after a switch costs a mispredicted branch. Both directions, and the code that
//! calls them in [`crate::current`], [`crate::wait`] and [`crate::scheduler`], are therefore always
//! inlined. They avoid closures, which cannot be marked so. [`Wait::wait`](crate::Wait::wait) is inlined into
//! its caller too. (Measured: 27 against 47 ns for each time that one of ten fibers gives way.)
//!
//! # Safety
//!
//! *Live Stack Invariant*: a stack with live frames is never freed, reset or reused. It holds
//! because dropping a [`Coroutine`] leaks its stack, and the only way to get the stack back is
//! [`Coroutine::into_stack`], which panics unless the body has finished. Pinned nodes of tokio's
//! lists and borrows of scoped threads point into such stacks.
//!
//! *Running Coroutine Invariant*: no code accesses a coroutine that is running. A [`CoroutineCell`]
//! gives no access to its coroutine while it is running, that is, from the `resume` until the
//! resumer calls `park` or `take`. Only the code that called `resume` calls these two, after
//! `resume` has returned. Other resumers own their coroutine and resume it through `&mut`.
#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::ManuallyDrop;

use corosensei::{CoroutineResult, Yielder};

use crate::base::contain::AbortOnUnwind;
use crate::base::{CACHE_LINE, Unwinding};
use crate::stack::{Extent, Stack};
#[cfg(all(feature = "backtrace", unix))]
use {
    crate::stack::{Frames, memory},
    std::ptr::NonNull,
};

/// What a stack is resumed for: `None` to go on, and otherwise to store its frames there.
#[cfg(all(feature = "backtrace", unix))]
type Errand = Option<NonNull<Frames>>;
#[cfg(all(feature = "backtrace", unix))]
const GO_ON: Errand = None;
#[cfg(not(all(feature = "backtrace", unix)))]
struct Errand;
#[cfg(not(all(feature = "backtrace", unix)))]
const GO_ON: Errand = Errand;

/// Why a stack suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspension {
    /// It waits, and is to be resumed when it is woken.
    Waiting,
    /// It gives way, and is to be resumed after everything that is ready.
    Yielding,
    /// It cannot go on and must never be resumed, so it is leaked. The value says what is known
    /// about its unwinding.
    Abandoned(Unwinding),
}

/// The result of a [`Coroutine::resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The stack suspended itself.
    Suspended(Suspension),
    /// The body returned; [`Coroutine::into_stack`] may be called.
    Finished,
}

type Engine = corosensei::Coroutine<Errand, Suspension, (), Stack>;

/// A body on a stack of its own, as its resumer sees it.
///
/// Dropping a coroutine whose body has not finished leaks its stack and everything on it.
pub(crate) struct Coroutine(ManuallyDrop<Engine>);

impl Coroutine {
    /// Creates a coroutine that will run `body` on `stack`.
    ///
    /// `body` receives its side of the switch, and the address range of the stack. It must not unwind: an
    /// unwind that escapes from it aborts the process, because no frame could catch it.
    pub(crate) fn new<F>(stack: Stack, body: F) -> Coroutine
    where
        F: FnOnce(Suspender, Extent) + 'static,
    {
        // SAFETY: `F: 'static`, so nothing that is borrowed can end.
        unsafe { Coroutine::new_unchecked(stack, body) }
    }

    /// Like [`new`](Coroutine::new), for a body that borrows.
    ///
    /// # Safety
    ///
    /// What `body` borrows must stay valid until the body has finished. If the body never begins,
    /// it must stay valid until the coroutine is dropped. If the coroutine is dropped after the
    /// body has begun and before it has finished, which leaks the stack, it must stay valid for
    /// ever.
    #[inline(always)]
    pub(crate) unsafe fn new_unchecked<F>(stack: Stack, body: F) -> Coroutine
    where
        F: FnOnce(Suspender, Extent),
    {
        if size_of::<F>() > MAX_BODY {
            // SAFETY: as promised by the caller; the box is owned by the body and borrows nothing
            // more.
            unsafe { Coroutine::put(stack, Box::new(body)) }
        } else {
            // SAFETY: as promised by the caller.
            unsafe { Coroutine::put(stack, body) }
        }
    }

    /// # Safety
    ///
    /// The requirements are those of [`new_unchecked`](Coroutine::new_unchecked).
    #[inline(always)]
    unsafe fn put<F>(stack: Stack, body: F) -> Coroutine
    where
        F: FnOnce(Suspender, Extent),
    {
        let extent = stack.extent();
        let root = move |yielder: &Yielder<Errand, Suspension>, _: Errand| {
            let bomb = AbortOnUnwind;
            body(Suspender { yielder }, extent);
            std::mem::forget(bomb);
        };
        // SAFETY: the engine requires that what the body borrows stays valid until the body has
        // finished or the coroutine is dropped, and for ever if the coroutine is forgotten.
        // Dropping a `Coroutine` forgets the engine's. Once the body has begun, the caller's
        // promise covers that. Before, the forgotten closure is never used again. The stack is
        // forgotten with it (Live Stack Invariant).
        let engine = unsafe { Engine::with_stack_unchecked(stack, root) };
        // One access of the thread-local, not two.
        UNFINISHED.with(|unfinished| unfinished.set(unfinished.get() + 1));
        Coroutine(ManuallyDrop::new(engine))
    }

    /// Runs the body until it suspends or ends.
    ///
    /// # Panics
    ///
    /// Panics if the body has already finished.
    #[inline(always)]
    pub(crate) fn resume(&mut self) -> Step {
        match self.0.resume(GO_ON) {
            CoroutineResult::Yield(suspension) => Step::Suspended(suspension),
            CoroutineResult::Return(()) => Step::Finished,
        }
    }

    /// Makes the stack, which is suspended, store its frames.
    #[cfg(all(feature = "backtrace", unix))]
    fn walk(&mut self, frames: &mut Frames) {
        // The resume would begin a body that has not begun, and one that has ended has no frames.
        assert!(self.0.started() && !self.0.done(), "the stack is suspended");
        let step = self.0.resume(Some(NonNull::from(frames)));
        debug_assert!(matches!(step, CoroutineResult::Yield(_)));
    }

    /// Leaves the stack and everything on it in place for ever.
    pub(crate) fn leak(self) {
        // Live Stack Invariant: the engine's coroutine is in a `ManuallyDrop`, so it is not
        // dropped.
    }

    /// Returns the stack of a body that has finished, for reuse.
    ///
    /// # Panics
    ///
    /// Panics if the body has not finished.
    pub(crate) fn into_stack(self) -> Stack {
        let stack = ManuallyDrop::into_inner(self.0).into_stack();
        UNFINISHED.with(|unfinished| unfinished.set(unfinished.get() - 1));
        stack
    }
}

/// Holds a coroutine that is resumed in place.
#[derive(Default)]
#[repr(C)]
pub(crate) struct CoroutineCell<B> {
    coroutine: UnsafeCell<Option<Coroutine>>,
    /// Set from [`resume`](CoroutineCell::resume) until [`park`](CoroutineCell::park) or
    /// [`take`](CoroutineCell::take).
    is_running: Cell<bool>,
    /// A few bytes for the owner, where there would otherwise be padding.
    pub(crate) beside: B,
}

impl<B> CoroutineCell<B> {
    /// Puts a coroutine into the cell. Any other one that is there is leaked.
    #[inline(always)]
    pub(crate) fn put(&self, coroutine: Coroutine) {
        assert!(
            !self.is_running.get(),
            "the coroutine that is running keeps its place"
        );
        // SAFETY: no other reference to the contents exists: the coroutine is not running, and the
        // other methods keep no reference and call no code that could come back here. The old
        // contents have no destructor that runs code (Live Stack Invariant).
        unsafe { *self.coroutine.get() = Some(coroutine) };
    }

    /// Returns whether the coroutine was resumed, and was neither parked nor taken out since.
    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.is_running.get()
    }

    /// Runs the body until it suspends or ends. The caller must then [`park`](CoroutineCell::park)
    /// the coroutine or [`take`](CoroutineCell::take) it out.
    ///
    /// # Panics
    ///
    /// Panics if there is no coroutine, or if it is running.
    #[inline(always)]
    pub(crate) fn resume(&self) -> Step {
        assert!(
            !self.is_running.replace(true),
            "a coroutine that is running is not resumed"
        );
        // SAFETY: `is_running` was false and is true now, so no other reference exists or is made
        // until this one is no longer used (Running Coroutine Invariant). The cell stays in place,
        // because `self` is borrowed.
        let coroutine = unsafe { &mut *self.coroutine.get() };
        match coroutine {
            Some(coroutine) => coroutine.resume(),
            None => panic!("there is a coroutine to resume"),
        }
    }

    /// Makes the stack, which is suspended, store its frames. It stays suspended.
    ///
    /// # Panics
    ///
    /// Panics if there is no coroutine, and if it is running or has not begun.
    #[cfg(all(feature = "backtrace", unix))]
    pub(crate) fn walk(&self, frames: &mut Frames) {
        assert!(
            !self.is_running.replace(true),
            "a coroutine that is running is not resumed"
        );
        // SAFETY: as in `resume`.
        let coroutine = unsafe { &mut *self.coroutine.get() };
        match coroutine {
            Some(coroutine) => coroutine.walk(frames),
            None => panic!("there is a coroutine to resume"),
        }
        self.is_running.set(false);
    }

    /// Marks the coroutine that was resumed as one that can be resumed again. Only the caller of
    /// [`resume`](CoroutineCell::resume) calls this, after it has returned.
    #[inline]
    pub(crate) fn park(&self) {
        debug_assert!(self.is_running.get(), "only what was resumed is parked");
        self.is_running.set(false);
    }

    /// Takes out the coroutine that was resumed. Only the caller of
    /// [`resume`](CoroutineCell::resume) calls this, after it has returned.
    ///
    /// # Panics
    ///
    /// Panics if it was not resumed.
    #[inline]
    pub(crate) fn take(&self) -> Coroutine {
        assert!(
            self.is_running.replace(false),
            "only what was resumed is taken out"
        );
        // SAFETY: `resume` has returned, so its reference is gone; the rest is as in `put`.
        let coroutine = unsafe { (*self.coroutine.get()).take() };
        coroutine.expect("what is running was not taken out")
    }
}

impl<B> fmt::Debug for CoroutineCell<B> {
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
    /// The number of bodies on this thread that have not finished.
    static UNFINISHED: Cell<usize> = const { Cell::new(0) };
}

/// Returns how many stacks of this thread have not returned. These are the stacks that wait, and
/// those that were abandoned or forgotten.
pub(crate) fn unfinished() -> usize {
    UNFINISHED.get()
}

/// The size in bytes above which a body is boxed. The engine copies the body to the stack and
/// refuses more than 1024 bytes.
const MAX_BODY: usize = 512;

/// The body's side of the switch. It is kept on the body's own stack.
#[derive(Debug)]
pub(crate) struct Suspender {
    yielder: *const Yielder<Errand, Suspension>,
}

impl Suspender {
    /// Gives the thread back to the resumer, and returns when the stack, whose address range is `extent`,
    /// is resumed.
    #[inline(always)]
    #[cfg_attr(not(all(feature = "backtrace", unix)), allow(unused_variables))]
    pub(crate) fn suspend(&self, how: Suspension, extent: &Extent) {
        // SAFETY: the engine keeps the yielder at the root of the stack for as long as the body
        // runs. Only code on that stack uses this `Suspender`, because it stays in the state that
        // the body creates at the root. So the yielder is valid here, and it belongs to the running
        // stack.
        let yielder = unsafe { &*self.yielder };
        #[cfg(not(all(feature = "backtrace", unix)))]
        let Errand = yielder.suspend(how);
        #[cfg(all(feature = "backtrace", unix))]
        while let Some(frames) = yielder.suspend(how) {
            Suspender::walk(*extent, yielder, frames);
        }
    }

    /// Stores the frames of this stack. This is not inlined, because each wait would have room for it
    /// in its own frame.
    #[cfg(all(feature = "backtrace", unix))]
    #[cold]
    #[inline(never)]
    fn walk(extent: Extent, yielder: &Yielder<Errand, Suspension>, mut frames: NonNull<Frames>) {
        // SAFETY: `Coroutine::walk` borrows it mutably until this stack suspends again, and does
        // nothing else meanwhile.
        let frames = unsafe { frames.as_mut() };
        // AddressSanitizer keeps variables elsewhere.
        let here = stack_pointer();
        if here < memory(extent).start + Frames::ROOM {
            return frames.refuse();
        }
        yielder.on_parent_stack(move || {
            // The walk begins with the frames of this closure, on the resumer's stack. Then come those
            // of this stack, of which the code up to `here` is left out. It ends at the resumer's.
            let mut was_here = false;
            let store = |frame: &backtrace::Frame| {
                let stack_pointer = frame.sp().addr();
                let is_ours = extent.contains(stack_pointer);
                was_here |= is_ours;
                match is_ours {
                    true => stack_pointer <= here || frames.push(frame.ip().addr()),
                    false => !was_here,
                }
            };
            // SAFETY: the crate asks for synchronization for systems whose unwinder needs it. That of
            // unix systems does not: each thread uses it when it panics. Where `Frame::sp` has
            // no answer it is null, and nothing is stored. `store` does not panic.
            unsafe { backtrace::trace_unsynchronized(store) }
        });
    }
}

/// Asks the processor to fetch `LINES` cache lines from `address` on. Does nothing on processors
/// other than x86_64. The address need not be valid.
#[inline(always)]
pub(crate) fn prefetch<const LINES: usize>(address: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..LINES {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        let address = address.wrapping_add(line * CACHE_LINE) as *const i8;
        // SAFETY: it needs SSE, which every x86_64 processor has. It is only a hint: it reads
        // nothing that the program can see, and does not fault on an invalid address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Returns about where the frame of the running function ends. It is for [`prefetch`].
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        let pointer: usize;
        // SAFETY: it copies a register and does nothing else, as the options say.
        unsafe {
            std::arch::asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        }
        pointer
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let here = 0_u8;
        std::ptr::from_ref(&here).addr()
    }
}
