//! [`Waiters`]: those who wait for one thing, first in, first out.
//!
//! It is kept under a lock, together with what is waited for. A waiter adds itself and is later *told*,
//! by someone who takes it out of the line and leaves in its entry what it waited for. It then removes
//! its entry. If it ends before that, it passes on what was left for it. Both are done under the lock, so
//! nothing is lost in between.
//!
//! Wakers are foreign code. They are cloned before the lock is taken, and woken and dropped after it was
//! released.
//!
//! # Fibers
//!
//! A call that suspends a fiber leaves the fiber itself instead of a waker, and takes it back before it
//! returns or unwinds. So nothing is counted, and if the one who tells it is on the thread of the
//! fiber's hub, the fiber is woken without a detour. An entry is used under the lock only: there the
//! fiber is sure to exist (Table Invariant of [`FiberRef`]), and is counted if it has to be woken from
//! another thread.
//!
//! A fiber whose stack was left for ever can no longer take its entry back. Those who would give it
//! something for itself alone, such as a lock, pass it over: see [`Waiters::first_alive`].

use std::fmt;
use std::task::Waker;

use slab::Slab;

use crate::base::contain;
use crate::base::lock::{ConstMutex, Lock, lock};
use crate::current::{Place, with_place};
use crate::shared::{FiberRef, LocalJoiner, Phase, Uncounted};

/// The line of waiters. `P` is what each brings, and what it is left.
pub(super) struct Waiters<P> {
    entries: Slab<Entry<P>>,
    /// The ends of the line, which links the entries that were not told. `NONE` if it is empty.
    first: usize,
    last: usize,
}

struct Entry<P> {
    what: P,
    waiter: Option<Waiter>,
    told: bool,
    before: usize,
    after: usize,
}

const NONE: usize = usize::MAX;

/// The number of a waiter's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(usize);

/// One who waits.
#[derive(Debug)]
pub(super) enum Waiter {
    /// The task, thread or fiber that has polled a future with this waker.
    Future(Waker),
    /// The fiber that a call suspends: see [`Seat::of_call`].
    Fiber(Uncounted),
}

/// Whom to wake, after the lock was released.
#[derive(Debug)]
pub(super) enum Wake {
    Future(Waker),
    /// A fiber of the hub whose code runs.
    Here(LocalJoiner),
    /// Another fiber.
    There(FiberRef),
}

/// A waiter's place in a line, for the future that waits there.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) key: Option<Key>,
    fiber: Option<Uncounted>,
}

impl Seat {
    /// For a future that may be polled by anybody, and forgotten.
    pub(super) const fn of_future() -> Seat {
        Seat {
            key: None,
            fiber: None,
        }
    }

    /// For a future that does not leave the frame of the running call, which polls it, and drops it
    /// before it returns or unwinds.
    ///
    /// Table Invariant: so the entry is gone before the fiber's stack has returned.
    #[inline]
    pub(super) fn of_call() -> Seat {
        let fiber = with_place(|place| match place {
            Place::Stack(state) => state.fiber().map(FiberRef::lend),
            _ => None,
        });
        Seat { key: None, fiber }
    }

    /// Returns the waiter, if it is a fiber that a call suspends.
    #[inline]
    pub(super) fn fiber(&self) -> Option<Waiter> {
        self.fiber.as_ref().map(|fiber| Waiter::Fiber(fiber.lend()))
    }

    /// Returns the waiter that polls with `waker`.
    pub(super) fn waiter(&self, waker: &Waker) -> Waiter {
        self.fiber()
            .unwrap_or_else(|| Waiter::Future(contain::clone_waker(waker)))
    }
}

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

    /// Returns the first in the line that may take what it is given. Those before it, whose stacks were
    /// left for ever, leave the line.
    #[inline]
    pub(super) fn first_alive(&mut self) -> Option<Key> {
        self.alive_from(self.first)
    }

    /// Lets those leave the line whose stacks were left for ever, up to the first that is alive. Returns
    /// whether there were any: somebody else has to serve the line for them.
    pub(super) fn drop_dead(&mut self) -> bool {
        let first = self.first();
        self.first_alive() != first
    }

    /// Like [`first_alive`](Waiters::first_alive), for those that come after this one.
    #[inline]
    pub(super) fn next_alive(&mut self, key: Key) -> Option<Key> {
        self.alive_from(self.entries[key.0].after)
    }

    #[inline]
    fn alive_from(&mut self, key: usize) -> Option<Key> {
        if key != NONE && self.is_dead(key) {
            return self.alive_after_dead(key);
        }
        (key != NONE).then_some(Key(key))
    }

    /// Returns whether this is a fiber whose stack was left for ever.
    #[inline]
    fn is_dead(&self, key: usize) -> bool {
        match &self.entries[key].waiter {
            Some(Waiter::Fiber(fiber)) => fiber.phase() == Phase::Abandoned,
            _ => false,
        }
    }

    #[cold]
    fn alive_after_dead(&mut self, mut key: usize) -> Option<Key> {
        while key != NONE && self.is_dead(key) {
            let after = self.entries[key].after;
            self.unlink(Key(key));
            // What such a waiter brings runs no code when it is dropped.
            drop(self.entries.remove(key));
            key = after;
        }
        (key != NONE).then_some(Key(key))
    }

    /// Returns the one in the line that comes after this one.
    pub(super) fn after(&self, key: Key) -> Option<Key> {
        let after = self.entries[key.0].after;
        (after != NONE).then_some(Key(after))
    }

    /// Adds an entry at the end of the line, with its waiter if that is known already.
    #[inline]
    pub(super) fn add(&mut self, what: P, waiter: Option<Waiter>) -> Key {
        let key = self.entries.insert(Entry {
            what,
            waiter,
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

    /// Takes a waiter out of the line. Returns whom to wake.
    #[inline]
    #[must_use]
    pub(super) fn tell(&mut self, key: Key) -> Option<Wake> {
        self.set_told(key);
        self.call(key)
    }

    /// Takes a waiter out of the line, which was [called](Waiters::call).
    #[inline]
    pub(super) fn set_told(&mut self, key: Key) {
        self.unlink(key);
        self.entries[key.0].told = true;
    }

    /// Takes all waiters out of the line, `change`s what they have, and returns whom to wake.
    #[must_use]
    pub(super) fn tell_all(&mut self, mut change: impl FnMut(&mut P)) -> Vec<Wake> {
        let mut woken = Vec::new();
        while let Some(key) = self.first() {
            change(self.get(key));
            woken.extend(self.tell(key));
        }
        woken
    }

    /// Returns whom to wake so that a waiter looks again.
    #[must_use]
    #[inline]
    pub(super) fn call(&mut self, key: Key) -> Option<Wake> {
        let waiter = &mut self.entries[key.0].waiter;
        if let Some(Waiter::Fiber(fiber)) = waiter {
            return Some(Wake::fiber(fiber));
        }
        match waiter.take() {
            Some(Waiter::Future(waker)) => Some(Wake::Future(waker)),
            _ => None,
        }
    }

    /// Replaces the waiter of an entry, if `waiter` is one. Returns the old one, to be
    /// [dropped](drop_waiter).
    #[must_use]
    pub(super) fn set_waiter(&mut self, key: Key, waiter: Option<Waiter>) -> Option<Waiter> {
        self.entries[key.0].waiter.replace(waiter?)
    }

    /// Returns whether a waiter that is polled with `waker` has no use for a clone of it.
    fn needs_no_clone(&self, key: Key, waker: &Waker) -> bool {
        let entry = &self.entries[key.0];
        entry.told
            || match &entry.waiter {
                Some(Waiter::Future(left)) => left.will_wake(waker),
                Some(Waiter::Fiber(_)) => true,
                None => false,
            }
    }

    /// Removes an entry. Returns its waiter, to be [dropped](drop_waiter).
    #[inline]
    #[must_use]
    pub(super) fn remove(&mut self, key: Key) -> (P, Option<Waiter>) {
        if !self.entries[key.0].told {
            self.unlink(key);
        }
        let entry = self.entries.remove(key.0);
        self.trim();
        (entry.what, entry.waiter)
    }

    /// Removes the entry of a waiter in the line, if that is a fiber of the hub whose code runs. Returns
    /// also whom to wake.
    #[inline(always)]
    pub(super) fn remove_here(&mut self, key: Key) -> Option<(P, Wake)> {
        let Some(Waiter::Fiber(fiber)) = &self.entries[key.0].waiter else {
            return None;
        };
        let here = Wake::here(fiber)?;
        self.unlink(key);
        let entry = self.entries.remove(key.0);
        self.trim();
        Some((entry.what, here))
    }

    /// Frees the memory of a line that was long.
    #[inline(always)]
    fn trim(&mut self) {
        const KEPT: usize = 64;
        if self.entries.is_empty() && self.entries.capacity() > KEPT {
            self.entries.shrink_to_fit();
        }
    }

    #[inline]
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

/// Locks `mutex`, so that the waiter with this seat in the line, or before it joins the line, can be
/// polled. Also returns the waiter to leave there, unless the one that is there will do.
#[inline]
pub(super) fn lock_to_poll<'a, S, P>(
    mutex: &'a ConstMutex<S>,
    line: impl Fn(&S) -> &Waiters<P>,
    seat: &Seat,
    waker: &Waker,
) -> (<ConstMutex<S> as Lock>::Guard<'a>, Option<Waiter>) {
    if let Some(key) = seat.key {
        let state = lock(mutex);
        if line(&state).needs_no_clone(key, waker) {
            return (state, None);
        }
    }
    let waiter = seat.waiter(waker);
    (lock(mutex), Some(waiter))
}

/// Drops a waiter that is no longer needed, after the lock was released.
#[inline]
pub(super) fn drop_waiter(waiter: Option<Waiter>) {
    if let Some(Waiter::Future(waker)) = waiter {
        contain::drop_waker(Some(waker));
    }
}

impl Wake {
    fn fiber(fiber: &FiberRef) -> Wake {
        Wake::here(fiber).unwrap_or_else(|| Wake::There(fiber.clone()))
    }

    /// Returns how to wake a fiber of the hub whose code runs.
    #[inline(always)]
    fn here(fiber: &FiberRef) -> Option<Wake> {
        let slot = with_place(|place| {
            let hub = place.hub().filter(|hub| fiber.is_of(&hub.token))?;
            Some(hub.cold_part(fiber).slot.get())
        })?;
        Some(Wake::Here(LocalJoiner {
            slot,
            id: fiber.id(),
        }))
    }

    #[inline]
    fn wake(self) {
        match self {
            Wake::Here(fiber) => with_place(|place| {
                if let Some(hub) = place.hub() {
                    hub.wake_if_live(fiber);
                }
            }),
            other => other.wake_elsewhere(),
        }
    }

    #[inline(never)]
    fn wake_elsewhere(self) {
        match self {
            Wake::Future(waker) => contain::wake(waker),
            Wake::Here(_) => {}
            Wake::There(fiber) => {
                fiber.note_waker("waker.wake_by_ref");
                fiber.wake();
            }
        }
    }
}

/// Wakes those who were told, after the lock was released.
#[inline]
pub(super) fn wake(woken: impl IntoIterator<Item = Wake>) {
    for woken in woken {
        woken.wake();
    }
}

/// A model of a fiber in a line, in every order in which the threads can take their steps. Run by
/// `ci/loom.sh`. It fails if a fiber is used that is gone, or is never freed.
#[cfg(all(test, switchback_loom))]
mod loom_tests {
    use std::panic::Location;
    use std::sync::Arc;

    use loom::thread;

    use super::*;
    use crate::shared::{FiberId, Mailbox, Origin, Start, result_channel};

    #[test]
    fn a_fiber_that_leaves_its_line_and_ends_is_there_for_who_wakes_it() {
        loom::model(|| {
            let origin = Origin {
                place: Location::caller(),
                parent: None,
            };
            let hub = Mailbox::without_hub();
            let (fiber, sender, receiver) =
                result_channel(hub, FiberId::next(), None, Start::AtOnce, origin);
            let line = Arc::new(ConstMutex::new(Waiters::new()));
            let key = lock(&*line).add((), Some(Waiter::Fiber(fiber.lend())));
            let other = line.clone();
            let tells = thread::spawn(move || {
                let woken = {
                    let mut line = lock(&*other);
                    line.first().and_then(|first| line.tell(first))
                };
                if let Some(woken) = woken {
                    let Wake::There(fiber) = woken else {
                        panic!("the models have no hub whose code runs");
                    };
                    assert!(matches!(fiber.phase(), Phase::Started | Phase::Ended));
                }
            });
            // The call takes its entry back, and then the fiber's stack returns.
            let ((), waiter) = lock(&*line).remove(key);
            drop_waiter(waiter);
            sender.put(());
            sender.complete(None, false, &mut || ());
            fiber.tell_joiner();
            drop((sender, receiver, fiber));
            tells.join().unwrap();
        });
    }
}
