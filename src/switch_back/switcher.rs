//! [`Switcher`]: fires a `SwitchBack`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::slot::Slot;

/// Fires a [`SwitchBack`](crate::SwitchBack): gives it the value, or the error, that it waits for.
///
/// A switcher can be cloned and used anywhere (in the waiting fiber itself, in another fiber, in
/// async code, in a callback) and, if `T` is `Send`, on any thread. Among all clones, the first
/// call that fires wins; the others return false and only drop their argument. Firing never waits,
/// and never runs the woken fiber. It takes a lock, so it must not be used in handlers of unix
/// signals.
///
/// Dropping the last switcher before any was fired ends the wait with
/// [`SwitchError::Dropped`](crate::SwitchError::Dropped).
#[must_use = "dropping the last `Switcher` ends the wait with an error"]
pub struct Switcher<T> {
    slot: Arc<Slot<T>>,
}

impl<T> Switcher<T> {
    pub(super) fn new(slot: &Arc<Slot<T>>) -> Switcher<T> {
        slot.add_switcher();
        Switcher { slot: slot.clone() }
    }

    /// Gives the `SwitchBack` its value. Returns true if the value was taken. Returns false if the
    /// `SwitchBack` was fired before, its time has passed, it was dropped, or the fiber that
    /// created it has ended.
    ///
    /// A value that is not taken is dropped before this returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::{SwitchBack, prelude::*};
    ///
    /// let switch_back = SwitchBack::new();
    /// let switcher = switch_back.switcher();
    /// assert!(switcher.switch("first"));
    /// assert!(!switcher.switch("second"));
    /// assert_eq!(switch_back.wait().unwrap(), "first");
    /// ```
    pub fn switch(&self, value: T) -> bool {
        self.slot.fire(Ok(value))
    }

    /// Ends the wait with [`SwitchError::Thrown`](crate::SwitchError::Thrown). Returns what
    /// [`switch`](Switcher::switch) returns.
    pub fn throw(&self, error: impl Into<Box<dyn Error + Send + Sync>>) -> bool {
        self.slot.fire(Err(error.into()))
    }

    /// Returns whether the `SwitchBack` can still be fired: see
    /// [`SwitchBack::is_active`](crate::SwitchBack::is_active).
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.slot.is_active()
    }
}

impl<T> Clone for Switcher<T> {
    fn clone(&self) -> Switcher<T> {
        Switcher::new(&self.slot)
    }
}

impl<T> Drop for Switcher<T> {
    fn drop(&mut self) {
        self.slot.remove_switcher();
    }
}

impl<T> fmt::Debug for Switcher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut switcher = f.debug_struct("Switcher");
        self.slot.fields(&mut switcher).finish()
    }
}
