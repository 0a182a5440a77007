//! [`Report`]: what an [`Explorer`](super::Explorer) has found.

use std::fmt;
use std::thread;

use super::Schedule;
use crate::base::report;

/// What [`Explorer::run`](super::Explorer::run) has found.
#[derive(Clone, Debug)]
#[must_use = "a report may hold a failure; `assert_passed` panics with it"]
pub struct Report {
    pub(super) schedules: u64,
    pub(super) different: u64,
    pub(super) is_replayable: bool,
    pub(super) failure: Option<Failure>,
}

/// A schedule under which the program failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) seed: u64,
    pub(super) schedule: Schedule,
    pub(super) what: String,
}

impl Report {
    /// Returns how many schedules the program was run under. Runs that repeat one do not count.
    #[must_use]
    pub fn schedules(&self) -> u64 {
        self.schedules
    }

    /// Returns how many of the schedules were different. If they are few, the program is small, and
    /// more of them find nothing new.
    #[must_use]
    pub fn different(&self) -> u64 {
        self.different
    }

    /// Returns whether each schedule that was repeated was the same again: the first, the second, the
    /// fourth, the eighth and so on, and the one that failed.
    ///
    /// If not, the program does something that does not follow from the seed: an unbiased `select!`,
    /// the order of a `HashMap`, a thread, `blocking`, a hub on another thread, real I/O, or std's
    /// clock. A failure may then not recur with its seed.
    #[must_use]
    pub fn is_replayable(&self) -> bool {
        self.is_replayable
    }

    /// Returns what has gone wrong; `None` if the program passed.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_ref().map(|failure| &*failure.what)
    }

    /// Returns the seed of the schedule that failed.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.failure.as_ref().map(|failure| failure.seed)
    }

    /// Does nothing if the program passed. If it is not replayable, warns.
    ///
    /// # Panics
    ///
    /// Panics with the report if a schedule failed.
    #[track_caller]
    pub fn assert_passed(&self) {
        assert!(self.failure.is_none(), "{self}");
        if !self.is_replayable {
            report::warn(format_args!("{self}"));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            schedules,
            different,
            ..
        } = self;
        match &self.failure {
            None => write!(
                f,
                "{schedules} schedules passed, {different} of them different"
            )?,
            Some(Failure {
                seed,
                schedule,
                what,
            }) => {
                let thread = thread::current();
                let test = match thread.name() {
                    None | Some("main") => "NAME",
                    Some(test) => test,
                };
                write!(
                    f,
                    "schedule {schedules} failed ({schedule:?}): {what}\n\
                     to run it alone: SWITCHBACK_SEED={seed} cargo test {test}",
                )?;
            }
        }
        if !self.is_replayable {
            f.write_str(
                "\nnot replayable: the same seed gave another schedule the second time; the program \
                 uses something that does not follow from the seed, such as an unbiased `select!`, \
                 the order of a `HashMap`, threads, real I/O or std's clock",
            )?;
        }
        Ok(())
    }
}
