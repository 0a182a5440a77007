//! [`Waiters`]: those who wait for one thing, first in, first out.
//!
//! It is kept under a lock, together with what is waited for. A waiter adds itself and is later *told*,
//! by someone who takes it out of the line and leaves in its entry what it waited for. It then removes
//! its entry; if it ends before that, it gives back what it was told. Since both is done under the
//! lock, nothing is lost in between.
//!
//! Wakers are foreign code. They are cloned before the lock is taken, and woken and dropped after it was
//! released.

use std::fmt;
use std::task::Waker;

use slab::Slab;

use crate::base::contain;
use crate::base::lock::{ConstMutex, Lock, lock};

/// The line of waiters. `P` is what each brings, and what it is left.
pub(super) struct Waiters<P> {
    entries: Slab<Entry<P>>,
    /// The ends of the line, which links the entries that were not told. `NONE` if it is empty.
    first: usize,
    last: usize,
}

struct Entry<P> {
    what: P,
    waker: Option<Waker>,
    told: bool,
    before: usize,
    after: usize,
}

const NONE: usize = usize::MAX;

/// The number of a waiter's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(usize);

impl<P> Waiters<P> {
    pub(super) const fn new() -> Waiters<P> {
        Waiters {
            entries: Slab::new(),
            first: NONE,
            last: NONE,
        }
    }

    /// Returns whether nobody is in the line.
    pub(super) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// Returns the first in the line.
    pub(super) fn first(&self) -> Option<Key> {
        (self.first != NONE).then_some(Key(self.first))
    }

    /// Returns the one in the line that comes after this one.
    pub(super) fn after(&self, key: Key) -> Option<Key> {
        let after = self.entries[key.0].after;
        (after != NONE).then_some(Key(after))
    }

    /// Adds a waiter at the end of the line, with its waker if it has one already.
    pub(super) fn add(&mut self, what: P, waker: Option<Waker>) -> Key {
        let key = self.entries.insert(Entry {
            what,
            waker,
            told: false,
            before: self.last,
            after: NONE,
        });
        match self.last {
            NONE => self.first = key,
            last => self.entries[last].after = key,
        }
        self.last = key;
        Key(key)
    }

    pub(super) fn get(&mut self, key: Key) -> &mut P {
        &mut self.entries[key.0].what
    }

    pub(super) fn is_told(&self, key: Key) -> bool {
        self.entries[key.0].told
    }

    /// Takes a waiter out of the line. Returns the waker to wake.
    #[must_use]
    pub(super) fn tell(&mut self, key: Key) -> Option<Waker> {
        self.unlink(key);
        let entry = &mut self.entries[key.0];
        entry.told = true;
        entry.waker.take()
    }

    /// Takes all waiters out of the line, `change`s what they have, and returns the wakers to wake.
    #[must_use]
    pub(super) fn tell_all(&mut self, mut change: impl FnMut(&mut P)) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(key) = self.first() {
            change(self.get(key));
            wakers.extend(self.tell(key));
        }
        wakers
    }

    /// Takes the waker of a waiter that stays in the line.
    pub(super) fn take_waker(&mut self, key: Key) -> Option<Waker> {
        self.entries[key.0].waker.take()
    }

    /// Leaves another waker for a waiter, if there is another one. Returns the old one, to be dropped.
    #[must_use]
    pub(super) fn set_waker(&mut self, key: Key, waker: Option<Waker>) -> Option<Waker> {
        self.entries[key.0].waker.replace(waker?)
    }

    /// Returns whether a waiter that is polled with `waker` has no use for a clone of it.
    fn needs_no_clone(&self, key: Key, waker: &Waker) -> bool {
        let entry = &self.entries[key.0];
        let left = entry.waker.as_ref();
        entry.told || left.is_some_and(|left| left.will_wake(waker))
    }

    /// Removes a waiter's entry. Returns its waker, to be dropped, if it was not told.
    #[must_use]
    pub(super) fn remove(&mut self, key: Key) -> (P, Option<Waker>) {
        if !self.entries[key.0].told {
            self.unlink(key);
        }
        let entry = self.entries.remove(key.0);
        if self.entries.is_empty() {
            // What a crowd has needed once goes back.
            const KEPT: usize = 64;
            if self.entries.capacity() > KEPT {
                self.entries.shrink_to_fit();
            }
        }
        (entry.what, entry.waker)
    }

    fn unlink(&mut self, key: Key) {
        let (before, after) = {
            let entry = &mut self.entries[key.0];
            debug_assert!(!entry.told, "one who was told is not in the line");
            (entry.before, entry.after)
        };
        match before {
            NONE => self.first = after,
            before => self.entries[before].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.entries[after].before = before,
        }
    }
}

impl<P> fmt::Debug for Waiters<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiters")
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

/// Locks what the waiters that `line` finds there wait for, to poll one of them, or one who is not in the
/// line yet. Returns also a clone of the waker, if it may have to be left.
#[inline]
pub(super) fn lock_to_poll<'a, S, P>(
    mutex: &'a ConstMutex<S>,
    line: impl Fn(&S) -> &Waiters<P>,
    key: Option<Key>,
    waker: &Waker,
) -> (<ConstMutex<S> as Lock>::Guard<'a>, Option<Waker>) {
    if let Some(key) = key {
        let state = lock(mutex);
        if line(&state).needs_no_clone(key, waker) {
            return (state, None);
        }
    }
    let waker = contain::clone_waker(waker);
    (lock(mutex), Some(waker))
}

/// Wakes those who were told, after the lock was released.
#[inline]
pub(super) fn wake(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(contain::wake);
}
