//! [`JoinError`]: why a fiber ended without a result.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;

use crate::shared::{Cancelled, Cause, FiberId, FiberRef};

/// A fiber ended without a result: it panicked, it was cancelled, or it could not run to its end.
///
/// The interface is that of tokio's [`JoinError`](tokio::task::JoinError): every cause other than a
/// panic counts as cancelled, and the message says which it was.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{Builder, prelude::*};
///
/// let mut fiber = Builder::new().name("fragile").spawn(|| panic!("oops")).unwrap();
/// let error: switchback::JoinError = fiber.join().wait().unwrap_err();
/// assert!(error.is_panic());
/// assert_eq!(error.to_string(), r#"fiber 'fragile' panicked with message "oops""#);
/// assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "oops");
/// # }).unwrap();
/// ```
pub struct JoinError {
    /// Boxed, because each join returns a value that is at least as large as this error.
    cause: Box<Cause>,
    fiber: FiberRef,
}

impl JoinError {
    pub(crate) fn new(cause: Box<Cause>, fiber: &FiberRef) -> JoinError {
        JoinError {
            cause,
            fiber: fiber.clone(),
        }
    }

    /// Returns whether the fiber ended for another reason than a panic: it was cancelled, its hub
    /// closed or ended, or its hub never ran.
    pub fn is_cancelled(&self) -> bool {
        !self.is_panic()
    }

    /// Returns whether the fiber panicked.
    pub fn is_panic(&self) -> bool {
        matches!(*self.cause, Cause::Panic { .. })
    }

    /// Returns the payload of the fiber's panic.
    ///
    /// # Panics
    ///
    /// Panics if the fiber did not panic. Check [`is_panic`](Self::is_panic) first, or use
    /// [`try_into_panic`](Self::try_into_panic).
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!(
                "`JoinError::into_panic` on an error that is no panic: {error}; ask `is_panic` first"
            ),
        }
    }

    /// Returns the payload of the fiber's panic.
    ///
    /// # Errors
    ///
    /// Returns the error itself if the fiber did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, JoinError> {
        match *self.cause {
            Cause::Panic { payload, .. } => Ok(payload.into_inner()),
            cause => {
                let cause = Box::new(cause);
                Err(JoinError { cause, ..self })
            }
        }
    }

    /// Returns the cancel that ended the fiber; `None` if it panicked, was abandoned or lost its
    /// hub.
    pub fn cancelled(&self) -> Option<&Cancelled> {
        match &*self.cause {
            Cause::Cancelled(cancelled) => Some(cancelled),
            _ => None,
        }
    }

    /// Returns the fiber's ID.
    pub fn id(&self) -> FiberId {
        self.fiber.id()
    }

    /// Returns the fiber's name.
    pub fn name(&self) -> &str {
        self.fiber.name()
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fiber '{}' {}", self.name(), self.cause)
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinError")
            .field("fiber", &self.name())
            .field("id", &self.id())
            .field("cause", &self.cause)
            .finish()
    }
}

impl Error for JoinError {}

impl From<JoinError> for io::Error {
    /// The kind is [`io::ErrorKind::Other`], as for tokio's `JoinError`.
    fn from(error: JoinError) -> io::Error {
        io::Error::other(error)
    }
}
