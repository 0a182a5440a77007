//! [`Cancelled`]: the payload that a cancelled fiber unwinds with.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

/// The payload that a cancelled fiber unwinds with. Its joiner receives it in a
/// [`JoinError`](crate::JoinError).
///
/// Code that catches panics may catch one of these. A fiber that rethrows it with
/// [`std::panic::resume_unwind`] counts as cancelled.
#[derive(Clone, PartialEq, Eq)]
pub struct Cancelled {
    message: Option<Cow<'static, str>>,
}

impl Cancelled {
    pub(crate) fn new(message: Option<Cow<'static, str>>) -> Cancelled {
        Cancelled { message }
    }

    pub(crate) fn because(message: impl Into<Cow<'static, str>>) -> Cancelled {
        Cancelled::new(Some(message.into()))
    }

    pub(crate) fn into_message(self) -> Option<Cow<'static, str>> {
        self.message
    }

    /// Returns the message of [`cancel_with`](crate::Fiber::cancel_with), or the reason for a
    /// cancel that no code asked for. Returns `None` for a [`cancel`](crate::Fiber::cancel) without
    /// a message.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            Some(message) => write!(f, "cancelled: {message}"),
            None => f.write_str("cancelled"),
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancelled").field(&self.message).finish()
    }
}

impl Error for Cancelled {}

impl From<Cancelled> for io::Error {
    /// The kind is [`io::ErrorKind::Other`], as for tokio's `JoinError`. It is never
    /// `Interrupted`, which std's adapters answer by trying again.
    fn from(cancelled: Cancelled) -> io::Error {
        io::Error::other(cancelled)
    }
}
