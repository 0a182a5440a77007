//! The runtimes on which a thread has closed its hub for good.
//!
//! A hub that a `run_until` has closed stays closed: it is dropped, and all that is kept is that the
//! runtime has no hub on that thread any more. A task of the runtime, which does nothing, says when
//! the runtime is gone, so that this can be forgotten too.

use std::collections::HashSet;
use std::future::pending;
use std::sync::{Mutex, OnceLock};
use std::thread::{self, ThreadId};

use tokio::runtime::{Handle, Id};

use crate::base::lock::lock;

type Retired = (ThreadId, Id);

fn retired() -> &'static Mutex<HashSet<Retired>> {
    static RETIRED: OnceLock<Mutex<HashSet<Retired>>> = OnceLock::new();
    RETIRED.get_or_init(Mutex::default)
}

/// From now on, this thread has no hub on the runtime.
pub(super) fn add(runtime: &Handle) {
    let key = (thread::current().id(), runtime.id());
    if lock(retired()).insert(key) {
        let until_dropped = Forget(key);
        runtime.spawn(async move {
            let _until_dropped = until_dropped;
            pending::<()>().await;
        });
    }
}

/// Whether this thread has no hub on the runtime any more.
pub(super) fn contains(runtime: &Handle) -> bool {
    lock(retired()).contains(&(thread::current().id(), runtime.id()))
}

/// This thread has a hub on the runtime again.
pub(super) fn remove(runtime: &Handle) {
    lock(retired()).remove(&(thread::current().id(), runtime.id()));
}

/// Forgets the entry when the runtime drops it.
struct Forget(Retired);

impl Drop for Forget {
    fn drop(&mut self) {
        lock(retired()).remove(&self.0);
    }
}
