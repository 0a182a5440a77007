//! [`CloseTimeout`]: the error of a close that took too long.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// A hub, or the hubs of a pool, did not close in time: some fibers had not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseTimeout {
    duration: Duration,
    fibers: Vec<String>,
    busy: Vec<String>,
}

impl CloseTimeout {
    pub(crate) fn new(duration: Duration) -> CloseTimeout {
        CloseTimeout::of_fibers(duration, Vec::new())
    }

    pub(super) fn of_fibers(duration: Duration, fibers: Vec<String>) -> CloseTimeout {
        CloseTimeout {
            duration,
            fibers,
            busy: Vec::new(),
        }
    }

    /// Adds what is known of a hub on the thread with this name that has not
    /// closed.
    pub(crate) fn add(&mut self, thread: &str, fibers: Option<Vec<String>>) {
        match fibers {
            Some(fibers) if !fibers.is_empty() => self.fibers.extend(fibers),
            _ => self.busy.push(thread.to_owned()),
        }
    }

    /// The names of the fibers that had not ended.
    pub fn fibers(&self) -> &[String] {
        &self.fibers
    }

    /// The names of the threads of a [`HubThread`](crate::HubThread) or
    /// [`HubPool`](crate::HubPool) that were busy with something else than waiting
    /// fibers: with one that computes, so that the hub did not get to close, or
    /// with blocking jobs that go on when all fibers have ended.
    pub fn busy_threads(&self) -> &[String] {
        &self.busy
    }
}

impl fmt::Display for CloseTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the hub did not close within {:?}", self.duration)?;
        if !self.fibers.is_empty() || self.busy.is_empty() {
            write!(f, "; still alive: {}", self.fibers.join(", "))?;
        }
        if !self.busy.is_empty() {
            write!(f, "; busy threads: {}", self.busy.join(", "))?;
        }
        Ok(())
    }
}

impl Error for CloseTimeout {}

impl From<CloseTimeout> for io::Error {
    /// The kind is [`io::ErrorKind::TimedOut`].
    fn from(timeout: CloseTimeout) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, timeout)
    }
}
