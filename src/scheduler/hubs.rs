//! The hubs of all threads.

use std::sync::{Arc, Mutex, Weak};

use crate::base::lock::lock;
use crate::shared::Mailbox;

/// The hubs that were made and may not have ended.
struct Hubs {
    mailboxes: Vec<Weak<Mailbox>>,
    /// The number of entries after those that have ended were last removed.
    swept_at: usize,
}

static HUBS: Mutex<Hubs> = Mutex::new(Hubs {
    mailboxes: Vec::new(),
    swept_at: 0,
});

/// Adds a hub.
pub(super) fn add(hub: &Arc<Mailbox>) {
    // Dropped after the lock: the last reference to a mailbox may drop wakers of the user's.
    let mut looked_at = Vec::new();
    let mut hubs = lock(&HUBS);
    if hubs.mailboxes.len() >= 2 * hubs.swept_at {
        hubs.mailboxes.retain(|hub| match hub.upgrade() {
            Some(hub) => {
                let lives = !hub.has_ended();
                looked_at.push(hub);
                lives
            }
            None => false,
        });
        hubs.swept_at = hubs.mailboxes.len();
    }
    hubs.mailboxes.push(Arc::downgrade(hub));
    drop(hubs);
    drop(looked_at);
}

/// Returns the hubs that have not ended, in the order in which they were made.
pub(crate) fn all() -> Vec<Arc<Mailbox>> {
    let mut all = lock(&HUBS)
        .mailboxes
        .iter()
        .filter_map(Weak::upgrade)
        .collect::<Vec<_>>();
    all.retain(|hub| !hub.has_ended());
    all
}
