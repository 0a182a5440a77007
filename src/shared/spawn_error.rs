//! [`SpawnError`]: why a hub or a pool did not take a fiber.

use std::error::Error;
use std::fmt;
use std::io;

use super::HubClosed;

/// A hub or a pool did not take a fiber that was sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// The hub is closed, or the pool, or each hub of the pool.
    Closed,
    /// As many fibers wait as [`HubBuilder::max_queued`](crate::HubBuilder::max_queued) allows.
    Full,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SpawnError::Closed => "the hub or pool is closed: it takes no new fibers",
            SpawnError::Full => {
                "the queue of the pool of hubs is full; send fewer at a time, or await `call`, \
                 which is never refused"
            }
        })
    }
}

impl Error for SpawnError {}

impl From<HubClosed> for SpawnError {
    fn from(_: HubClosed) -> SpawnError {
        SpawnError::Closed
    }
}

impl From<SpawnError> for io::Error {
    /// The kind is [`io::ErrorKind::Other`].
    fn from(error: SpawnError) -> io::Error {
        io::Error::other(error)
    }
}
