//! [`LazyLock`]: std's, for fibers, threads and tasks.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync;

use super::Once;
use super::once::Ask;
use crate::base::lock::lock;

/// A value that is made when it is first used: [`std::sync::LazyLock`].
///
/// A use waits only while somebody else makes the value. What makes it may wait; a cancel of the fiber
/// that makes it is put off until it is made, so that it does not take the value from all others.
///
/// In async code the first use makes the value in place. While a fiber makes it, a use there is refused
/// with a panic; [`force_async`](LazyLock::force_async) waits.
///
/// # Examples
///
/// ```
/// use switchback::sync::LazyLock;
/// use switchback::thread;
///
/// static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
///     thread::yield_now(); // the others wait
///     vec!["one", "two"]
/// });
///
/// # switchback::run(|| {
/// let fibers = [(); 3].map(|()| thread::spawn(|| WORDS.len()));
/// assert_eq!(fibers.map(|fiber| fiber.join().unwrap()), [2, 2, 2]);
/// # }).unwrap();
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    value: sync::OnceLock<T>,
    make: sync::Mutex<Option<F>>,
}

const ASK: Ask = Ask {
    call: "a use of a `LazyLock`",
    instead: "await `LazyLock::force_async`",
    poisoned: Some("a `LazyLock` was poisoned: what makes its value has panicked"),
    shielded: true,
};

impl<T, F> LazyLock<T, F> {
    /// Returns the value, if it was made. Never waits.
    pub fn get(this: &LazyLock<T, F>) -> Option<&T> {
        this.value.get()
    }

    /// Returns the value, if it was made.
    pub fn get_mut(this: &mut LazyLock<T, F>) -> Option<&mut T> {
        this.value.get_mut()
    }
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// Creates one whose value `make` makes.
    pub const fn new(make: F) -> LazyLock<T, F> {
        LazyLock {
            once: Once::new(),
            value: sync::OnceLock::new(),
            make: sync::Mutex::new(Some(make)),
        }
    }

    /// Makes the value, unless it was made, and returns it. Waits while somebody else makes it. This is
    /// what a use of the value does.
    ///
    /// # Panics
    ///
    /// Panics if making the value panics, now or before. While somebody else makes it, panics where
    /// [`wait`](crate::Wait::wait) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::sync::LazyLock;
    ///
    /// let lazy = LazyLock::new(|| 6 * 7);
    /// assert_eq!(LazyLock::get(&lazy), None);
    /// assert_eq!(LazyLock::force(&lazy), &42);
    /// assert_eq!(*lazy, 42);
    /// ```
    #[track_caller]
    #[inline]
    pub fn force(this: &LazyLock<T, F>) -> &T {
        match this.value.get() {
            Some(value) => value,
            None => {
                this.once.run(ASK, |_| this.make());
                this.made()
            }
        }
    }

    /// As [`force`](LazyLock::force), for async code.
    ///
    /// # Panics
    ///
    /// Panics if making the value panics, now or before.
    pub async fn force_async(this: &LazyLock<T, F>) -> &T {
        this.once.run_async(ASK, |_| this.make()).await;
        this.made()
    }

    /// Makes the value, unless it was made, and returns it.
    ///
    /// # Panics
    ///
    /// Panics if making the value panics, now or before.
    #[track_caller]
    pub fn force_mut(this: &mut LazyLock<T, F>) -> &mut T {
        LazyLock::force(this);
        this.value.get_mut().expect("the `Once` has run")
    }

    fn make(&self) {
        let make = lock(&self.make).take().expect("it runs once");
        let set = self.value.set(make());
        debug_assert!(set.is_ok(), "it is set by one who runs the `Once`");
    }

    fn made(&self) -> &T {
        self.value.get().expect("the `Once` has run")
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[track_caller]
    #[inline]
    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for LazyLock<T, F> {
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        LazyLock::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> LazyLock<T> {
        LazyLock::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lazy = f.debug_tuple("LazyLock");
        match self.value.get() {
            Some(value) => lazy.field(value),
            None => lazy.field(&format_args!("<uninit>")),
        };
        lazy.finish()
    }
}
