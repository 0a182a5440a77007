//! [`FiberHandle`]: a fiber, without its result.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::Ordering;

use crate::current::{Place, with_place};
use crate::scheduler::registry;
use crate::shared::{FiberId, FiberRef};

/// A handle to a fiber, without its result.
///
/// It can be cloned and sent to any thread. It does not keep the fiber alive.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{current_fiber, park, prelude::*, spawn};
///
/// let root = current_fiber().expect("this is a fiber");
/// spawn(move || root.unpark());
/// park(); // until the other fiber has run
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct FiberHandle(pub(crate) FiberRef);

impl FiberHandle {
    /// Returns the fiber's ID.
    #[must_use]
    pub fn id(&self) -> FiberId {
        self.0.id()
    }

    /// Returns the fiber's name: the one it was given, or `Fiber-N` with its ID.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Returns whether the fiber has not ended. A fiber that was not started is alive.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    /// Asks the fiber to end: its current or next wait throws [`Cancelled`](crate::Cancelled).
    /// Returns false if the fiber had ended.
    ///
    /// Each cancel is delivered once, so a fiber that catches it continues. A cancel that arrives
    /// while another one is pending has no effect. A fiber that was not started, or has not run
    /// yet, never runs.
    pub fn cancel(&self) -> bool {
        self.0.cancel(None)
    }

    /// Like [`cancel`](Self::cancel), with a message for
    /// [`Cancelled::message`](crate::Cancelled::message).
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.0.cancel(Some(message.into()))
    }

    /// Ends the fiber's [`park`](crate::park), or makes its next one return at once. Several calls
    /// before that `park` count as one.
    pub fn unpark(&self) {
        // Ordering: pairs with the swap in `take_token`, so that code after `park` sees what
        // happened before `unpark`.
        self.0.unparked.store(true, Ordering::Release);
        registry::wake(&self.0);
    }

    /// Takes the token of [`unpark`](Self::unpark), if there is one.
    pub(crate) fn take_token(&self) -> bool {
        self.0.unparked.swap(false, Ordering::Acquire)
    }

    /// Returns the most that the fiber has used of its stack, in bytes; `None` if it is not
    /// measured.
    ///
    /// A fiber is measured if [`Builder::measure_stack`](crate::Builder::measure_stack) or
    /// [`HubBuilder::measure_stacks`](crate::HubBuilder::measure_stacks) asked for it, on Linux.
    /// The figure is in whole pages, and counts the reserved part of a frame only where it was
    /// touched. On the hub's thread, this call measures the stack. On other threads, and after the
    /// fiber has ended, it returns the last figure; the end of the fiber measures it too.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{Builder, prelude::*};
    ///
    /// let mut fiber = Builder::new()
    ///     .measure_stack(true)
    ///     .spawn(|| std::hint::black_box([1_u8; 100_000]).len())
    ///     .unwrap();
    /// fiber.join().wait().unwrap();
    /// let used = fiber.handle().stack_used();
    /// # if cfg!(all(target_os = "linux", not(switchback_system_stacks))) {
    /// assert!(used.unwrap() > 100_000);
    /// # }
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn stack_used(&self) -> Option<usize> {
        if let Some(core) = registry::local(self.0.mailbox()) {
            core.depths.look(&self.0);
        }
        self.0.stack_used()
    }
}

impl fmt::Debug for FiberHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Returns the fiber that is running. Returns `None` in async code (including a future that a fiber
/// polls), in a bridge, in the hub's callbacks, and on a plain thread.
#[doc(alias = "current")]
#[must_use]
pub fn current_fiber() -> Option<FiberHandle> {
    with_place(|place| match place {
        Place::Stack(state) => state.fiber().cloned().map(FiberHandle),
        _ => None,
    })
}

/// Returns whether the running code is a fiber's, that is, whether [`current_fiber`] is not `None`.
#[must_use]
pub fn in_fiber() -> bool {
    with_place(|place| matches!(place, Place::Stack(state) if state.fiber().is_some()))
}
