//! [`try_scope`]: a [`scope`](crate::scope()) that the first failure ends.
//!
//! The design is that of the nursery in Python's trio. The body of the scope is under an entry of the
//! stack's deadlines that has no timer: it expires when a child fails. So each wait of the body
//! throws from then on, code that catches panics cannot consume it, and only this call catches it.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Waker;

use crate::base::contain;
use crate::cancel::CAN_UNWIND;
use crate::current::{Deadline, Expired, Place, StackState, with_place};
use crate::scope::{self, Around, Scope, ScopeSite, ScopedFiber};
use crate::shared::Cancelled;

/// Runs `f` with a [`TryScope`], whose fibers may borrow and may fail. The first failure ends the
/// others. Waits until all of these fibers have ended.
///
/// A child fails if it returns an error or panics; so does the body `f`. One that is cancelled does
/// not. After the first failure, the other children are cancelled, those that are spawned later too,
/// and so is `f`: its current wait and each later one throw until `f` has ended, even if `f` catches
/// that. When all have ended, `try_scope` returns the first error. Errors that come later are
/// dropped.
///
/// In all else this is [`scope`](crate::scope()).
///
/// # Cancel safety
///
/// If the parent is cancelled, the children are cancelled. The parent unwinds when they have ended;
/// results and errors are lost.
///
/// # Errors
///
/// Returns the error of the child, or of `f`, that failed first.
///
/// # Panics
///
/// Panics with the panic of `f`, and if the first failure was the panic of a child. Panics where
/// [`scope`](crate::scope()) does, and in a build with `panic = "abort"`, which cannot unwind `f`.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{prelude::*, try_scope};
///
/// let parts = ["1", "two", "3"];
/// let sum = try_scope(|s| {
///     // One that would wait for ever, if the others came to their end.
///     s.spawn(|| -> Result<(), _> { Ok(std::future::pending().wait()) });
///     let fibers = parts.map(|part| s.spawn(|| part.parse::<u32>()));
///     Ok(fibers.into_iter().map(|fiber| fiber.wait().unwrap()).sum::<u32>())
/// });
/// assert_eq!(sum.unwrap_err().to_string(), "invalid digit found in string");
/// # }).unwrap();
/// ```
#[track_caller]
pub fn try_scope<'env, F, T, E>(f: F) -> Result<T, E>
where
    F: for<'scope> FnOnce(TryScope<'scope, 'env, E>) -> Result<T, E>,
{
    if !CAN_UNWIND {
        panic!(
            "`try_scope` ends its body by unwinding, which `panic = \"abort\"` rules out; use `scope`"
        );
    }
    let site = ScopeSite::here("`try_scope`");
    with_place(|place| match place {
        Place::Stack(state) => run(state, site, f),
        _ => unreachable!("a scope begins on a stack"),
    })
}

fn run<'env, F, T, E>(state: &StackState, site: ScopeSite, f: F) -> Result<T, E>
where
    F: for<'scope> FnOnce(TryScope<'scope, 'env, E>) -> Result<T, E>,
{
    let shields = state.shields.get();
    let enter = |waker: &_| state.deadlines.enter(FAILED, false, shields, waker);
    let (body, frame) = state.with_waker(enter);
    let failures = Failures {
        body,
        first: Cell::new(None),
    };
    let result = scope::around(site, &failures, |scope, around| {
        let result = catch_unwind(AssertUnwindSafe(|| {
            f(TryScope {
                scope,
                failures: around,
            })
        }));
        // Nothing of the user's runs from here until the children have ended.
        drop(frame);
        match result {
            Ok(Ok(value)) => Ok((Some(value), None)),
            Ok(Err(error)) => Ok((None, failures.add(Failure::Error(error), scope))),
            Err(payload) => match payload.downcast::<Expired>() {
                Ok(expired) if expired.is_of(&failures.body) => Ok((None, None)),
                Ok(outer) => Err(outer as Box<_>),
                Err(payload) => Err(payload),
            },
        }
    });
    let (value, late) = match result {
        Ok(ended) => ended,
        Err(payload) => resume_unwind(payload),
    };
    drop(late);
    match (failures.first.take(), value) {
        (Some(Failure::Error(error)), _) => Err(error),
        (None, Some(value)) => Ok(value),
        (Some(Failure::Panic), _) => panic!("a scoped fiber panicked"),
        (None, None) => unreachable!("only a failure ends the body early"),
    }
}

/// Spawns fibers that borrow and may fail: see [`try_scope`].
///
/// It is a handle, which can be copied into the children. An error may borrow what lives around the
/// scope, and nothing that is inside.
///
/// ```compile_fail,E0597
/// # switchback::run(|| {
/// let _ = switchback::try_scope(|s| {
///     let inside = String::from("gone too early");
///     let borrowed = &inside;
///     s.spawn(move || Err::<(), &str>(borrowed));
///     Ok(())
/// });
/// # }).unwrap();
/// ```
pub struct TryScope<'scope, 'env, E> {
    scope: &'scope Scope<'scope, 'env>,
    failures: Around<'scope, Failures<E>>,
}

impl<E> Clone for TryScope<'_, '_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for TryScope<'_, '_, E> {}

/// What has failed.
struct Failures<E> {
    /// Expires at the first failure, and ends the body.
    body: Arc<Deadline>,
    first: Cell<Option<Failure<E>>>,
}

enum Failure<E> {
    Error(E),
    /// The child's joiner has the payload, or it was reported.
    Panic,
}

/// What ends the body, and the other children.
const FAILED: &str = "another fiber of its scope has failed";

impl<'scope, E> TryScope<'scope, '_, E> {
    /// Makes a fiber that may borrow and may fail, and starts it.
    ///
    /// The join of a child gives its value. If it has returned an error, the scope has that error,
    /// and the join says that the child was cancelled.
    ///
    /// # Panics
    ///
    /// As for [`Scope::spawn`].
    #[track_caller]
    pub fn spawn<F, U>(&self, f: F) -> ScopedFiber<'scope, U>
    where
        F: FnOnce() -> Result<U, E> + 'scope,
        U: 'scope,
        E: 'scope,
    {
        let this = *self;
        this.scope.spawn(move || this.run_child(f))
    }

    fn run_child<U>(self, f: impl FnOnce() -> Result<U, E>) -> U {
        let failures = self.failures.get();
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => {
                drop(failures.add(Failure::Error(error), self.scope));
                let why = "it has failed, and its scope has the error";
                resume_unwind(Box::new(Cancelled::because(why)));
            }
            Err(payload) => {
                if !payload.is::<Cancelled>() {
                    failures.add(Failure::Panic, self.scope);
                }
                resume_unwind(payload);
            }
        }
    }
}

impl<E> Failures<E> {
    /// Adds a failure, and ends all others if it is the first. Returns a later one.
    fn add(&self, failure: Failure<E>, scope: &Scope<'_, '_>) -> Option<Failure<E>> {
        if let Some(first) = self.first.take() {
            self.first.set(Some(first));
            return Some(failure);
        }
        self.first.set(Some(failure));
        scope.cancel_others(FAILED);
        contain::wake(Waker::from(self.body.clone()));
        None
    }
}

impl<E> fmt::Debug for TryScope<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryScope")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
