//! [`watch_deadlocks`]: tells of fibers that wait for each other.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use super::watch::{Stop, WatchGuard};
use super::{Cycle, dump_all};
use crate::base::contain;
use crate::shared::FiberId;
use crate::wait::Wait as _;

/// Calls `f` when fibers wait for each other in a cycle, of one hub or of several.
///
/// Once per `period`, all hubs of the process are asked for a [dump](dump_all()), until the guard is
/// dropped. `f` is called once for each [`Cycle`]. If the cycle [may break](Cycle::may_break) by itself,
/// for example at a time limit, `f` is called only if the next dump still has it. To write cycles to
/// stderr, or to `tracing`, let `f` be [`Cycle::report`].
///
/// Each dump takes the hubs about a microsecond for each of their fibers, so with a million fibers the
/// `period` should be minutes.
///
/// `f` is called on a thread of its own, which waits for it. If `f` panics, that is reported.
///
/// # Errors
///
/// Returns an error if the thread cannot be started, and if `period` is zero.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
/// use std::time::Duration;
/// use switchback::{prelude::*, sync::Mutex, watch_deadlocks};
///
/// # fn main() -> std::io::Result<()> {
/// let (found, finds) = mpsc::channel();
/// let _guard = watch_deadlocks(Duration::from_millis(20), move |cycle| {
///     cycle.report();
///     let _ = found.send(cycle.fibers().len());
/// })?;
/// let thread = switchback::HubThread::new()?;
/// let fiber = thread.spawn(|| {
///     let lock = Mutex::new(1);
///     let first = lock.lock().unwrap();
///     *first + *lock.lock().unwrap() // waits for itself
/// })?;
/// assert_eq!(finds.recv().unwrap(), 1);
/// fiber.cancel();
/// # Ok(())
/// # }
/// ```
#[doc(alias = "deadlock detection")]
pub fn watch_deadlocks(
    period: Duration,
    f: impl Fn(&Cycle) + Send + Sync + 'static,
) -> io::Result<WatchGuard> {
    if period.is_zero() {
        let why = "a period of zero: nothing else would run";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    WatchGuard::start("switchback-deadlocks", move |stop| {
        let mut seen = Seen::default();
        while !stop.is_over() {
            stop.wait(period);
            if !stop.is_over() {
                tell(stop, seen.look(dump_all().wait().cycles()), &f);
            }
        }
    })
}

fn tell(stop: &Stop, cycles: Vec<Cycle>, f: &impl Fn(&Cycle)) {
    for cycle in cycles {
        if stop.is_over() {
            return;
        }
        contain::run("the closure of `watch_deadlocks`", || f(&cycle));
    }
}

/// The cycles of the last look: each has its fibers, with the numbers of their waits.
#[derive(Debug, Default)]
struct Seen {
    told: BTreeSet<Waits>,
    not_told: BTreeSet<Waits>,
}

type Waits = BTreeSet<(FiberId, Option<u32>)>;

impl Seen {
    /// Returns those of these cycles that have to be told.
    fn look(&mut self, cycles: Vec<Cycle>) -> Vec<Cycle> {
        let last = std::mem::take(self);
        let tells = |cycle: &Cycle| {
            let waits: Waits = cycle.waits().collect();
            let is_told = last.told.contains(&waits);
            let may_pass = cycle.may_break() && !last.not_told.contains(&waits);
            match !is_told && may_pass {
                true => self.not_told.insert(waits),
                false => self.told.insert(waits),
            };
            !is_told && !may_pass
        };
        cycles.into_iter().filter(tells).collect()
    }
}
