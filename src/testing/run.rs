//! [`Runner`]: runs a program, each time on a runtime and a hub of its own.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{self, LocalOptions};
use tokio::time;

use crate::base::contain;
use crate::base::executors::{self, Executor};
use crate::base::helper::{self, HelperSleep};
use crate::base::report;
use crate::current::{Place, origin, with_place};
use crate::handles::{Builder, JoinError};
use crate::hub::{Config, Core, Hit, Schedule};
use crate::insight::HubDump;
use crate::scheduler::{attach, driver};
use crate::shared::Origin;
use crate::stack::StackPool;

/// A run in which only this time passes has come to a stop. It is the longest that tokio's timers can
/// be set to, nearly.
const STILL: Duration = Duration::from_secs(365 * 86_400);

/// How often fibers are resumed in a run, and callbacks called, before it counts as endless.
const LIMIT: u64 = 200_000;

/// How long a run that seems to have stopped waits, by the real clock, for other threads.
const FOR_THREADS: Duration = Duration::from_millis(100);

/// How long nothing may happen to the fibers of a run, by the real clock, although its runtime finds
/// no rest. The jobs of `blocking` that are left at its end have the same time.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a run has come to.
#[derive(Debug)]
pub(super) struct Outcome<T> {
    /// What the root returned, or what has gone wrong.
    pub(super) result: Result<T, String>,
    /// Differs between runs that were scheduled differently.
    pub(super) trace: u64,
    /// Whether another thread has woken a fiber.
    pub(super) had_foreign_wake: bool,
    /// Where a fiber was cancelled by the trial's probe.
    pub(super) hit: Option<Hit>,
}

/// Why a run was given up.
enum Stop {
    Still,
    Endless,
    Stuck,
}

/// Refuses to run where a runtime could not be made. A refusal names `call`.
#[track_caller]
pub(super) fn check_place(call: &str) {
    let outside = with_place(|place| matches!(place, Place::Outside));
    assert!(
        outside && executors::look() == Executor::Absent,
        "{call} makes a runtime for each run, so it cannot be called inside of one; call it in a \
         plain `#[test]`",
    );
}

/// Runs a program, each time on a runtime and a hub of its own.
pub(super) struct Runner {
    with_io: bool,
    /// Where the root fibers are asked for.
    origin: Origin,
    /// The stacks of earlier runs. To make new ones would take most of the time.
    stacks: StackPool,
    patience: Duration,
    /// Fires when runs have lasted this long since it did last.
    alarm: RefCell<HelperSleep>,
}

impl Runner {
    #[track_caller]
    pub(super) fn new(with_io: bool) -> Runner {
        Runner::with_patience(PATIENCE, with_io)
    }

    #[track_caller]
    fn with_patience(patience: Duration, with_io: bool) -> Runner {
        let config = Config::default();
        Runner {
            patience,
            origin: origin(),
            alarm: RefCell::new(helper::sleep(patience)),
            with_io,
            stacks: StackPool::new(config.stack_size, config.max_cached_stacks),
        }
    }

    /// Runs `root` as the root fiber of a hub with this schedule. It may return what has gone wrong.
    ///
    /// # Panics
    ///
    /// Panics if the runtime cannot be made.
    #[track_caller]
    pub(super) fn run<T: 'static>(
        &self,
        schedule: Schedule,
        root: impl FnOnce() -> Result<T, String> + 'static,
    ) -> Outcome<T> {
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true);
        if self.with_io {
            builder.enable_io();
        }
        let runtime = match builder.build_local(LocalOptions::default()) {
            Ok(runtime) => runtime,
            Err(e) => panic!("cannot make a runtime for a run: {e}"),
        };
        let config = Config {
            schedule: Some(schedule),
            start_paused: true,
            ..Config::default()
        };
        let (mut outcome, reported) = report::collect(|| {
            let outcome = runtime.block_on(async {
                let core = attach::add_driven(config, runtime.handle());
                let result = self.run_on(&core, root).await;
                let trial = core.trial().expect("the hub is one of a test");
                Outcome {
                    result,
                    trace: trial.trace(),
                    had_foreign_wake: trial.had_foreign_wake(),
                    hit: trial.probe.hit(),
                }
            });
            // Fibers that are left unwind.
            runtime.shutdown_timeout(match outcome.result {
                Ok(_) => self.patience,
                Err(_) => Duration::ZERO,
            });
            outcome
        });
        if outcome.result.is_ok() && !reported.is_empty() {
            outcome.result = Err(reported.join("; "));
        }
        outcome
    }

    async fn run_on<T: 'static>(
        &self,
        core: &Rc<Core>,
        root: impl FnOnce() -> Result<T, String> + 'static,
    ) -> Result<T, String> {
        core.stacks.swap(&self.stacks);
        let mut root = match Builder::new().name("Root").spawn_from(self.origin, root) {
            Ok(root) => root,
            Err(e) => return Err(e.to_string()),
        };
        core.set_root(&root.handle().0);
        let ended = async {
            let result = root.join().await;
            // The end of the hub gives its stacks back to the system.
            core.stacks.swap(&self.stacks);
            driver::close(core, None).await;
            result
        };
        match self.until_stop(core, ended).await {
            Ok(result) => result.map_err(told)?,
            Err(Stop::Still) => {
                let why = match core.ready.is_empty() {
                    true => "no fiber is ready, and no timer is set",
                    false => "fibers only give way, and no timer is set",
                };
                let dump = HubDump::take(core);
                Err(format!("nothing can go on any more: {why}\n{dump}"))
            }
            Err(Stop::Endless) => {
                let dump = HubDump::take(core);
                Err(format!(
                    "the run does not end: {LIMIT} times a fiber was resumed\n{dump}"
                ))
            }
            Err(Stop::Stuck) => {
                let (patience, dump) = (self.patience, HubDump::take(core));
                Err(format!(
                    "the run does not end: no fiber was resumed for {patience:?}, while something \
                     else keeps the runtime from resting\n{dump}"
                ))
            }
        }
    }

    /// Awaits `future`, unless the hub stops, or does not come to an end.
    async fn until_stop<F: Future>(&self, core: &Core, future: F) -> Result<F::Output, Stop> {
        let mut future = pin!(future);
        let mut still = Box::pin(time::sleep(STILL));
        // The number of picks when the clock had advanced that far, and when the alarm fired.
        let (mut picks_still, mut picks_at_alarm) = (None, None);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            let trial = core.trial().expect("the hub is one of a test");
            trial.set_limit(LIMIT, cx.waker());
            if trial.is_at_limit() {
                return Poll::Ready(Err(Stop::Endless));
            }
            let picks = Some(trial.picks());
            while still.as_mut().poll(cx).is_ready() {
                let was_still = picks_still == picks;
                if was_still || !waits_for_mail(core) {
                    if was_still || !core.ready.is_empty() {
                        return Poll::Ready(Err(Stop::Still));
                    }
                    // A thread may have woken a task instead, which then wakes a fiber.
                    picks_still = picks;
                }
                still = Box::pin(time::sleep(STILL));
            }
            let mut alarm = self.alarm.borrow_mut();
            while Pin::new(&mut *alarm).poll(cx).is_ready() {
                if picks_at_alarm == picks {
                    return Poll::Ready(Err(Stop::Stuck));
                }
                picks_at_alarm = picks;
                *alarm = helper::sleep(self.patience);
            }
            Poll::Pending
        })
        .await
    }
}

/// Returns the text of `error`.
pub(super) fn told(error: JoinError) -> String {
    let text = error.to_string();
    contain::run("the drop of a panic's payload", || drop(error));
    text
}

/// Waits for a while for other threads, while which a paused clock advances. Returns whether one of
/// them has woken a fiber.
fn waits_for_mail(core: &Core) -> bool {
    let began = Instant::now();
    while !core.mailbox.has_mail() {
        if began.elapsed() > FOR_THREADS {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::mpsc::channel;

    use tokio::{task, time};

    use super::{Duration, Runner, Schedule};
    use crate::offload::blocking;
    use crate::wait::Wait as _;
    use crate::yield_now::yield_now;

    fn run(root: impl FnOnce() -> Result<(), String> + 'static) -> Result<(), String> {
        let runner = Runner::with_patience(Duration::from_millis(20), false);
        let result = runner.run(Schedule::Fifo, root).result;
        // The alarm of the runs before does not end this one.
        runner.run(Schedule::Random(1), || Ok(())).result.unwrap();
        result
    }

    #[track_caller]
    fn assert_stuck(root: impl FnOnce() + 'static) {
        let root = || {
            root();
            Ok(())
        };
        let failure = run(root).unwrap_err();
        let begin = "the run does not end: no fiber was resumed for 20ms, while something else keeps \
                     the runtime from resting\nhub ";
        assert!(failure.starts_with(begin), "{failure}");
        assert!(failure.contains("'Root', waiting"), "{failure}");
    }

    #[test]
    fn a_task_that_keeps_the_clock_does_not_hide_that_nothing_goes_on() {
        assert_stuck(|| {
            tokio::spawn(async {
                loop {
                    task::yield_now().await;
                }
            });
            pending::<()>().wait();
        });
    }

    #[test]
    fn a_timer_that_recurs_does_not_hide_that_nothing_goes_on() {
        assert_stuck(|| {
            tokio::spawn(async {
                loop {
                    time::sleep(Duration::from_millis(1)).await;
                }
            });
            pending::<()>().wait();
        });
    }

    #[test]
    fn a_clock_that_was_resumed_does_not_hide_that_nothing_goes_on() {
        assert_stuck(|| {
            time::resume();
            pending::<()>().wait();
        });
    }

    #[test]
    fn a_job_that_does_not_end_is_left_behind() {
        let (job_ends, ends) = channel::<()>();
        assert_stuck(|| {
            let waits = move || ends.recv();
            let _ended = blocking(waits).wait();
        });
        drop(job_ends);
        let (job_ends, ends) = channel::<()>();
        run(|| {
            drop(blocking(move || ends.recv()));
            yield_now().wait();
            Ok(())
        })
        .unwrap();
        drop(job_ends);
    }
}
