//! [`SpawnError`]: why a pool did not take a fiber.

use std::error::Error;
use std::fmt;
use std::io;

use crate::shared::Refusal;

/// A pool did not take a fiber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// The pool is closed, or each of its hubs is.
    Closed,
    /// As many fibers wait as [`HubBuilder::max_queued`](crate::HubBuilder::max_queued) allows.
    Full,
}

impl SpawnError {
    pub(super) fn new(refusal: Refusal) -> SpawnError {
        match refusal {
            Refusal::Closed => SpawnError::Closed,
            Refusal::Full => SpawnError::Full,
        }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SpawnError::Closed => "the pool of hubs is closed: it takes no new fibers",
            SpawnError::Full => {
                "the queue of the pool of hubs is full; send fewer at a time, or await `call`, \
                 which is never refused"
            }
        })
    }
}

impl Error for SpawnError {}

impl From<SpawnError> for io::Error {
    /// The kind is [`io::ErrorKind::Other`].
    fn from(error: SpawnError) -> io::Error {
        io::Error::other(error)
    }
}
