//! [`Looks`]: since when each hub has been seen with the same fiber.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Running;
use crate::shared::{FiberId, Mailbox};

/// What one thread, which looks at hubs again and again, has seen of them so far.
#[derive(Debug)]
pub(super) struct Looks<const LIMITS: usize> {
    now: Instant,
    /// By the address of the hub.
    seen: HashMap<usize, Seen<LIMITS>>,
}

/// A hub whose thread the same fiber has had since some look. Each of its limits is passed once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<const LIMITS: usize> {
    now: Instant,
    resume: Resume,
    since: Instant,
    is_passed: [bool; LIMITS],
    is_new: bool,
}

/// Identifies one resume of a fiber among all of the process.
type Resume = (FiberId, u64);

impl<const LIMITS: usize> Looks<LIMITS> {
    pub(super) fn new(now: Instant) -> Looks<LIMITS> {
        Looks {
            now,
            seen: HashMap::new(),
        }
    }

    /// Begins a look, which should come `period` after the last one. Forgets what was seen if it comes
    /// much too late: then this thread did not run, and so maybe no thread did.
    pub(super) fn begin(&mut self, now: Instant, period: Duration) {
        /// How late this thread may be, on a machine that is busy.
        const LATE: Duration = Duration::from_millis(100);

        if now - self.now > 4 * period + LATE {
            self.seen.clear();
        }
        self.now = now;
        // The hubs that were not seen in the last look have ended, or ran no fiber.
        self.seen.retain(|_, seen| std::mem::take(&mut seen.is_new));
    }

    /// Records which fiber has the thread of a hub.
    pub(super) fn see(&mut self, hub: &Arc<Mailbox>, fiber: &Running) -> &mut Seen<LIMITS> {
        self.see_at(Arc::as_ptr(hub).addr(), (fiber.id(), fiber.resumes()))
    }

    fn see_at(&mut self, hub: usize, resume: Resume) -> &mut Seen<LIMITS> {
        let new = Seen {
            now: self.now,
            resume,
            since: self.now,
            is_passed: [false; LIMITS],
            is_new: true,
        };
        let seen = self.seen.entry(hub).or_insert(new);
        if seen.resume != resume {
            *seen = new;
        }
        seen.now = self.now;
        seen.is_new = true;
        seen
    }
}

impl<const LIMITS: usize> Seen<LIMITS> {
    /// Returns for how long the fiber has had the thread at least, if that is as long as `limit` for the
    /// first time.
    pub(super) fn passes(&mut self, which: usize, limit: Duration) -> Option<Duration> {
        let lasts = self.now - self.since;
        let passes = lasts >= limit && !self.is_passed[which];
        self.is_passed[which] |= passes;
        passes.then_some(lasts)
    }
}

/// When the reports of the last minute were made. There are at most [`MOST`] of them.
#[derive(Debug, Default)]
pub(super) struct Reports(Vec<Instant>);

const MOST: usize = 6;
const MINUTE: Duration = Duration::from_secs(60);

impl Reports {
    /// Returns whether one more may be made now, and counts it.
    pub(super) fn may_make(&mut self, now: Instant) -> bool {
        self.0.retain(|made| now - *made < MINUTE);
        let may = self.0.len() < MOST;
        if may {
            self.0.push(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(80);
    const PERIOD: Duration = Duration::from_millis(10);

    /// Looks every ten milliseconds. What is seen is this number of the fiber's resume, unless the hub
    /// is idle. Calls `seen` with what passes one and five times the limit.
    fn looks(
        count: u32,
        period: Duration,
        resumes: impl Fn(u32) -> Option<u64>,
        mut passed: impl FnMut(Option<Duration>, Option<Duration>),
    ) {
        let start = Instant::now();
        let mut looks = Looks::<2>::new(start);
        let fiber = FiberId::next();
        for look in 0..count {
            looks.begin(start + period * look, PERIOD);
            if let Some(resumes) = resumes(look) {
                let seen = looks.see_at(1, (fiber, resumes));
                passed(seen.passes(0, LIMIT), seen.passes(1, 5 * LIMIT));
            }
        }
    }

    #[test]
    fn an_hour_of_healthy_load_passes_nothing() {
        // A fiber runs for 70 ms, often.
        let resumes = |look: u32| Some(u64::from(look / 7));
        looks(360_000, PERIOD, resumes, |first, second| {
            assert_eq!((first, second), (None, None));
        });
    }

    #[test]
    fn each_limit_is_passed_once_and_soon() {
        let mut passed = [0; 2];
        let is_soon = |lasts: Duration, limit| lasts >= limit && lasts < limit + 2 * PERIOD;
        // A fiber runs for a second.
        let resumes = |look: u32| Some(u64::from(look / 100));
        looks(6_000, PERIOD, resumes, |first, second| {
            assert!(first.is_none_or(|lasts| is_soon(lasts, LIMIT)));
            assert!(second.is_none_or(|lasts| is_soon(lasts, 5 * LIMIT)));
            passed[0] += usize::from(first.is_some());
            passed[1] += usize::from(second.is_some());
        });
        assert_eq!(passed, [60, 60]);
    }

    #[test]
    fn a_hub_that_was_idle_between_passes_nothing() {
        let resumes = |look| (look % 5 != 0).then_some(7);
        looks(1_000, PERIOD, resumes, |first, _| assert_eq!(first, None));
    }

    #[test]
    fn a_process_that_was_stopped_passes_nothing() {
        let late = Duration::from_secs(5);
        looks(10, late, |_| Some(7), |first, _| assert_eq!(first, None));
    }

    #[test]
    fn six_reports_a_minute() {
        let start = Instant::now();
        let mut reports = Reports::default();
        let made = (0..600).filter(|second| {
            let now = start + Duration::from_secs(*second);
            reports.may_make(now)
        });
        assert_eq!(made.count(), 10 * MOST);
    }
}
