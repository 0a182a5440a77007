//! [`Limit`]: a timeout of reads or writes.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A timeout, in nanoseconds, that is set through a shared reference. Zero, which callers
/// cannot set, means that there is none. A timeout that is too large is stored as the
/// maximum, some 584 years.
#[derive(Debug)]
pub(crate) struct Limit(AtomicU64);

impl Limit {
    pub(crate) fn none() -> Limit {
        Limit(AtomicU64::new(0))
    }

    pub(crate) fn set(&self, timeout: Option<Duration>) -> io::Result<()> {
        let nanos = match timeout {
            Some(Duration::ZERO) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a timeout of zero cannot be set; `None` is for ever",
                ));
            }
            Some(timeout) => u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX),
            None => 0,
        };
        // Ordering: the value protects no other data.
        self.0.store(nanos, Ordering::Relaxed);
        Ok(())
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }
}
