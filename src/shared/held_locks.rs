//! How many locks of `sync` each fiber holds, which debug builds count for the reports.

#[cfg(debug_assertions)]
use std::collections::BTreeMap;
#[cfg(debug_assertions)]
use std::sync::Mutex;

use super::FiberId;
#[cfg(debug_assertions)]
use crate::base::lock::lock;

#[cfg(debug_assertions)]
static HELD: Mutex<BTreeMap<FiberId, usize>> = Mutex::new(BTreeMap::new());

/// Counts a lock that a fiber holds from now on.
#[cfg(debug_assertions)]
pub(crate) fn begin(fiber: FiberId) {
    *lock(&HELD).entry(fiber).or_insert(0) += 1;
}

/// Counts a lock that a fiber has held until now.
#[cfg(debug_assertions)]
pub(crate) fn end(fiber: FiberId) {
    let mut held = lock(&HELD);
    if let Some(count) = held.get_mut(&fiber) {
        *count -= 1;
        if *count == 0 {
            held.remove(&fiber);
        }
    }
}

/// Returns what the report about an abandoned fiber says about its locks.
pub(crate) fn consequence(fiber: FiberId) -> String {
    #[cfg(debug_assertions)]
    if let Some(count) = lock(&HELD).get(&fiber) {
        return format!("; it keeps locks of `switchback::sync` for ever: {count}");
    }
    let _ = fiber;
    String::new()
}
