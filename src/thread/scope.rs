//! [`scope`]: [`std::thread::scope`] for fibers. The scope itself is that of [`crate::scope()`].

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use super::{Thread, join_handle};
use crate::scheduler::launch::Settings;
use crate::scope::{self as scopes, ScopeSite, ScopedFiber};
use crate::wait::wait_as;

/// Runs `f` with a [`Scope`], whose fibers may borrow values that live around the call. Waits until
/// all of these fibers have ended.
///
/// This is [`switchback::scope`](crate::scope()), whose documentation has the rules, in std's shape.
///
/// # Cancel safety
///
/// If the caller is cancelled, the children are cancelled, and the result of `f` is lost.
///
/// # Panics
///
/// Panics with the panic of `f`, and if a child panicked that was not joined. Panics where waiting
/// is not allowed, as [`wait`](crate::Wait::wait) does, and on a plain thread.
///
/// # Examples
///
/// ```
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let mut names = vec!["ann", "bob"];
/// let mut longest = 0;
/// thread::scope(|s| {
///     s.spawn(|| assert_eq!(names.len(), 2)); // borrows
///     s.spawn(|| longest = names.iter().map(|name| name.len()).max().unwrap_or(0));
/// });
/// // The borrows have ended.
/// names.push("charlotte");
/// assert_eq!(longest, 3);
/// # }).unwrap();
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope(scopes::Scope::new(ScopeSite::here("`thread::scope`")));
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    scope.0.finish(result)
}

/// Spawns fibers that borrow, as [`std::thread::Scope`] does threads: see [`scope`].
pub struct Scope<'scope, 'env>(scopes::Scope<'scope, 'env>);

impl<'scope> Scope<'scope, '_> {
    /// Spawns a fiber that may borrow. Its body may use the scope too, and spawn into it.
    ///
    /// # Panics
    ///
    /// Panics if the hub is closed or no stack can be allocated. Use
    /// [`Builder::spawn_scoped`](super::Builder::spawn_scoped) to handle that.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    /// use switchback::thread;
    ///
    /// # switchback::run(|| {
    /// let count = Cell::new(0);
    /// thread::scope(|s| {
    ///     s.spawn(|| {
    ///         count.set(count.get() + 1);
    ///         s.spawn(|| count.set(count.get() + 1));
    ///     });
    /// });
    /// assert_eq!(count.get(), 2);
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        ScopedJoinHandle::new(self.0.spawn(f))
    }

    #[track_caller]
    pub(super) fn create<F, T>(
        &'scope self,
        settings: Settings,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        self.0.create(settings, f).map(ScopedJoinHandle::new)
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The owner of the result of a fiber spawned in a [`Scope`], as
/// [`std::thread::ScopedJoinHandle`] is of a thread's.
///
/// It is also a future, whose output is that of [`join`](ScopedJoinHandle::join). Dropping it detaches
/// the fiber, for which the scope waits.
pub struct ScopedJoinHandle<'scope, T> {
    fiber: ScopedFiber<'scope, T>,
    thread: Thread,
}

impl<'scope, T> ScopedJoinHandle<'scope, T> {
    fn new(fiber: ScopedFiber<'scope, T>) -> Self {
        ScopedJoinHandle {
            thread: Thread::of_fiber(fiber.handle()),
            fiber,
        }
    }

    /// Returns a handle to the fiber, without its result.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::thread;
    ///
    /// thread::scope(|s| {
    ///     let fiber = s.spawn(|| thread::park());
    ///     fiber.thread().unpark();
    /// });
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Waits until the fiber has ended and returns its result: see
    /// [`JoinHandle::join`](super::JoinHandle::join).
    ///
    /// # Errors
    ///
    /// As for [`JoinHandle::join`](super::JoinHandle::join).
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::thread;
    ///
    /// # switchback::run(|| {
    /// let sum = thread::scope(|s| {
    ///     let left = s.spawn(|| 40);
    ///     let right = s.spawn(|| 2);
    ///     left.join().unwrap() + right.join().unwrap()
    /// });
    /// assert_eq!(sum, 42);
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        wait_as("`ScopedJoinHandle::join`", self)
    }

    /// Returns whether the fiber has ended, so that [`join`](ScopedJoinHandle::join) does not wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::thread;
    ///
    /// thread::scope(|s| {
    ///     let fiber = s.spawn(|| ());
    ///     thread::yield_now();
    ///     assert!(fiber.is_finished());
    /// });
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !self.fiber.is_alive()
    }
}

impl<T> Future for ScopedJoinHandle<'_, T> {
    type Output = thread::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<thread::Result<T>> {
        let joined = Pin::new(&mut self.fiber).poll(cx);
        joined.map(|result| result.map_err(join_handle::payload))
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopedJoinHandle")
            .field(&self.thread)
            .finish()
    }
}
