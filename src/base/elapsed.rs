//! [`Elapsed`]: the error of every wait with a deadline.

use std::error::Error;
use std::fmt;
use std::io;

/// The deadline passed before the future was ready.
#[derive(Debug, PartialEq, Eq)]
pub struct Elapsed(Cause);

#[derive(Debug, PartialEq, Eq)]
enum Cause {
    Deadline,
    Unwinding,
    HubGone,
}

impl Elapsed {
    pub(crate) fn deadline() -> Elapsed {
        Elapsed(Cause::Deadline)
    }

    pub(crate) fn unwinding() -> Elapsed {
        Elapsed(Cause::Unwinding)
    }

    pub(crate) fn hub_gone() -> Elapsed {
        Elapsed(Cause::HubGone)
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Cause::Deadline => "deadline has elapsed",
            Cause::Unwinding => "the fiber is unwinding and cannot wait",
            Cause::HubGone => "the hub has ended and the fiber cannot wait",
        })
    }
}

impl Error for Elapsed {}

impl From<tokio::time::error::Elapsed> for Elapsed {
    fn from(_: tokio::time::error::Elapsed) -> Elapsed {
        Elapsed::deadline()
    }
}

impl From<Elapsed> for io::Error {
    /// The kind is [`io::ErrorKind::TimedOut`], as for tokio's `Elapsed`.
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
