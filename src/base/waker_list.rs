//! [`WakerList`]: the wakers of all tasks that wait for one event.
//!
//! Each waiter has a [`WakerKey`], which holds the number of its entry from its first poll until
//! the waiter is ready or dropped. The list is woken as a whole, once or several times, and can be
//! closed for ever.
//!
//! A waiter first leaves its waker and then checks whether the event has happened. Code that makes
//! the event happen does so first and then takes the wakers. The lock orders the two, so either the
//! waiter sees the event or its waker is taken.
//!
//! Wakers are foreign code. They are cloned, woken and dropped outside of the lock. A panic in one
//! of them is reported, and the other waiters are still woken.

use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use slab::Slab;

use super::contain;
use super::lock::{Mutex, lock};

pub(crate) struct WakerList(Mutex<State>);

#[derive(Default)]
struct State {
    /// An entry is `None` once its waker was taken, until its waiter leaves a new one.
    entries: Slab<Option<Waker>>,
    is_closed: bool,
}

impl Drop for State {
    fn drop(&mut self) {
        for (_, waker) in mem::take(&mut self.entries) {
            contain::drop_waker(waker);
        }
    }
}

/// Holds the number of a waiter's entry. It is read and written under the lock of the list, except
/// that [`take`](WakerList::take) reads it once without the lock.
pub(crate) trait WakerKey {
    fn get(&self) -> Option<usize>;
    fn set(&self, key: Option<usize>);
}

/// A key that its waiter owns.
#[derive(Debug)]
pub(crate) struct OwnKey(AtomicUsize);

impl Default for OwnKey {
    fn default() -> OwnKey {
        OwnKey(AtomicUsize::new(usize::MAX))
    }
}

impl WakerKey for OwnKey {
    fn get(&self) -> Option<usize> {
        // Ordering: the lock of the list orders the accesses.
        let key = self.0.load(Ordering::Relaxed);
        (key != usize::MAX).then_some(key)
    }

    fn set(&self, key: Option<usize>) {
        self.0.store(key.unwrap_or(usize::MAX), Ordering::Relaxed);
    }
}

impl WakerList {
    pub(crate) fn new() -> WakerList {
        WakerList(Mutex::new(State::default()))
    }

    /// Leaves `waker` to be woken, in place of the one that this waiter left before. A closed list
    /// does not keep the waker, because the waiter will see the event when it checks for it.
    pub(crate) fn leave(&self, key: &impl WakerKey, waker: &Waker) {
        let waker = contain::clone_waker(waker);
        let unused = {
            let mut state = lock(&self.0);
            if state.is_closed {
                key.set(None);
                Some(waker)
            } else {
                match key.get() {
                    Some(known) => state.entries[known].replace(waker),
                    None => {
                        key.set(Some(state.entries.insert(Some(waker))));
                        None
                    }
                }
            }
        };
        contain::drop_waker(unused);
    }

    /// Removes a waiter's entry and returns the waker that it left last. If several threads do so
    /// at once, one of them gets the waker.
    #[inline]
    pub(crate) fn take(&self, key: &impl WakerKey) -> Option<Waker> {
        key.get()?;
        self.take_locked(key)
    }

    fn take_locked(&self, key: &impl WakerKey) -> Option<Waker> {
        let mut state = lock(&self.0);
        // Another thread may have removed the entry since the first look.
        let known = key.get()?;
        key.set(None);
        match state.is_closed {
            // A closed list has dropped its entries, so the number means nothing.
            true => None,
            false => state.entries.remove(known),
        }
    }

    /// Removes a waiter's entry and drops its waker.
    #[inline]
    pub(crate) fn forget(&self, key: &impl WakerKey) {
        contain::drop_waker(self.take(key));
    }

    /// Wakes all waiters. A waiter that has to wait longer leaves its waker again.
    pub(crate) fn wake_all(&self) {
        let wakers: Vec<_> = {
            let mut state = lock(&self.0);
            let entries = state.entries.iter_mut();
            entries.filter_map(|(_, waker)| waker.take()).collect()
        };
        wakers.into_iter().for_each(contain::wake);
    }

    /// Wakes all waiters and closes the list.
    pub(crate) fn close(&self) {
        let entries = {
            let mut state = lock(&self.0);
            state.is_closed = true;
            mem::take(&mut state.entries)
        };
        for (_, waker) in entries {
            waker.into_iter().for_each(contain::wake);
        }
    }
}

impl fmt::Debug for WakerList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakerList").finish_non_exhaustive()
    }
}

#[cfg(all(test, switchback_loom))]
mod loom_tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::task::Poll;

    use loom::future::block_on;
    use loom::sync::atomic::AtomicBool;
    use loom::thread;

    use super::*;

    /// Waits for the flag in the way in which every user of the list waits.
    fn wait(list: &WakerList, has_happened: impl Fn() -> bool) {
        let key = OwnKey::default();
        block_on(poll_fn(|cx| {
            list.leave(&key, cx.waker());
            match has_happened() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        }));
        list.forget(&key);
    }

    fn all_are_told(tell: fn(&WakerList)) {
        loom::model(move || {
            let list = Arc::new(WakerList::new());
            let happened = Arc::new(AtomicBool::new(false));
            let other = {
                let (list, happened) = (list.clone(), happened.clone());
                thread::spawn(move || wait(&list, || happened.load(Ordering::Relaxed)))
            };
            let teller = {
                let (list, happened) = (list.clone(), happened.clone());
                thread::spawn(move || {
                    // Ordering: the lock of the list orders this.
                    happened.store(true, Ordering::Relaxed);
                    tell(&list);
                })
            };
            wait(&list, || happened.load(Ordering::Relaxed));
            teller.join().unwrap();
            other.join().unwrap();
        });
    }

    #[test]
    fn all_who_wait_are_told_when_the_list_is_woken() {
        all_are_told(WakerList::wake_all);
    }

    #[test]
    fn all_who_wait_are_told_when_the_list_is_closed() {
        all_are_told(WakerList::close);
    }
}

#[cfg(all(test, not(switchback_loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("in wake");
        }
    }

    impl Drop for Panics {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("in drop");
            }
        }
    }

    #[allow(unsafe_code)]
    fn panics_when_cloned() -> Waker {
        static VTABLE: RawWakerVTable =
            RawWakerVTable::new(|_| panic!("in clone"), |_| (), |_| (), |_| ());
        // SAFETY: the functions do not use the data, and none of them can leave a waker in a bad
        // state. They may be called on any thread.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
    }

    #[test]
    fn a_waker_that_panics_keeps_no_other_from_being_woken() {
        type Tell = (&'static str, fn(&WakerList));
        let tells: [Tell; 2] = [
            ("wake_all", WakerList::wake_all),
            ("close", WakerList::close),
        ];
        for (name, tell) in tells {
            let list = WakerList::new();
            let count = Arc::new(Count(AtomicUsize::new(0)));
            let keys: Vec<_> = (0..4).map(|_| OwnKey::default()).collect();
            list.leave(&keys[0], &Waker::from(count.clone()));
            list.leave(&keys[1], &Waker::from(Arc::new(Panics)));
            let told = catch_unwind(AssertUnwindSafe(|| {
                list.leave(&keys[2], &panics_when_cloned());
            }));
            assert!(told.is_ok(), "{name}: a clone's panic is contained");
            list.leave(&keys[3], &Waker::from(count.clone()));
            tell(&list);
            assert_eq!(count.0.load(Ordering::Relaxed), 2, "{name}");
            keys.iter().for_each(|key| list.forget(key));
        }
    }

    #[test]
    fn a_key_of_a_list_that_was_closed_takes_nothing_from_others() {
        let list = WakerList::new();
        let key = OwnKey::default();
        list.leave(&key, Waker::noop());
        list.close();
        assert!(list.take(&key).is_none());
        list.leave(&key, Waker::noop());
        assert_eq!(key.get(), None);
    }
}
