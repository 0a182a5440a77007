//! [`Runner`]: runs a program, each time on a runtime and a hub of its own.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{self, LocalOptions};
use tokio::time;

use crate::base::executors::{self, Executor};
use crate::base::report;
use crate::current::{Place, with_place};
use crate::handles::{Builder, JoinError};
use crate::hub::{Config, Core, Hit, Schedule};
use crate::insight::HubDump;
use crate::scheduler::{attach, driver};
use crate::stack::StackPool;

/// A run in which only this time passes has come to a stop. It is the longest that tokio's timers can
/// be set to, nearly.
const STILL: Duration = Duration::from_secs(365 * 86_400);

/// How often fibers are resumed in a run, and callbacks called, before it counts as endless.
const LIMIT: u64 = 200_000;

/// How long a run that seems to have stopped waits, by the real clock, for other threads.
const FOR_THREADS: Duration = Duration::from_millis(100);

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

impl<T> Outcome<T> {
    /// Looks closer at what the root has returned.
    pub(super) fn and_then<U>(self, f: impl FnOnce(T) -> Result<U, String>) -> Outcome<U> {
        Outcome {
            result: self.result.and_then(f),
            trace: self.trace,
            had_foreign_wake: self.had_foreign_wake,
            hit: self.hit,
        }
    }
}

/// Why a run was given up.
enum Stop {
    Still,
    Endless,
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
    /// The stacks of earlier runs. To make new ones would take most of the time.
    stacks: StackPool,
}

impl Runner {
    pub(super) fn new(with_io: bool) -> Runner {
        let config = Config::default();
        Runner {
            with_io,
            stacks: StackPool::new(config.stack_size, config.max_cached_stacks),
        }
    }

    /// Runs `root` as the root fiber of a hub with this schedule.
    ///
    /// # Panics
    ///
    /// Panics if the runtime cannot be made.
    #[track_caller]
    pub(super) fn run<T: 'static>(
        &self,
        schedule: Schedule,
        root: impl FnOnce() -> T + 'static,
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
            drop(runtime);
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
        root: impl FnOnce() -> T + 'static,
    ) -> Result<T, String> {
        core.stacks.swap(&self.stacks);
        let mut root = match Builder::new().name("Root").spawn(root) {
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
        match until_stop(core, ended).await {
            Ok(result) => result.map_err(|e: JoinError| e.to_string()),
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
        }
    }
}

/// Awaits `future`, unless the hub stops, or does not come to an end.
async fn until_stop<F: Future>(core: &Core, future: F) -> Result<F::Output, Stop> {
    let mut future = pin!(future);
    let mut still = Box::pin(time::sleep(STILL));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if let Some(trial) = core.trial() {
            trial.set_limit(LIMIT, cx.waker());
            if trial.is_at_limit() {
                return Poll::Ready(Err(Stop::Endless));
            }
        }
        while still.as_mut().poll(cx).is_ready() {
            if !waits_for_mail(core) {
                return Poll::Ready(Err(Stop::Still));
            }
            still = Box::pin(time::sleep(STILL));
        }
        Poll::Pending
    })
    .await
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
