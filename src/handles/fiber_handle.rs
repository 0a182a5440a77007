//! [`FiberHandle`]: a fiber as others see it.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::Ordering;

use crate::current::{Place, with_place};
use crate::scheduler::registry;
use crate::shared::{FiberId, FiberRef};

/// Refers to a fiber, without its result.
///
/// It can be cloned and sent anywhere, and does not keep the fiber alive.
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
    /// The fiber's number.
    pub fn id(&self) -> FiberId {
        self.0.id()
    }

    /// The fiber's name: the one it was given, or `Fiber-N` with its number.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Whether the fiber has not ended. A fiber that was not started is alive.
    pub fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    /// Asks the fiber to end: [`Cancelled`](crate::Cancelled) is thrown from the
    /// wait that it is in or reaches next. False if it had ended.
    ///
    /// One call is delivered once; a fiber that catches it goes on. A fiber that
    /// was not started, or has not run yet, never runs.
    pub fn cancel(&self) -> bool {
        self.0.cancel(None)
    }

    /// As [`cancel`](Self::cancel), with a message for
    /// [`Cancelled::message`](crate::Cancelled::message).
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.0.cancel(Some(message.into()))
    }

    /// Ends the fiber's [`park`](crate::park), or makes its next one return at
    /// once. Several calls before that count as one.
    pub fn unpark(&self) {
        // Ordering: pairs with the swap in `Parked::poll`: what happened before
        // `unpark` is seen after `park`.
        self.0.unparked.store(true, Ordering::Release);
        registry::wake(&self.0);
    }

    /// How much of its stack the fiber has used at most, in bytes; `None` if it is
    /// not measured.
    ///
    /// It is if [`Builder::measure_stack`](crate::Builder::measure_stack) or
    /// [`HubBuilder::measure_stacks`](crate::HubBuilder::measure_stacks) asked for
    /// it, on Linux. The figure is in whole pages. What a function has reserved
    /// on the stack counts where it was touched. On the hub's thread the stack is
    /// looked at; elsewhere, and when the fiber has ended, this is what was seen when
    /// that was last done. The end of the fiber does it too.
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
    pub fn stack_used(&self) -> Option<usize> {
        if let Some(core) = registry::local(&self.0.mailbox) {
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

/// The fiber that is running; `None` in async code, also while a fiber polls a
/// future, in a bridge, in the hub, and on a plain thread.
pub fn current_fiber() -> Option<FiberHandle> {
    with_place(|place| match place {
        Place::Stack(state) => state.fiber().cloned().map(FiberHandle),
        _ => None,
    })
}

/// Whether the code that is running is a fiber's: [`current_fiber`] is not `None`.
pub fn in_fiber() -> bool {
    with_place(|place| matches!(place, Place::Stack(state) if state.fiber().is_some()))
}
