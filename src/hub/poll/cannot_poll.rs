//! [`CannotPoll`]: the errors of descriptors that cannot be polled.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::RawFd;

/// The payload of the errors: names the descriptor.
#[derive(Debug)]
pub(crate) struct CannotPoll {
    fd: RawFd,
    why: io::Error,
}

impl CannotPoll {
    pub(crate) fn error(fd: RawFd, why: io::Error) -> io::Error {
        io::Error::new(why.kind(), CannotPoll { fd, why })
    }
}

impl fmt::Display for CannotPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot poll descriptor {}: {}", self.fd, self.why)
    }
}

impl Error for CannotPoll {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.why)
    }
}
