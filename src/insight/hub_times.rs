//! [`HubTimes`]: how long the fibers of a hub run, and wait until they do.

use std::fmt;
use std::time::Duration;

use super::SourcePlace;
use crate::shared::{BUCKETS, FiberId, LongRun, Mailbox};

/// How long the fibers of a hub run, and wait until they do: see
/// [`HubHandle::times`](crate::HubHandle::times).
#[derive(Clone, Debug)]
pub struct HubTimes {
    longest: Option<LongRun>,
    ready: [u64; BUCKETS],
}

/// The fiber that has had its hub's thread for the longest time without a break: a part of [`HubTimes`].
#[derive(Clone)]
pub struct LongestRun(LongRun);

impl HubTimes {
    pub(crate) fn of(hub: &Mailbox) -> Option<HubTimes> {
        let times = hub.times()?;
        Some(HubTimes {
            longest: times.longest(),
            ready: times.ready(),
        })
    }

    /// Returns the fiber that has had the thread for the longest time without a break since the hub was
    /// made. One that has it now counts when it gives it back.
    #[must_use]
    pub fn longest_run(&self) -> Option<LongestRun> {
        self.longest.clone().map(LongestRun)
    }

    /// Returns how many times a fiber was ready for how long before it ran. The first element counts those
    /// of less than a microsecond; each further one, `n`, those of 2<sup>n-1</sup> microseconds and more,
    /// but less than 2<sup>n</sup>; the last one also all that were longer.
    #[must_use]
    pub fn ready_waits(&self) -> &[u64; 32] {
        &self.ready
    }
}

impl LongestRun {
    /// Returns the fiber's ID.
    #[must_use]
    pub fn id(&self) -> FiberId {
        self.0.fiber
    }

    /// Returns the fiber's name: the one it was given, or `Fiber-N` with its ID.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns where the fiber was spawned.
    #[must_use]
    pub fn spawned_at(&self) -> SourcePlace {
        SourcePlace::new(self.0.place)
    }

    /// Returns for how long the fiber has had the thread, in real time.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.0.lasts
    }
}

impl fmt::Debug for LongestRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LongestRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LongRun {
            fiber, name, lasts, ..
        } = &self.0;
        let place = self.spawned_at();
        write!(f, "{lasts:.1?}: fiber {fiber} '{name}', spawned at {place}")
    }
}
