//! [`scope`]: fibers that borrow from the stack of the one that spawns them.
//!
//! The design is that of [`std::thread::scope`]. What differs is who waits: the
//! parent is a fiber (or the body of a bridge), whose stack can be told to unwind
//! at any wait. The end of a scope is the one wait that nothing ends early:
//!
//! *Scope Invariant*: the frames below `scope` are left only when every child has
//! ended, that is, when its stack has returned and its closure, its locals and an
//! unclaimed result have been dropped. The hub counts a child as ended after it
//! has taken back its stack. Where the parent cannot wait for that, it leaves its
//! stack for ever instead.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::task::Waker;
use std::thread::panicking;

use crate::cancel::check_cancelled;
use crate::fiber::{Fiber, FiberHandle, FiberId, FiberRef, FiberState, Start};
use crate::foreign::{self, AbortOnUnwind};
use crate::hub::{Core, registry};
use crate::join::Join;
use crate::switch::{self, Place, Suspension};
use crate::wait::Spot;

/// Runs `f` with a [`Scope`] in which fibers can be spawned that borrow what
/// lives around the call, and waits until all of them have ended.
///
/// If `f` unwinds, by a panic or a cancel, its children are cancelled. The wait
/// at the end cannot be ended early: a cancel, a deadline or the close of the hub
/// that reaches the parent there is passed on to the children, and delivered to
/// the parent when they have ended.
///
/// The children run on the hub of the calling fiber, also while another runtime
/// is entered.
///
/// # Cancel safety
///
/// The result of `f` is lost if the scope is cancelled.
///
/// # Panics
///
/// With the panic of `f`; if a child panicked that was not joined; where waiting
/// is not possible, as [`wait`](crate::Wait::wait), and on a plain thread.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{prelude::*, scope, yield_now};
///
/// let words = vec!["to", "be", "or", "not"];
/// let total: usize = scope(|s| {
///     let mut fibers: Vec<_> = words
///         .iter()
///         .map(|word| s.spawn(|| { yield_now().wait(); word.len() }))
///         .collect();
///     fibers.iter_mut().map(|fiber| fiber.join().wait().unwrap()).sum()
/// });
/// assert_eq!(total, 9);
/// # }).unwrap();
/// ```
///
/// What is borrowed must live around the scope:
///
/// ```compile_fail,E0597
/// # switchback::run(|| {
/// switchback::scope(|s| {
///     let inside = String::from("gone too early");
///     let borrowed = &inside;
///     s.spawn(move || println!("{borrowed}"));
/// });
/// # }).unwrap();
/// ```
///
/// and a child's handle stays inside:
///
/// ```compile_fail,E0521
/// # switchback::run(|| {
/// let mut escaped = None;
/// switchback::scope(|s| {
///     escaped = Some(s.spawn(|| 1));
/// });
/// # }).unwrap();
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let spot = Spot::here("`scope`");
    assert!(
        matches!(spot, Spot::Fiber),
        "`scope` was called on a plain thread, where there is no hub for its fibers; call it in a \
         fiber, or use `std::thread::scope`",
    );
    let hub = match registry::current() {
        Ok(hub) => hub,
        Err(none) => panic!("{none}"),
    };
    let scope = Scope {
        hub,
        data: Rc::default(),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    // Scope Invariant: from here to the end of the last child nothing unwinds,
    // not even a waker of somebody else's.
    let bomb = AbortOnUnwind;
    if result.is_err() {
        scope.data.cancel_children("the scope is unwinding");
    }
    scope.end();
    mem::forget(bomb);
    match result {
        Err(payload) => resume_unwind(payload),
        Ok(value) => {
            if scope.data.was_interrupted.get() {
                // What came at the end is delivered now; the value goes with it.
                check_cancelled();
            }
            assert!(!scope.data.has_unclaimed_panic(), "a scoped fiber panicked");
            value
        }
    }
}

/// Where fibers can be spawned that borrow: see [`scope`].
///
/// It is shared by the parent and the children, all on one thread.
pub struct Scope<'scope, 'env: 'scope> {
    hub: Rc<Core>,
    data: Rc<ScopeData>,
    /// Invariant: what `'scope` borrows must not be shortened or lengthened.
    ///
    /// ```compile_fail
    /// # use switchback::Scope;
    /// fn shorten<'a, 'b: 'a, 'env>(s: &'a Scope<'b, 'env>) -> &'a Scope<'a, 'env> {
    ///     s // error: lifetime may not live long enough
    /// }
    /// ```
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// Owns the result of a fiber spawned in a [`Scope`].
pub struct ScopedFiber<'scope, T> {
    fiber: Fiber<T>,
    scope: PhantomData<(&'scope (), *const ())>,
}

impl<'scope> Scope<'scope, '_> {
    /// Makes a fiber that may borrow, and starts it: [`spawn`](crate::spawn) for
    /// a scope.
    ///
    /// # Panics
    ///
    /// If the hub is closed or no stack can be had.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedFiber<'scope, T>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        match self.create(f) {
            Ok(fiber) => ScopedFiber {
                fiber,
                scope: PhantomData,
            },
            // A second panic would abort the process.
            Err(e) if panicking() => ScopedFiber {
                fiber: Fiber::stillborn(e.to_string()),
                scope: PhantomData,
            },
            Err(e) => panic!("{e}"),
        }
    }

    #[allow(unsafe_code)]
    fn create<F, T>(&self, f: F) -> io::Result<Fiber<T>>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        let stack = self.hub.take_stack(None)?;
        let (hub, id) = (&self.hub, self.hub.ids.next());
        let (delivery, receipt) = hub.spares.packet(&hub.shared, id, None, Start::AtOnce);
        let child = receipt.fiber().clone();
        let scope = Some(self.data.clone());
        // SAFETY: `f` borrows for `'scope`, which lasts until `scope` returns
        // or unwinds. By the Scope Invariant that is after the body has
        // finished, or never. A child that was cancelled before it ran is run
        // too, to drop `f`. The hub never drops a coroutine that has not
        // finished but to leak it, and then the parent is abandoned.
        unsafe { self.hub.add_unchecked(delivery, stack, false, scope, f) };
        self.data.began(child);
        Ok(Fiber::from_receipt(receipt))
    }

    /// Waits until every child has ended.
    fn end(&self) {
        switch::with_place(|place| match place {
            Place::Fiber(state) => self.end_in(state),
            _ => unreachable!("a scope ends in the fiber where it began"),
        })
    }

    fn end_in(&self, state: &FiberState) {
        let mut taken = None;
        while self.data.has_children() {
            if state.has_ended() {
                // Nobody will wake this stack any more: the children end now.
                for child in self.data.children() {
                    self.hub.end_child(&child);
                }
                if self.data.has_children() {
                    // One runs below on this thread, or was abandoned.
                    state.abandon::<()>();
                }
                break;
            }
            if self.data.lost.get() {
                state.abandon::<()>();
            }
            if state.is_pending() {
                // A cancel is taken, so that the next one is seen and passed on
                // too, to children that caught this one.
                let cancelled = state.take_cancel();
                if cancelled.is_some() || !self.data.was_interrupted.replace(true) {
                    self.data.was_interrupted.set(true);
                    self.data.cancel_children("the scope was interrupted");
                }
                taken = taken.or(cancelled);
            }
            state.with_waker(|waker| self.data.set_parent(waker));
            state.pause(Suspension::Waiting);
        }
        if let Some(cancelled) = taken {
            state.owner.put_back_cancel(cancelled);
        }
    }
}

impl<T> ScopedFiber<'_, T> {
    /// Waits for the fiber to end and takes its result: see [`Fiber::join`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; the fiber can be joined again.
    ///
    /// # Errors
    ///
    /// As [`Fiber::join`].
    ///
    /// # Panics
    ///
    /// As [`Fiber::join`].
    #[track_caller]
    pub fn join(&mut self) -> Join<'_, T> {
        self.fiber.join()
    }

    /// Asks the fiber to end: see [`FiberHandle::cancel`].
    pub fn cancel(&self) -> bool {
        self.fiber.cancel()
    }

    /// Asks the fiber to end: see [`FiberHandle::cancel_with`].
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.fiber.cancel_with(message)
    }

    /// A handle to the fiber, without its result.
    pub fn handle(&self) -> FiberHandle {
        self.fiber.handle()
    }

    /// The fiber's number.
    pub fn id(&self) -> FiberId {
        self.fiber.id()
    }

    /// The fiber's name.
    pub fn name(&self) -> &str {
        self.fiber.name()
    }

    /// Whether the fiber has not ended.
    pub fn is_alive(&self) -> bool {
        self.fiber.is_alive()
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("children", &self.data.running.borrow().len())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for ScopedFiber<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopedFiber").field(&self.fiber).finish()
    }
}

/// What a scope, its children and the hub share.
#[derive(Debug, Default)]
pub(crate) struct ScopeData {
    /// The children whose stacks have not returned, in the order of their spawn.
    running: RefCell<BTreeMap<FiberId, FiberRef>>,
    /// The children that panicked, joined or not.
    panicked: RefCell<Vec<FiberRef>>,
    /// Whether a child's stack was abandoned: it will never return.
    lost: Cell<bool>,
    /// Why the children were cancelled: so is each that comes later.
    cancelled: Cell<Option<&'static str>>,
    /// Whether the parent was interrupted while it waited for them.
    was_interrupted: Cell<bool>,
    /// Whoever waits for the last child.
    parent: RefCell<Option<Waker>>,
}

impl ScopeData {
    /// The stack of a child has returned.
    pub(crate) fn child_ended(&self, child: FiberRef) {
        let last = {
            let mut running = self.running.borrow_mut();
            running.remove(&child.id());
            running.is_empty()
        };
        if child.has_unclaimed_panic() {
            let mut panicked = self.panicked.borrow_mut();
            // What was claimed goes when the list would have to grow.
            if panicked.len() == panicked.capacity() {
                panicked.retain(|child| child.has_unclaimed_panic());
            }
            panicked.push(child);
        }
        if last {
            self.wake_parent();
        }
    }

    /// The stack of a child was leaked.
    pub(crate) fn child_abandoned(&self) {
        self.lost.set(true);
        self.wake_parent();
    }

    fn began(&self, child: FiberRef) {
        if let Some(message) = self.cancelled.get() {
            child.cancel(Some(message.into()));
        }
        self.running.borrow_mut().insert(child.id(), child);
    }

    fn has_children(&self) -> bool {
        !self.running.borrow().is_empty()
    }

    fn children(&self) -> Vec<FiberRef> {
        self.running.borrow().values().cloned().collect()
    }

    /// Whether a child panicked and nobody took the panic.
    fn has_unclaimed_panic(&self) -> bool {
        let panicked = self.panicked.borrow();
        panicked.iter().any(|child| child.has_unclaimed_panic())
    }

    fn cancel_children(&self, message: &'static str) {
        self.cancelled.set(Some(message));
        for child in self.children() {
            child.cancel(Some(message.into()));
        }
    }

    fn set_parent(&self, waker: &Waker) {
        let old = self.parent.replace(Some(waker.clone()));
        foreign::run("the drop of a waker", || drop(old));
    }

    fn wake_parent(&self) {
        let parent = self.parent.take();
        if let Some(parent) = parent {
            foreign::wake(parent);
        }
    }
}
