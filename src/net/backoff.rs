//! [`Backoff`]: pauses between attempts at what no system reports the readiness of.

use std::io;
use std::time::Duration;

use crate::base::helper;

const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(64);

/// Pauses between attempts, each twice as long as the one before.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff(FIRST)
    }

    /// Waits for the next attempt, on the helper runtime, since the current one may have no timers.
    pub(super) async fn pause(&mut self) -> io::Result<()> {
        let pause = self.0;
        self.0 = (2 * pause).min(LONGEST);
        helper::try_sleep(pause)?.await;
        Ok(())
    }
}
