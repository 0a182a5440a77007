//! The values behind the locks, the [`Hand`]s in which messages are given, and the only unsafe code of
//! `sync`.
//!
//! # Safety
//!
//! *Lock Invariant*: a [`Held`] or [`HeldToWrite`] exists only while its lock is held exclusively on its
//! behalf, and a [`HeldToRead`] only while the lock is held shared on its behalf. Each is made right after
//! the lock was taken in that mode, holds a borrow of the cell, and gives the lock back when it is
//! dropped. [`RawLock`] grants the lock exclusively to one at a time, while nobody shares it. So a
//! reference that an exclusive one lends is the only one to the value, and those of shared ones are
//! shared. (One that is forgotten keeps the lock for ever.) For an [`Entered`] see [`ReentrantCell`].
//!
//! *Hand Invariant*: an [`OpenHand`] is used on the thread of the fiber whose call owns the [`Hand`], and
//! before that call ends. It holds because
//!
//! 1. it is only in the entry that the call has in a line: [`Seat::of_call`](super::waiters::Seat::of_call).
//!    The call takes that entry out before it ends, unless somebody else has. If the stack is left for
//!    ever, so is the hand (Live Stack Invariant of [`crate::switch`]);
//! 2. who takes the entry out to give something does so under the line's lock, and is done before the lock
//!    is released;
//! 3. [`give`](OpenHand::give) is for the thread of the fiber's hub, which its caller checks.
#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use super::raw_lock::{Acquire, ExclusiveHold, Mode, RawLock, SharedHold};
use super::waiters::Seat;
use crate::current::WaitSite;
use crate::thread;
use crate::wait::wait_at;

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
    hold: ExclusiveHold,
    /// For `Sync`: a shared hold shares the value.
    value: PhantomData<&'a mut T>,
}

/// A hold on the value of an [`RwCell`], to change it.
pub(super) struct HeldToWrite<'a, T: ?Sized> {
    cell: &'a RwCell<T>,
    hold: ExclusiveHold,
    value: PhantomData<&'a mut T>,
}

/// A hold on the value of an [`RwCell`], to read it.
pub(super) struct HeldToRead<'a, T: ?Sized> {
    cell: &'a RwCell<T>,
    hold: SharedHold,
    value: PhantomData<&'a T>,
}

/// Defines how a hold is got and given back, and the future that waits for it.
macro_rules! hold {
    ($cell:ident, $mode:expr, $hold:ident, $held:ident: $try:ident $spin:ident $wait:ident -> $waiting:ident) => {
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
            pub(super) fn $wait(&self, seat: Seat) -> $waiting<'_, T> {
                $waiting {
                    cell: self,
                    acquire: Acquire::new(&self.lock, $mode, seat),
                }
            }
        }

        impl<'a, T: ?Sized> $held<'a, T> {
            /// Returns the hold for a lock that was just taken. This is called in this macro only.
            #[inline(always)]
            fn begin(cell: &'a $cell<T>) -> Self {
                $held {
                    cell,
                    hold: $hold::begin(&cell.lock),
                    value: PhantomData,
                }
            }
        }

        impl<T: ?Sized> Drop for $held<'_, T> {
            #[inline]
            fn drop(&mut self) {
                self.hold.end(&self.cell.lock);
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

hold!(MutexCell, Mode::Exclusive, ExclusiveHold, Held: try_hold spin wait -> Waiting);
hold!(RwCell, Mode::Exclusive, ExclusiveHold, HeldToWrite: try_write spin_write wait_write -> WaitingToWrite);
hold!(RwCell, Mode::Shared, SharedHold, HeldToRead: try_read spin_read wait_read -> WaitingToRead);

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
        HeldToRead {
            cell,
            hold: cell.lock.downgrade(),
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

/// A value that is read by its owner, a fiber or a plain thread, which may enter again.
pub(super) struct ReentrantCell<T: ?Sized> {
    lock: RawLock,
    /// The number of the owner; zero if there is none. Only the owner sets it, or finds itself in it.
    owner: AtomicU64,
    /// How many entries the owner has.
    depth: AtomicU32,
    value: T,
}

// SAFETY: references to the value are lent by an `Entered` only, which stays on its thread. While there is
// one, the lock is held for it, so all that exist at a time were made for one owner, and so on one thread.
// That thread may be another one later: `T: Send`.
unsafe impl<T: ?Sized + Send> Sync for ReentrantCell<T> {}

/// One entry of the owner. It stays on its thread. (On its thread it may get to another fiber; the lock is
/// given back with the last one.)
pub(super) struct Entered<'a, T: ?Sized> {
    cell: &'a ReentrantCell<T>,
    stays: PhantomData<*const ()>,
}

// SAFETY: a shared `Entered` lends shared references to the value only.
unsafe impl<T: ?Sized + Sync> Sync for Entered<'_, T> {}

impl<T> ReentrantCell<T> {
    pub(super) const fn new(value: T) -> ReentrantCell<T> {
        ReentrantCell {
            lock: RawLock::new(),
            owner: AtomicU64::new(0),
            depth: AtomicU32::new(0),
            value,
        }
    }

    pub(super) fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> ReentrantCell<T> {
    pub(super) fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// Enters, after waiting at this site if necessary.
    #[track_caller]
    pub(super) fn enter(&self, site: WaitSite) -> Entered<'_, T> {
        let own = thread::current_number();
        // Ordering: nobody else writes the own number, so if it is there, it was written here.
        if self.owner.load(Ordering::Relaxed) == own {
            let depth = self.depth.load(Ordering::Relaxed).checked_add(1);
            let depth = depth.expect("a `ReentrantLock` was locked 2^32 times by its owner");
            self.depth.store(depth, Ordering::Relaxed);
        } else {
            if !self.lock.try_acquire(Mode::Exclusive) {
                wait_at(
                    site,
                    Acquire::new(&self.lock, Mode::Exclusive, Seat::of_call()),
                );
            }
            self.owner.store(own, Ordering::Relaxed);
            self.depth.store(1, Ordering::Relaxed);
        }
        Entered {
            cell: self,
            stays: PhantomData,
        }
    }
}

impl<T: ?Sized> Deref for Entered<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.cell.value
    }
}

impl<T: ?Sized> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        let depth = self.cell.depth.load(Ordering::Relaxed) - 1;
        self.cell.depth.store(depth, Ordering::Relaxed);
        if depth == 0 {
            self.cell.owner.store(0, Ordering::Relaxed);
            self.cell.lock.release(Mode::Exclusive);
        }
    }
}

/// A place in the frame of a call, for what another fiber of the same hub gives it.
pub(super) struct Hand<T>(Cell<Option<T>>);

/// The way to a [`Hand`].
pub(super) struct OpenHand<T>(NonNull<Hand<T>>);

// SAFETY: by the Hand Invariant, the hand is used on one thread. What goes to other threads is the pointer.
unsafe impl<T: Send> Send for OpenHand<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for OpenHand<T> {}

impl<T> Hand<T> {
    #[inline]
    pub(super) fn new() -> Hand<T> {
        Hand(Cell::new(None))
    }

    #[inline]
    pub(super) fn open(&self) -> OpenHand<T> {
        OpenHand(NonNull::from(self))
    }

    #[inline]
    pub(super) fn take(&self) -> Option<T> {
        self.0.take()
    }
}

impl<T> OpenHand<T> {
    /// Gives it something. The caller has found that this is the thread of the fiber's hub.
    #[inline]
    pub(super) fn give(self, what: T) {
        // SAFETY: by the Hand Invariant the call that owns the hand goes on, so that the hand is there, and
        // this is its thread. There is never a `&mut` to it.
        let hand = unsafe { self.0.as_ref() };
        let before = hand.0.replace(Some(what));
        debug_assert!(before.is_none(), "it is taken out of the line first");
    }
}

impl<T> fmt::Debug for Hand<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hand")
    }
}

impl<T> fmt::Debug for OpenHand<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenHand")
    }
}
