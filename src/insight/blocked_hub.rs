//! [`BlockedHub`]: a hub whose thread one fiber has had for too long.

use std::fmt;
use std::time::Duration;

use super::{Running, ThreadActivity};
use crate::base::report;
use crate::shared::Mailbox;

/// A hub whose thread one fiber has had for longer than a limit: see [`watch`](crate::watch()).
#[derive(Clone, Debug)]
pub struct BlockedHub {
    name: Box<str>,
    thread: String,
    running: Running,
    lasts: Duration,
    activity: Option<ThreadActivity>,
}

impl BlockedHub {
    pub(super) fn new(hub: &Mailbox, running: Running, lasts: Duration) -> BlockedHub {
        BlockedHub {
            name: hub.name().into(),
            thread: hub.thread_label(),
            running,
            lasts,
            activity: hub.task().and_then(ThreadActivity::of),
        }
    }

    /// Returns the hub's name: the one it was given, or `Hub`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the hub's thread in quotes, or its ID.
    #[must_use]
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// Returns the fiber that has the thread.
    #[must_use]
    pub fn fiber(&self) -> &Running {
        &self.running
    }

    /// Returns for how long at least the fiber has had the thread, in real time.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.lasts
    }

    /// Returns what the thread is doing, where the system says so (on Linux).
    #[must_use]
    pub fn activity(&self) -> Option<ThreadActivity> {
        self.activity
    }

    /// Reports it: to `tracing` with the feature of that name, to stderr without it.
    pub fn report(&self) {
        report::warn(format_args!("{self}"));
    }
}

impl fmt::Display for BlockedHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "hub '{}' on thread {} stands still: {} has had its thread for {:.1?}",
            self.name, self.thread, self.running, self.lasts,
        )?;
        if let Some(at) = self.running.waited_at() {
            write!(f, ", since its wait at {at}")?;
        }
        match &self.activity {
            Some(activity) => write!(f, "; the thread is {activity}"),
            None => Ok(()),
        }
    }
}
