//! What the tests of threads share.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

/// The names of this process's threads, as the system knows them: the first 15
/// bytes.
pub(crate) fn names() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // A thread may end between the two.
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}

/// How many threads have this name.
///
/// It may miss one: while other threads end, the system's list skips some that stay.
pub(crate) fn named(name: &str) -> usize {
    names().iter().filter(|known| *known == name).count()
}

/// Waits until one thread has this name: for ever, if none has, so the test hangs.
///
/// A count of `0` is not taken for an answer, since [`named`] may miss one.
pub(crate) fn assert_there(name: &str) {
    while named(name) != 1 {
        std::thread::yield_now();
    }
}

/// Waits until no thread has this name: for ever, if one stays, so the test hangs.
///
/// One that has been joined may still be in the system's list for a moment.
pub(crate) fn assert_gone(name: &str) {
    while named(name) > 0 {
        std::thread::yield_now();
    }
}

/// Counts how often its waker was woken.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn new() -> Arc<Wakes> {
        Arc::default()
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        self.clone().into()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
