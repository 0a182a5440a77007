//! The values behind the locks, and the only unsafe code of `sync`.
//!
//! # Safety
//!
//! *Lock Invariant*: a [`Held`] or [`HeldToWrite`] exists only while its lock is held exclusively on its
//! behalf, and a [`HeldToRead`] only while the lock is held shared on its behalf. Each is made right after
//! the lock was taken in that mode, holds a borrow of the cell, and gives the lock back when it is
//! dropped. [`RawLock`] grants the lock exclusively to one at a time, while nobody shares it. So a
//! reference that an exclusive one lends is the only one to the value, and those of shared ones are
//! shared. (One that is forgotten keeps the lock for ever.)
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::raw_lock::{Acquire, Mode, RawLock};

/// A value that is used by one at a time.
pub(super) struct MutexCell<T: ?Sized> {
    lock: RawLock,
    value: UnsafeCell<T>,
}

// SAFETY: a shared cell gives access to the value to one thread at a time (Lock Invariant), which moves
// it between threads: `T: Send`.
unsafe impl<T: ?Sized + Send> Sync for MutexCell<T> {}

/// A value that is used by one who changes it, or by several who read it.
pub(super) struct RwCell<T: ?Sized> {
    lock: RawLock,
    value: UnsafeCell<T>,
}

// SAFETY: as for `MutexCell`; several threads may also share the value: `T: Sync`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwCell<T> {}

macro_rules! cell {
    ($cell:ident) => {
        impl<T> $cell<T> {
            pub(super) const fn new(value: T) -> $cell<T> {
                $cell {
                    lock: RawLock::new(),
                    value: UnsafeCell::new(value),
                }
            }

            pub(super) fn into_inner(self) -> T {
                self.value.into_inner()
            }
        }

        impl<T: ?Sized> $cell<T> {
            pub(super) fn get_mut(&mut self) -> &mut T {
                self.value.get_mut()
            }
        }

        impl<T: ?Sized> fmt::Debug for $cell<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($cell)).finish_non_exhaustive()
            }
        }
    };
}

cell!(MutexCell);
cell!(RwCell);

/// A hold on the value of a [`MutexCell`]. It goes to other threads if the value may.
pub(super) struct Held<'a, T: ?Sized> {
    cell: &'a MutexCell<T>,
    /// For `Sync`: a shared hold shares the value.
    value: PhantomData<&'a mut T>,
}

/// A hold on the value of an [`RwCell`], to change it.
pub(super) struct HeldToWrite<'a, T: ?Sized> {
    cell: &'a RwCell<T>,
    value: PhantomData<&'a mut T>,
}

/// A hold on the value of an [`RwCell`], to read it.
pub(super) struct HeldToRead<'a, T: ?Sized> {
    cell: &'a RwCell<T>,
    value: PhantomData<&'a T>,
}

/// Defines how a hold is got and given back, and the future that waits for it.
macro_rules! hold {
    ($cell:ident, $mode:expr, $held:ident: $try:ident $spin:ident $wait:ident -> $waiting:ident) => {
        impl<T: ?Sized> $cell<T> {
            /// Returns a hold, if there can be one now.
            #[inline]
            pub(super) fn $try(&self) -> Option<$held<'_, T>> {
                self.lock.try_acquire($mode).then(|| $held::begin(self))
            }

            /// Tries for a short time to get a hold.
            pub(super) fn $spin(&self) -> Option<$held<'_, T>> {
                self.lock.spin($mode).then(|| $held::begin(self))
            }

            /// Returns a future that gets a hold.
            pub(super) fn $wait(&self) -> $waiting<'_, T> {
                $waiting {
                    cell: self,
                    acquire: Acquire::new(&self.lock, $mode),
                }
            }
        }

        impl<'a, T: ?Sized> $held<'a, T> {
            /// Returns the hold for a lock that was just taken. This is called in this macro only.
            #[inline(always)]
            fn begin(cell: &'a $cell<T>) -> Self {
                cell.lock.note_holder($mode);
                $held {
                    cell,
                    value: PhantomData,
                }
            }
        }

        impl<T: ?Sized> Drop for $held<'_, T> {
            #[inline]
            fn drop(&mut self) {
                self.cell.lock.release($mode);
            }
        }

        /// A future that gets a hold.
        pub(super) struct $waiting<'a, T: ?Sized> {
            cell: &'a $cell<T>,
            acquire: Acquire<'a>,
        }

        impl<'a, T: ?Sized> Future for $waiting<'a, T> {
            type Output = $held<'a, T>;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<$held<'a, T>> {
                let cell = self.cell;
                Pin::new(&mut self.acquire)
                    .poll(cx)
                    .map(|()| $held::begin(cell))
            }
        }
    };
}

hold!(MutexCell, Mode::Exclusive, Held: try_hold spin wait -> Waiting);
hold!(RwCell, Mode::Exclusive, HeldToWrite: try_write spin_write wait_write -> WaitingToWrite);
hold!(RwCell, Mode::Shared, HeldToRead: try_read spin_read wait_read -> WaitingToRead);

impl<T: ?Sized> Deref for Held<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: by the Lock Invariant there is no other hold, and this one lends no mutable reference
        // while it lends this one.
        unsafe { &*self.cell.value.get() }
    }
}

impl<T: ?Sized> DerefMut for Held<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: by the Lock Invariant there is no other hold, and this one is borrowed mutably.
        unsafe { &mut *self.cell.value.get() }
    }
}

impl<'a, T: ?Sized> HeldToWrite<'a, T> {
    /// Goes on with a hold to read, without the lock being free in between.
    pub(super) fn downgrade(self) -> HeldToRead<'a, T> {
        let cell = ManuallyDrop::new(self).cell;
        cell.lock.downgrade();
        HeldToRead {
            cell,
            value: PhantomData,
        }
    }
}

impl<T: ?Sized> Deref for HeldToWrite<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: as for `Held`.
        unsafe { &*self.cell.value.get() }
    }
}

impl<T: ?Sized> DerefMut for HeldToWrite<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for `Held`.
        unsafe { &mut *self.cell.value.get() }
    }
}

impl<T: ?Sized> Deref for HeldToRead<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: by the Lock Invariant there are only other holds to read, which lend shared
        // references.
        unsafe { &*self.cell.value.get() }
    }
}
