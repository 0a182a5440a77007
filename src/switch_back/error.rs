//! [`SwitchError`]: why a `SwitchBack` has no value.

use std::error::Error;
use std::fmt;
use std::io;

use crate::base::Elapsed;

/// A [`SwitchBack`](crate::SwitchBack) received no value.
///
/// # Examples
///
/// ```
/// use std::io;
/// use switchback::{SwitchBack, SwitchError, prelude::*};
///
/// let switch_back = SwitchBack::<()>::new();
/// switch_back.switcher().throw(io::Error::from(io::ErrorKind::NotConnected));
/// match switch_back.wait() {
///     Err(SwitchError::Thrown(error)) => assert!(error.is::<io::Error>()),
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SwitchError {
    /// The time passed before a switcher was fired.
    Timeout(Elapsed),
    /// A switcher gave this error to [`Switcher::throw`](crate::Switcher::throw).
    Thrown(Box<dyn Error + Send + Sync>),
    /// No code can fire it any more: the last of its switchers was dropped, or the fiber that made
    /// the `SwitchBack` has ended.
    Dropped,
}

impl fmt::Display for SwitchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SwitchError::Timeout(_) => "no switcher was fired in time",
            SwitchError::Thrown(_) => "a switcher threw an error",
            SwitchError::Dropped => "every switcher was dropped without being fired",
        })
    }
}

impl Error for SwitchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SwitchError::Timeout(elapsed) => Some(elapsed),
            SwitchError::Thrown(error) => Some(&**error),
            SwitchError::Dropped => None,
        }
    }
}

impl From<SwitchError> for io::Error {
    /// A thrown [`io::Error`] is returned as it is; other thrown errors have the kind
    /// [`Other`](io::ErrorKind::Other). A timeout has the kind
    /// [`TimedOut`](io::ErrorKind::TimedOut), and [`Dropped`](SwitchError::Dropped) has
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe).
    fn from(error: SwitchError) -> io::Error {
        match error {
            SwitchError::Timeout(elapsed) => elapsed.into(),
            SwitchError::Thrown(error) => match error.downcast::<io::Error>() {
                Ok(error) => *error,
                Err(error) => io::Error::other(error),
            },
            SwitchError::Dropped => io::Error::new(io::ErrorKind::BrokenPipe, error),
        }
    }
}
