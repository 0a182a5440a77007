//! [`Cause`]: why a fiber ended without a result.

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::Cancelled;

pub(crate) enum Cause {
    Panic {
        message: Option<Box<str>>,
        payload: Payload,
    },
    Cancelled(Cancelled),
    /// The stack could not be unwound.
    Abandoned,
    /// The hub was made on a thread that does not drive its runtime.
    HubNeverRan,
    /// The hub's thread ended, or another thread dropped its runtime.
    HubLost,
}

/// The payload of a panic. The lock makes it `Sync`. It is never locked, because the payload is
/// only taken by value.
pub(crate) struct Payload(Mutex<Box<dyn Any + Send>>);

impl Payload {
    pub(crate) fn into_inner(self) -> Box<dyn Any + Send> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cause {
    /// Converts the payload of a caught unwind.
    pub(crate) fn from_panic(payload: Box<dyn Any + Send>) -> Cause {
        let payload = match payload.downcast::<Cancelled>() {
            Ok(cancelled) => return Cause::Cancelled(*cancelled),
            Err(payload) => payload,
        };
        let message = match payload.downcast_ref::<&'static str>() {
            Some(message) => Some((*message).into()),
            None => payload
                .downcast_ref::<String>()
                .map(|message| message.as_str().into()),
        };
        Cause::Panic {
            message,
            payload: Payload(Mutex::new(payload)),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Panic {
                message: Some(message),
                ..
            } => write!(f, "panicked with message {message:?}"),
            Cause::Panic { message: None, .. } => f.write_str("panicked"),
            Cause::Cancelled(cancelled) => match cancelled.message() {
                Some(message) => write!(f, "was cancelled: {message}"),
                None => f.write_str("was cancelled"),
            },
            Cause::Abandoned => f.write_str(
                "was abandoned: it waited again while its stack was being unwound, and was leaked",
            ),
            Cause::HubNeverRan => f.write_str(
                "never ran: its hub was made on a thread that does not drive its runtime",
            ),
            Cause::HubLost => f.write_str(
                "was lost with its hub: the hub's thread ended, or its runtime was dropped on \
                 another thread",
            ),
        }
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Panic { message, .. } => f.debug_tuple("Panic").field(message).finish(),
            Cause::Cancelled(cancelled) => cancelled.fmt(f),
            Cause::Abandoned => f.write_str("Abandoned"),
            Cause::HubNeverRan => f.write_str("HubNeverRan"),
            Cause::HubLost => f.write_str("HubLost"),
        }
    }
}
