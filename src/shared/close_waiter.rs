//! [`CloseWaiter`]: a task that waits for a hub to close.

use std::sync::Arc;
use std::task::Context;

use super::Mailbox;
use crate::base::{OwnKey, contain};

/// A waiter for the close or the end of a hub.
#[derive(Debug)]
pub(crate) struct CloseWaiter {
    mailbox: Arc<Mailbox>,
    key: OwnKey,
}

impl CloseWaiter {
    pub(crate) fn new(mailbox: &Arc<Mailbox>) -> CloseWaiter {
        CloseWaiter {
            mailbox: mailbox.clone(),
            key: OwnKey::default(),
        }
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Arranges for `cx` to be woken when the close makes progress. If the hub has ended, wakes it
    /// at once, because that may just have happened on another thread.
    pub(crate) fn register(&self, cx: &mut Context<'_>) {
        self.mailbox.close_waiters().leave(&self.key, cx.waker());
        if self.mailbox.has_ended() {
            contain::wake_by_ref(cx.waker());
        }
    }
}

impl Drop for CloseWaiter {
    fn drop(&mut self) {
        self.mailbox.close_waiters().forget(&self.key);
    }
}
