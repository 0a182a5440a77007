//! [`scope`]: fibers that borrow from the stack of the one that spawns them.
//!
//! The design is that of [`std::thread::scope`]. The difference is in what waits: the parent is a
//! fiber (or the body of a bridge), whose stack can be told to unwind at any wait. The wait at the
//! end of a scope is therefore the only one that nothing ends early:
//!
//! *Scope Invariant*: the frames below `scope` are left only when every child has ended, that is,
//! when the child's stack has returned and its closure, its locals and an unclaimed result were
//! dropped. The hub counts a child as ended after it has taken back the child's stack. If the
//! parent cannot wait for that, it leaves its stack for ever instead.

use std::any::type_name;
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread;

use crate::base::contain::{self, AbortOnUnwind};
use crate::base::{OwnKey, Unwinding};
use crate::cancel::{check_cancelled, interrupt};
use crate::current::{
    Blocker, Place, SiteKind, StackState, WaitSite, body, heritage, origin, refuse_other_runtime,
    suspend, with_place,
};
use crate::handles::{Fiber, FiberHandle, Join, JoinError};
use crate::hub::{Children, Core};
use crate::scheduler::launch::{self, Settings};
use crate::scheduler::{attach, end_child};
use crate::shared::{FiberId, Start};
use crate::switch::Coroutine;

/// Runs `f` with a [`Scope`], whose fibers may borrow values that live around the call. Waits until
/// all of these fibers have ended.
///
/// If `f` unwinds, by a panic or a cancel, its children are cancelled. The wait at the end cannot
/// be ended early. If a cancel, a deadline or the close of the hub reaches the parent there, the
/// children are cancelled, and the parent receives it when they have ended.
///
/// The children run on the hub of the calling fiber, even if they are spawned while another runtime is
/// entered.
///
/// # Cancel safety
///
/// The result of `f` is lost if the scope is cancelled.
///
/// # Panics
///
/// Panics with the panic of `f`, and if a child panicked that was not joined. Panics where waiting
/// is not allowed, as [`wait`](crate::Wait::wait) does, while another runtime is entered, and on a plain
/// thread.
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
/// Borrowed values must live around the scope:
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
/// A child's handle must stay inside:
///
/// ```compile_fail,E0521
/// # switchback::run(|| {
/// let mut escaped = None;
/// switchback::scope(|s| {
///     escaped = Some(s.spawn(|| 1));
/// });
/// # }).unwrap();
/// ```
#[doc(alias = "coroutineScope")]
#[doc(alias = "StructuredTaskScope")]
#[doc(alias = "WaitGroup")]
#[doc(alias = "JoinSet")]
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope::new(ScopeSite::here("`scope`"));
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    scope.finish(result)
}

/// Runs `body` in a scope that `value` lives around, and waits until every child has ended. An interrupt
/// that came meanwhile is then thrown, if the body has returned a value. The body must not unwind.
pub(crate) fn around<'env, V, T, F>(site: ScopeSite, value: &V, body: F) -> thread::Result<T>
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>, Around<'scope, V>) -> thread::Result<T>,
{
    let scope = Scope::new(site);
    let value = Around {
        value: ptr::from_ref(value).cast_mut(),
        scope: PhantomData,
    };
    let bomb = AbortOnUnwind;
    let result = body(&scope, value);
    scope.end(result.is_err());
    mem::forget(bomb);
    if result.is_ok() {
        scope.deliver_interrupt();
    }
    result
}

/// What lives around a scope, for the body and the children: see [`around`].
///
/// It is not a `&'scope V`, because that would imply `V: 'scope` in the body's closure. From this and
/// `'env: 'scope` together, the compiler concludes that whatever the children borrow has to be `'static`,
/// even if `V` is.
pub(crate) struct Around<'scope, V> {
    /// It makes this invariant in `V`.
    value: *mut V,
    /// Invariant in `'scope`, as in [`Scope`].
    scope: PhantomData<&'scope mut &'scope ()>,
}

impl<V> Around<'_, V> {
    #[allow(unsafe_code)]
    pub(crate) fn get(&self) -> &V {
        // SAFETY: it points to what the caller of `around` borrows to it. By the Scope Invariant the
        // frames below `around` are left only when every child has ended, and its body has returned
        // before, so no other code has this while the value is gone.
        unsafe { &*self.value }
    }
}

impl<V> Clone for Around<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Around<'_, V> {}

/// Where a scope begins, and the call that begins it.
#[derive(Debug)]
pub(crate) struct ScopeSite {
    /// The hub for its fibers.
    hub: Rc<Core>,
    at: &'static Location<'static>,
    call: &'static str,
}

impl ScopeSite {
    /// Returns the site of a scope of the running code. A refusal names `call`.
    ///
    /// # Panics
    ///
    /// Panics where a scope could not wait, and where there is no hub.
    #[track_caller]
    pub(crate) fn here(call: &'static str) -> ScopeSite {
        // In async code there is no scope to await.
        let site = WaitSite::here_unless_async(call, "");
        assert!(
            site.kind == SiteKind::Stack,
            "{call} was called on a plain thread, where there is no hub for its fibers; call it in a \
             fiber, such as the body of `switchback::run`, or use `std::thread::scope`",
        );
        with_place(|place| match place {
            // At the end of the scope it would be too late to refuse.
            Place::Stack(state) if state.resumer.is_in_other_runtime() => {
                refuse_other_runtime(call)
            }
            _ => {}
        });
        let hub = match attach::current() {
            Ok(hub) => hub,
            Err(none) => panic!("{none}"),
        };
        ScopeSite {
            hub,
            at: Location::caller(),
            call,
        }
    }
}

/// Spawns fibers that borrow: see [`scope`].
///
/// The parent and the children share it, all on one thread.
pub struct Scope<'scope, 'env: 'scope> {
    hub: Rc<Core>,
    children: Rc<Children>,
    /// Where the scope was begun, and by which call.
    at: &'static Location<'static>,
    call: &'static str,
    /// Whether the parent was interrupted while it waited for the children.
    was_interrupted: Cell<bool>,
    /// This is invariant in `'scope`, which must be neither shortened nor lengthened.
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

/// The owner of the result of a fiber spawned in a [`Scope`]. It is itself a future, with the same
/// output as [`join`](ScopedFiber::join). Dropping it detaches the fiber, for which the scope waits.
pub struct ScopedFiber<'scope, T> {
    fiber: Fiber<T>,
    scope: PhantomData<(&'scope (), *const ())>,
}

impl<'scope> Scope<'scope, '_> {
    /// Creates a scope that begins here. The caller runs a body, and then calls [`end`](Scope::end) before
    /// anything else that might unwind.
    pub(crate) fn new(site: ScopeSite) -> Self {
        Scope {
            hub: site.hub,
            children: Rc::default(),
            at: site.at,
            call: site.call,
            was_interrupted: Cell::new(false),
            scope: PhantomData,
            env: PhantomData,
        }
    }

    /// Makes a fiber that may borrow, and starts it: [`spawn`](crate::spawn) for a scope.
    ///
    /// # Panics
    ///
    /// Panics if the hub is closed or no stack can be allocated. If the thread is already
    /// panicking, this returns a fiber that counts as cancelled instead.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedFiber<'scope, T>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        self.create(Settings::default(), f).unwrap_or_else(|e| {
            contain::panic_once(&e);
            ScopedFiber::new(Fiber::stillborn(e.to_string()))
        })
    }

    /// Makes a fiber with these settings that may borrow, and starts it.
    #[allow(unsafe_code)]
    #[track_caller]
    pub(crate) fn create<F, T>(
        &self,
        settings: Settings,
        f: F,
    ) -> io::Result<ScopedFiber<'scope, T>>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        let hub = &self.hub;
        let origin = origin();
        // First, because it runs the user's code, which may close the hub.
        let inherited = heritage::inherit();
        let stack = launch::stack(hub, settings.stack_size)?;
        let name = settings.name.map(String::into_boxed_str);
        let (child, sender, receiver) =
            launch::channel(hub, hub.ids.next(), name, Start::AtOnce, origin);
        launch::begin(hub, &child, &stack, settings.measure_stack);
        let body = body::body(hub, sender, inherited, f);
        // SAFETY: the body borrows for `'scope`, which lasts until `scope` returns or unwinds. By
        // the Scope Invariant that is after the body has finished, or never. A child that was
        // cancelled before it ran is run too, to drop `f`. Before the body has finished, the hub
        // drops its coroutine only to leak it; the parent is then abandoned, so the borrows never
        // end. If this function panics before the child is launched, the body never begins.
        let coroutine = unsafe { Coroutine::new_unchecked(stack, body) };
        self.children.begin(&child);
        launch::enter(hub, child, coroutine, Some(self.children.clone()));
        self.children.pass_on_cancel(receiver.fiber());
        Ok(ScopedFiber::new(Fiber::from_receiver(receiver)))
    }

    /// Waits until every child has ended. Then returns the result of the body or throws what has
    /// ended it.
    #[track_caller]
    pub(crate) fn finish<T>(&self, result: thread::Result<T>) -> T {
        self.end(result.is_err());
        match result {
            Err(payload) => resume_unwind(payload),
            Ok(value) => {
                self.deliver_interrupt();
                assert!(
                    !self.children.has_unclaimed_panic(),
                    "a scoped fiber panicked"
                );
                value
            }
        }
    }

    /// Waits until every child has ended. `unwinds` says whether the body has unwound.
    pub(crate) fn end(&self, unwinds: bool) {
        // Scope Invariant: until the last child has ended, nothing unwinds.
        let bomb = AbortOnUnwind;
        if unwinds {
            self.children.cancel("the scope is unwinding");
        }
        self.wait_for_children();
        mem::forget(bomb);
    }

    /// Delivers the interrupt that came while the scope waited for its children, if there was one.
    pub(crate) fn deliver_interrupt(&self) {
        if self.was_interrupted.get() {
            check_cancelled();
        }
    }

    /// Cancels all children but the one that is running, since one of them has failed.
    pub(crate) fn cancel_others(&self, message: &'static str) {
        with_place(|place| {
            let own = match place {
                Place::Stack(state) => state.fiber(),
                _ => None,
            };
            self.children.cancel_others(message, own);
        });
    }

    fn wait_for_children(&self) {
        with_place(|place| match place {
            Place::Stack(state) => self.end_on(state),
            _ => unreachable!("a scope ends on the stack where it began"),
        })
    }

    fn end_on(&self, state: &StackState) {
        let mut taken = None;
        let is_bridge = state.fiber().is_none();
        let failure = OwnKey::default();
        while !self.children.is_empty() {
            if state.has_ended() {
                // Nothing will wake this stack again, so the children are ended now.
                self.end_children(state);
                break;
            }
            if self.hub.mailbox.failure().is_some() {
                // Nothing drives the hub any more, so the children are ended now.
                self.end_children(state);
                break;
            }
            if self.children.is_lost() {
                suspend::abandon(state);
            }
            interrupt::probe(state, state.unwinding() == Unwinding::No, self.at);
            if interrupt::is_pending(state) {
                // The cancel is taken here, so that the next one is noticed and passed on too, to
                // children that caught this one.
                let cancelled = interrupt::take_cancel(state);
                if cancelled.is_some() || !self.was_interrupted.replace(true) {
                    self.was_interrupted.set(true);
                    self.children.cancel("the scope was interrupted");
                }
                taken = taken.or(cancelled);
            }
            state.with_waker(|waker| {
                self.children.set_parent(waker);
                if is_bridge {
                    // A failure of the hub wakes it too.
                    self.hub.mailbox.joiners().leave(&failure, waker);
                }
            });
            if self.hub.mailbox.failure().is_none() {
                // Nothing ends this stack before its children.
                state.resumer.put_off(true);
                state.begin_wait();
                state.note_suspension(self.at, self.call, type_name::<Scope<'_, '_>>);
                state
                    .wait
                    .note(Blocker::Scope(Rc::as_ptr(&self.children).addr()));
                suspend::pause(state);
                state.resumer.put_off(false);
            }
        }
        self.hub.mailbox.joiners().forget(&failure);
        if let Some(cancelled) = taken {
            state.resumer.redeliver(cancelled);
        }
    }

    /// Ends the children by force. If that is not possible, abandons the parent.
    fn end_children(&self, state: &StackState) {
        for child in self.children.running() {
            end_child(&self.hub, &child);
        }
        if !self.children.is_empty() {
            // A child is running further down on this thread, or was abandoned.
            suspend::abandon(state);
        }
    }
}

impl<T> ScopedFiber<'_, T> {
    fn new(fiber: Fiber<T>) -> Self {
        ScopedFiber {
            fiber,
            scope: PhantomData,
        }
    }

    /// Returns a future that waits for the fiber to end and gives its result: see [`Fiber::join`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing, and the fiber can be joined again.
    ///
    /// # Errors
    ///
    /// As for [`Fiber::join`].
    ///
    /// # Panics
    ///
    /// As for [`Fiber::join`].
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

    /// Returns a handle to the fiber, without its result.
    #[must_use]
    pub fn handle(&self) -> FiberHandle {
        self.fiber.handle()
    }

    /// Returns the fiber's ID.
    #[must_use]
    pub fn id(&self) -> FiberId {
        self.fiber.id()
    }

    /// Returns the fiber's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.fiber.name()
    }

    /// Returns whether the fiber has not ended.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.fiber.is_alive()
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("children", &self.children.len())
            .finish_non_exhaustive()
    }
}

impl<T> Future for ScopedFiber<'_, T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.fiber).poll(cx)
    }
}

impl<T> fmt::Debug for ScopedFiber<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopedFiber").field(&self.fiber).finish()
    }
}
