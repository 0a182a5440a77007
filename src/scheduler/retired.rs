//! The runtimes on which a thread has closed its hub for good.
//!
//! A hub that a `run_until` has closed stays closed. The hub itself is dropped; only the fact is
//! kept that the runtime has no hub on that thread any more. An idle task of the runtime is dropped
//! with the runtime, and then this is forgotten too.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Mutex, OnceLock};
use std::thread::{self, ThreadId};

use tokio::runtime::{Handle, Id};

use crate::base::lock::lock;

type Retired = (ThreadId, Id);

/// For each, whether the thread has no hub on the runtime now. An entry stays until its runtime is
/// dropped, so that there is one task for it, however often the runtime gets another hub.
fn retired() -> &'static Mutex<HashMap<Retired, bool>> {
    static RETIRED: OnceLock<Mutex<HashMap<Retired, bool>>> = OnceLock::new();
    RETIRED.get_or_init(Mutex::default)
}

/// Records that from now on this thread has no hub on the runtime.
pub(super) fn add(runtime: &Handle) {
    let key = (thread::current().id(), runtime.id());
    let before = lock(retired()).insert(key, true);
    if before.is_none() {
        let until_dropped = Forget(key);
        runtime.spawn(async move {
            let _until_dropped = until_dropped;
            pending::<()>().await;
        });
    }
}

/// Returns whether this thread has closed its hub on the runtime for good.
pub(super) fn contains(runtime: &Handle) -> bool {
    let key = (thread::current().id(), runtime.id());
    lock(retired()).get(&key).is_some_and(|retired| *retired)
}

/// Records that this thread has a hub on the runtime again.
pub(super) fn remove(runtime: &Handle) {
    let key = (thread::current().id(), runtime.id());
    if let Some(retired) = lock(retired()).get_mut(&key) {
        *retired = false;
    }
}

/// Removes the entry when the runtime drops the task.
struct Forget(Retired);

impl Drop for Forget {
    fn drop(&mut self) {
        lock(retired()).remove(&self.0);
    }
}
