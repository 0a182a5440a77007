//! [`HubClosed`]: the error of a hub that takes no more fibers or callbacks.

use std::error::Error;
use std::fmt;
use std::io;

/// The hub is closed or has ended, so it takes no new fibers or callbacks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HubClosed(());

impl HubClosed {
    pub(crate) fn new() -> HubClosed {
        HubClosed(())
    }
}

impl fmt::Debug for HubClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubClosed")
    }
}

impl fmt::Display for HubClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the hub is closed: it takes no new fibers or callbacks; send them before it closes, or to another hub")
    }
}

impl Error for HubClosed {}

impl From<HubClosed> for io::Error {
    /// The kind is [`io::ErrorKind::Other`].
    fn from(closed: HubClosed) -> io::Error {
        io::Error::other(closed)
    }
}
