//! [`TimeRecord`]: how long the fibers of a hub run, and wait until they do.

use std::fmt;
use std::panic::Location;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::FiberId;
use crate::base::lock::lock;

/// How long the fibers of a hub have had its thread without a break, and how long they were ready before.
/// The hub's thread writes it, any thread reads it. They are figures, which order nothing.
#[derive(Default)]
pub(crate) struct TimeRecord {
    longest: Mutex<Option<LongRun>>,
    /// How long `longest` lasted, in nanoseconds.
    longest_lasts: AtomicU64,
    /// How many times a fiber was ready before it ran, by the next greater power of two of the
    /// microseconds that it took.
    ready: [AtomicU64; BUCKETS],
}

/// The number of powers of two. The last one is more than half an hour.
pub(crate) const BUCKETS: usize = 32;

/// A fiber that has had its hub's thread for long.
#[derive(Clone, Debug)]
pub(crate) struct LongRun {
    pub(crate) fiber: FiberId,
    pub(crate) name: Box<str>,
    pub(crate) place: &'static Location<'static>,
    pub(crate) lasts: Duration,
}

impl TimeRecord {
    /// Records that a fiber was ready for so long before it ran.
    pub(crate) fn was_ready(&self, lasts: Duration) {
        let microseconds = u64::try_from(lasts.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - microseconds.leading_zeros()) as usize;
        let count = &self.ready[bucket.min(BUCKETS - 1)];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Records that a fiber has had the thread for so long. If none has had it for longer, `longest`
    /// is called to tell which one it is.
    pub(crate) fn ran(&self, lasts: Duration, longest: impl FnOnce() -> LongRun) {
        let nanoseconds = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
        if nanoseconds > self.longest_lasts.load(Ordering::Relaxed) {
            self.longest_lasts.store(nanoseconds, Ordering::Relaxed);
            let longest = longest();
            *lock(&self.longest) = Some(longest);
        }
    }

    pub(crate) fn longest(&self) -> Option<LongRun> {
        lock(&self.longest).clone()
    }

    pub(crate) fn ready(&self) -> [u64; BUCKETS] {
        self.ready
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for TimeRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeRecord")
            .field("longest", &self.longest())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_below_the_power_of_two_that_is_greater() {
        let record = TimeRecord::default();
        for (lasts, bucket) in [
            (Duration::from_nanos(999), 0),
            (Duration::from_micros(1), 1),
            (Duration::from_micros(2), 2),
            (Duration::from_micros(3), 2),
            (Duration::from_micros(1024), 11),
            (Duration::from_secs(1 << 20), BUCKETS - 1),
            (Duration::MAX, BUCKETS - 1),
        ] {
            let before = record.ready();
            record.was_ready(lasts);
            let grown = (0..BUCKETS).filter(|n| record.ready()[*n] > before[*n]);
            assert_eq!(grown.collect::<Vec<_>>(), [bucket], "{lasts:?}");
        }
    }
}
