//! [`CloseTimeout`]: the error of a close that took too long.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::shared::FiberNames;

/// A hub, or a hub of a pool, did not close in time, because some of its fibers had not ended or
/// its thread was busy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseTimeout {
    duration: Duration,
    fibers: FiberNames,
    busy: Vec<String>,
}

impl CloseTimeout {
    pub(crate) fn new(duration: Duration) -> CloseTimeout {
        CloseTimeout::of_fibers(duration, FiberNames::default())
    }

    pub(super) fn of_fibers(duration: Duration, fibers: FiberNames) -> CloseTimeout {
        CloseTimeout {
            duration,
            fibers,
            busy: Vec::new(),
        }
    }

    /// Adds a hub that has not closed. `thread` is the name of its thread, and `fibers` are the
    /// names of its live fibers, if known.
    pub(crate) fn add(&mut self, thread: &str, fibers: Option<FiberNames>) {
        match fibers {
            Some(fibers) if !fibers.is_empty() => self.fibers.append(fibers),
            _ => self.busy.push(thread.to_owned()),
        }
    }

    /// Returns the names of the fibers that had not ended.
    #[must_use]
    pub fn fibers(&self) -> &[String] {
        self.fibers.names()
    }

    /// Returns the names of the threads of a [`HubThread`](crate::HubThread) or
    /// [`HubPool`](crate::HubPool) that were busy. Such a thread runs a fiber that computes, so
    /// that the hub could not close, or waits for blocking jobs after all fibers have ended.
    #[must_use]
    pub fn busy_threads(&self) -> &[String] {
        &self.busy
    }
}

impl fmt::Display for CloseTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the hub did not close within {:?}", self.duration)?;
        if !self.fibers.is_empty() || self.busy.is_empty() {
            write!(f, "; still alive: {}", self.fibers)?;
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
