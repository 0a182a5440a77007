//! [`Explorer`]: runs a program under many schedules.

use std::collections::HashSet;
use std::env;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Schedule;
use super::report::{Failure, Report};
use super::run::{self, Outcome, Runner};

/// The number of schedules, unless another is set.
const SCHEDULES: u64 = 1000;

/// The greatest number of changes of a [`Schedule::Pct`], unless another is set.
const DEPTH: u32 = 4;

/// Runs a program under a thousand schedules, and panics if it fails under one of them.
///
/// This is [`Explorer::run`] with the defaults. Call it in a plain `#[test]`.
///
/// # Panics
///
/// Panics if a schedule fails. The message has its seed, and how to run it alone. Panics inside a
/// fiber or async code, where no runtime can be made.
///
/// # Examples
///
/// ```
/// use switchback::{FiberSet, prelude::*, testing::explore, yield_now};
///
/// explore(|| {
///     let mut set = FiberSet::new();
///     for n in 1..=3 {
///         set.spawn(move || {
///             yield_now().wait();
///             n
///         });
///     }
///     let sum: i32 = std::iter::from_fn(|| set.join_next().wait()).map(Result::unwrap).sum();
///     assert_eq!(sum, 6);
/// });
/// ```
#[track_caller]
pub fn explore(f: impl Fn() + 'static) {
    Explorer::new().run(f).assert_passed();
}

/// Runs a program under many schedules of its fibers, to find those under which it fails.
///
/// * [`schedules`](Explorer::schedules): how many; default 1000.
/// * [`seed`](Explorer::seed): the seed of the first; default 0.
/// * [`depth`](Explorer::depth): how intricate the bugs are that are looked for; default 4.
/// * [`time_limit`](Explorer::time_limit): after which no further schedule is begun; default none.
/// * [`enable_io`](Explorer::enable_io): whether sockets work; default false.
///
/// # One run
///
/// The program is the root fiber of a hub of its own, on a runtime of its own with a paused clock, as
/// under [`run`](crate::run()): when it has ended, the other fibers are cancelled. Even seeds stand
/// for [`Schedule::Random`], odd ones for [`Schedule::Pct`] with 1 to `depth` changes.
///
/// The run fails if
///
/// * the root panics or is cancelled, or another fiber panics and nobody joins it, or a callback or a
///   destructor panics where that can only be reported. (A panic is not seen if the [`Fiber`] is kept
///   for ever, as by `mem::forget`.)
/// * nothing can go on any more: no fiber is ready and no timer is set, except for years
///   ahead. A thread that would wake a fiber later than 0.1 s after that is not waited for;
/// * it does not end: fibers were resumed 200,000 times; or none was for ten seconds of the real
///   clock, while something else keeps the runtime from resting, such as a periodic timer or a task of
///   tokio's that yields for ever, a job of `blocking`, or a clock that the program has resumed.
///
/// In these two cases, the failure has the [dump](crate::Hub::dump) of the hub. The end of a task of
/// tokio's, also by a panic, is only seen by who joins it. Jobs of `blocking` that are left have ten
/// seconds to end, if the run has not failed.
///
/// [`Fiber`]: crate::Fiber
///
/// # What a seed determines
///
/// The same seed gives the same schedule, on every machine and in every build, if the program does
/// nothing that differs from run to run: see [`Report::is_replayable`], which also tells. Values that
/// outlive a run, such as statics and what the closure has captured, are not reset. Only fibers are
/// shuffled. Tokio's tasks run between any two fibers, in their own order, and other threads are not
/// under control at all: models of them are what [loom](https://docs.rs/loom) is for.
///
/// # The environment
///
/// * `SWITCHBACK_SEED=N` runs the schedule with this seed only.
/// * `SWITCHBACK_SCHEDULES=N` replaces the number of schedules, to search longer at night.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use switchback::{prelude::*, sleep, spawn, testing::Explorer};
///
/// let report = Explorer::new().schedules(100).run(|| {
///     let fiber = spawn(|| sleep(Duration::from_secs(10)).wait());
///     fiber.wait().unwrap();
/// });
/// assert_eq!((report.schedules(), report.failure()), (100, None));
/// ```
///
/// The design is that of shuttle's runner; the schedules are those that it has, too.
#[derive(Clone, Debug)]
#[must_use = "an explorer does nothing until it is `run`"]
pub struct Explorer {
    schedules: u64,
    seed: u64,
    depth: u32,
    time_limit: Option<Duration>,
    with_io: bool,
}

impl Default for Explorer {
    fn default() -> Explorer {
        Explorer::new()
    }
}

impl Explorer {
    /// Creates an explorer with the defaults.
    pub fn new() -> Explorer {
        Explorer {
            schedules: SCHEDULES,
            seed: 0,
            depth: DEPTH,
            time_limit: None,
            with_io: false,
        }
    }

    /// Sets the number of schedules.
    pub fn schedules(mut self, count: u64) -> Explorer {
        self.schedules = count;
        self
    }

    /// Sets the seed of the first schedule. The others follow it.
    pub fn seed(mut self, seed: u64) -> Explorer {
        self.seed = seed;
        self
    }

    /// Sets the greatest number of changes of a [`Schedule::Pct`], at least one. A bug that needs
    /// `n` switches at certain places is found with `n` changes or more, but the more changes there
    /// are, the less likely each bug is found that needs few.
    pub fn depth(mut self, changes: u32) -> Explorer {
        self.depth = changes.max(1);
        self
    }

    /// Sets the time, by the real clock, after which no further schedule is begun. One always is.
    pub fn time_limit(mut self, limit: Duration) -> Explorer {
        self.time_limit = Some(limit);
        self
    }

    /// Sets whether the runtimes have an I/O driver. A program that waits for real I/O is not
    /// replayable; use `tokio::io::duplex` instead.
    pub fn enable_io(mut self, enable: bool) -> Explorer {
        self.with_io = enable;
        self
    }

    /// Runs `f` under each of the schedules, until one fails.
    ///
    /// # Panics
    ///
    /// Panics inside a fiber or async code, where no runtime can be made; if a runtime or a stack
    /// cannot be made; and if a variable of the environment is not a number.
    #[track_caller]
    pub fn run(self, f: impl Fn() + 'static) -> Report {
        run::check_place("an explorer");
        let f = Rc::new(f);
        let runner = Runner::new(self.with_io);
        let run = |schedule| {
            let f = f.clone();
            runner.run(schedule, move || {
                f();
                Ok(())
            })
        };
        let (first, count) = match from_environment("SWITCHBACK_SEED") {
            Some(seed) => (seed, 1),
            None => {
                let count = from_environment("SWITCHBACK_SCHEDULES");
                (self.seed, count.unwrap_or(self.schedules))
            }
        };
        let began = Instant::now();
        let mut traces = HashSet::new();
        let mut report = Report {
            schedules: 0,
            different: 0,
            is_replayable: true,
            failure: None,
        };
        while report.schedules < count && report.failure.is_none() {
            let out_of_time = self.time_limit.is_some_and(|limit| began.elapsed() > limit);
            if out_of_time && report.schedules > 0 {
                break;
            }
            let seed = first.wrapping_add(report.schedules);
            let schedule = self.schedule(seed);
            let Outcome {
                result,
                trace,
                had_foreign_wake,
                ..
            } = run(schedule);
            report.schedules += 1;
            traces.insert(trace);
            report.is_replayable &= !had_foreign_wake;
            if report.is_replayable && (result.is_err() || report.schedules.is_power_of_two()) {
                let again = run(schedule);
                report.is_replayable =
                    again.trace == trace && again.result.is_err() == result.is_err();
            }
            report.failure = result.err().map(|what| Failure {
                seed,
                schedule,
                what,
            });
        }
        report.different = traces.len() as u64;
        report
    }

    /// Returns the schedule that a seed stands for.
    fn schedule(&self, seed: u64) -> Schedule {
        match seed % 2 {
            0 => Schedule::Random(seed),
            _ => Schedule::Pct {
                seed,
                changes: 1 + (seed / 2 % u64::from(self.depth)) as u32,
            },
        }
    }
}

/// Returns a number that the environment has under this name.
#[track_caller]
fn from_environment(name: &str) -> Option<u64> {
    let value = env::var_os(name)?;
    let number = value.to_str().and_then(|value| value.parse().ok());
    if number.is_none() {
        panic!("the environment has {name}={value:?}, which is not a number");
    }
    number
}
