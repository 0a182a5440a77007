//! [`Thread`]: a fiber or a plain thread, for those who want to unpark it.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::parker::{self, Parker};
use crate::current::{Place, unwinding, with_place};
use crate::handles::FiberHandle;
use crate::shared::FiberId;

/// A fiber, the body of a bridge or a plain thread, as [`std::thread::Thread`] is a thread.
///
/// # Examples
///
/// ```
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let this = thread::current();
/// thread::spawn(move || this.unpark());
/// thread::park(); // until the other fiber has run
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Thread(Kind);

#[derive(Clone)]
enum Kind {
    Fiber(FiberHandle),
    /// The body of a bridge, or a plain thread.
    Other(Arc<Parker>),
}

/// Returns the fiber that is running, or else the plain thread.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::thread;
///
/// let fiber = thread::Builder::new()
///     .name("named".to_string())
///     .spawn(|| assert_eq!(thread::current().name(), Some("named")));
/// fiber.unwrap().join().unwrap();
/// # }).unwrap();
/// ```
#[must_use]
pub fn current() -> Thread {
    let fiber = with_place(|place| match place {
        Place::Stack(state) | Place::Poll(state) => state.fiber().cloned(),
        _ => None,
    });
    Thread(match fiber {
        Some(fiber) => Kind::Fiber(FiberHandle(fiber)),
        None => Kind::Other(parker::current()),
    })
}

/// Returns the number of the fiber that is running, or else of the bridge or plain thread. No other has
/// the same.
pub(crate) fn current_number() -> u64 {
    let fiber = with_place(|place| match place {
        Place::Stack(state) | Place::Poll(state) => state.fiber().map(|fiber| fiber.id()),
        _ => None,
    });
    fiber.unwrap_or_else(|| parker::current().id()).number()
}

/// Returns whether the calling code's own stack is unwinding: because of a panic, or because its
/// fiber is cancelled.
///
/// [`std::thread::panicking`] counts for the whole thread, and is true for every fiber of a thread on
/// which another one waits in a destructor while it unwinds. As long as one does, this is true only
/// where the calling stack itself is surely the one that unwinds. A lock of
/// [`sync`](crate::sync) is poisoned by the same rule.
///
/// # Examples
///
/// ```
/// use switchback::thread;
///
/// struct Report;
///
/// impl Drop for Report {
///     fn drop(&mut self) {
///         println!("the work {}", if thread::panicking() { "failed" } else { "is done" });
///     }
/// }
///
/// # switchback::run(|| {
/// let worker = thread::spawn(|| {
///     let _report = Report;
///     assert!(!thread::panicking());
/// });
/// worker.join().unwrap();
/// # }).unwrap();
/// ```
#[must_use]
#[inline]
pub fn panicking() -> bool {
    unwinding::is_unwinding()
}

impl Thread {
    pub(super) fn of_fiber(fiber: FiberHandle) -> Thread {
        Thread(Kind::Fiber(fiber))
    }

    /// Returns the ID.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::thread;
    ///
    /// let other = thread::spawn(|| thread::current().id());
    /// assert_ne!(other.join().unwrap(), thread::current().id());
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn id(&self) -> ThreadId {
        ThreadId(match &self.0 {
            Kind::Fiber(fiber) => fiber.id(),
            Kind::Other(parker) => parker.id(),
        })
    }

    /// Returns the name that it was given, if any.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::thread;
    ///
    /// # switchback::run(|| {
    /// let unnamed = thread::spawn(|| thread::current().name().map(str::to_owned));
    /// assert_eq!(unnamed.join().unwrap(), None);
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Kind::Fiber(fiber) => fiber.0.given_name(),
            Kind::Other(parker) => parker.name(),
        }
    }

    /// Ends its [`park`](super::park()), or makes its next one return at once. Several calls before
    /// that `park` count as one.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::thread;
    ///
    /// let parked = thread::spawn(thread::park);
    /// parked.thread().unpark(); // it may come before the park
    /// parked.join().unwrap();
    /// # }).unwrap();
    /// ```
    pub fn unpark(&self) {
        match &self.0 {
            Kind::Fiber(fiber) => fiber.unpark(),
            Kind::Other(parker) => parker.unpark(),
        }
    }

    /// Takes the token, or arranges for `cx` to be woken when there is one. Called by the fiber or
    /// thread itself.
    pub(super) fn poll_token(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.0 {
            // There is no waker to register, because `unpark` wakes the fiber itself.
            Kind::Fiber(fiber) if fiber.take_token() => Poll::Ready(()),
            Kind::Fiber(_) => Poll::Pending,
            Kind::Other(parker) => parker.poll_token(cx),
        }
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("id", &self.id())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// Identifies a fiber, the body of a bridge or a plain thread. No two of the process have the same.
///
/// # Examples
///
/// ```
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let other = thread::spawn(|| thread::current().id());
/// let id = other.thread().id();
/// assert_eq!(other.join().unwrap(), id);
/// assert_ne!(thread::current().id(), id);
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ThreadId(FiberId);

impl fmt::Debug for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadId({})", self.0)
    }
}
