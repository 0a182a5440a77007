//! [`OnceLock`]: std's, for fibers, threads and tasks.

use std::fmt;
use std::mem;
use std::sync;

use super::Once;
use super::once::Ask;

/// A value that is set once: [`std::sync::OnceLock`].
///
/// It waits only while somebody else makes the value. What makes it may wait.
///
/// # Examples
///
/// ```
/// use switchback::sync::OnceLock;
/// use switchback::thread;
///
/// static CONFIG: OnceLock<String> = OnceLock::new();
///
/// fn config() -> &'static str {
///     CONFIG.get_or_init(|| {
///         thread::yield_now(); // the others wait
///         "loaded".to_owned()
///     })
/// }
///
/// # switchback::run(|| {
/// let fibers = [(); 3].map(|()| thread::spawn(config));
/// fibers.into_iter().for_each(|fiber| assert_eq!(fiber.join().unwrap(), "loaded"));
/// # }).unwrap();
/// ```
pub struct OnceLock<T> {
    once: Once,
    value: sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    /// Creates one without a value.
    pub const fn new() -> OnceLock<T> {
        OnceLock {
            once: Once::new(),
            value: sync::OnceLock::new(),
        }
    }

    /// Returns the value, if there is one. Never waits.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Returns the value, if there is one.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Waits until there is a value.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](crate::Wait::wait) does, unless there is a value.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::{sync::OnceLock, thread};
    ///
    /// static ADDRESS: OnceLock<&str> = OnceLock::new();
    /// let waits = thread::spawn(|| *ADDRESS.wait());
    /// ADDRESS.set("127.0.0.1").unwrap();
    /// assert_eq!(waits.join().unwrap(), "127.0.0.1");
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn wait(&self) -> &T {
        self.once.wait_until_done("`OnceLock::wait`", None);
        self.made()
    }

    /// As [`wait`](OnceLock::wait), for async code.
    pub async fn wait_async(&self) -> &T {
        self.once.wait_async().await;
        self.made()
    }

    /// Sets the value, unless there is one. Waits while somebody else makes it.
    ///
    /// # Errors
    ///
    /// Returns `value` if there is one already.
    ///
    /// # Panics
    ///
    /// While somebody else makes the value, panics where [`wait`](crate::Wait::wait) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::OnceLock;
    ///
    /// let lock = OnceLock::new();
    /// assert_eq!(lock.set(1), Ok(()));
    /// assert_eq!(lock.set(2), Err(2));
    /// assert_eq!(lock.get(), Some(&1));
    /// ```
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.init("`OnceLock::set`", || value.take().expect("it runs once"));
        match value {
            None => Ok(()),
            Some(value) => Err(value),
        }
    }

    /// Returns the value. If there is none, `f` makes it. Waits while somebody else makes it.
    ///
    /// If `f` panics or is cancelled, there is no value, and the next call makes it.
    ///
    /// # Cancel safety
    ///
    /// A call that is cancelled while it waits has not run `f`.
    ///
    /// # Panics
    ///
    /// Panics if `f` does. While somebody else makes the value, panics where
    /// [`wait`](crate::Wait::wait) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::OnceLock;
    ///
    /// let cell = OnceLock::new();
    /// assert_eq!(cell.get_or_init(|| 92), &92);
    /// assert_eq!(cell.get_or_init(|| unreachable!("it has a value")), &92);
    /// ```
    #[track_caller]
    #[inline]
    pub fn get_or_init<F: FnOnce() -> T>(&self, f: F) -> &T {
        match self.get() {
            Some(value) => value,
            None => {
                self.init("`OnceLock::get_or_init`", f);
                self.made()
            }
        }
    }

    #[track_caller]
    fn init(&self, call: &'static str, f: impl FnOnce() -> T) {
        let ask = Ask {
            call,
            instead: "await `wait_async`",
            poisoned: None,
            shielded: false,
        };
        self.once.run(ask, |_| {
            let set = self.value.set(f());
            debug_assert!(set.is_ok(), "it is set by one who runs the `Once`");
        });
    }

    fn made(&self) -> &T {
        self.value.get().expect("the `Once` has run")
    }

    /// Returns the value, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::OnceLock;
    ///
    /// let cell = OnceLock::new();
    /// cell.set("value").unwrap();
    /// assert_eq!(cell.into_inner(), Some("value"));
    /// ```
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::OnceLock;
    ///
    /// let mut lock = OnceLock::from(1);
    /// assert_eq!(lock.take(), Some(1));
    /// assert_eq!(lock.get(), None);
    /// ```
    pub fn take(&mut self) -> Option<T> {
        mem::take(self).into_inner()
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> OnceLock<T> {
        OnceLock::new()
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> OnceLock<T> {
        let lock = OnceLock::new();
        match lock.set(value) {
            Ok(()) => lock,
            Err(_) => unreachable!("a new lock is empty"),
        }
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> OnceLock<T> {
        self.get()
            .cloned()
            .map_or_else(OnceLock::new, OnceLock::from)
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &OnceLock<T>) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
