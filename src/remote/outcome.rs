//! [`Outcome`]: how the fiber behind a byte stream has ended.

use std::io;

use crate::handles::JoinError;

/// What the fiber of a byte stream returns to the task that uses the stream.
pub(super) type Returned = Result<io::Result<()>, JoinError>;

/// How the fiber has ended, for polls after the one that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure(io::ErrorKind),
}

impl Outcome {
    /// Converts what the fiber has returned to what the next poll returns, and to what those
    /// after it see.
    pub(super) fn of(returned: Returned) -> (Outcome, io::Result<()>) {
        let result = returned.unwrap_or_else(|error| Err(error.into()));
        let outcome = match &result {
            Ok(()) => Outcome::Success,
            // Callers retry after `Interrupted`, and would do so for ever if they kept
            // getting it.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                Outcome::Failure(io::ErrorKind::Other)
            }
            Err(e) => Outcome::Failure(e.kind()),
        };
        (outcome, result)
    }

    /// Returns what a later poll returns.
    pub(super) fn again(self) -> io::Result<()> {
        match self {
            Outcome::Success => Ok(()),
            Outcome::Failure(kind) => Err(io::Error::new(kind, FAILED_BEFORE)),
        }
    }
}

const FAILED_BEFORE: &str = "the fiber of this stream has failed before";
