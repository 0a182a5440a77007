//! Locks without poisoning.
//!
//! Cancelling a fiber unwinds it, and so poisons the locks that it holds, as a panic does. Where the
//! value is sound whenever the lock is given back, these locks spare every other holder the
//! [`PoisonError`](super::PoisonError). (std has an unstable module of this name.)

mod condvar;
mod mutex;
mod rwlock;

pub use condvar::Condvar;
pub use mutex::{Mutex, MutexGuard, WouldBlock};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
