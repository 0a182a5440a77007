//! [`HubBuilder`]: the settings of a hub with a runtime of its own.

use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::LocalRuntime;

use crate::base::executors::{self, Executor};
use crate::base::{deadline_after, report};
use crate::current::{Place, origin, with_place};
use crate::handles::{Builder, JoinError};
use crate::hub::Config;
#[cfg(feature = "test-util")]
use crate::hub::Schedule;
use crate::hub::interrupt::Listener;
use crate::insight::slices;
use crate::remote::{HubPool, HubThread};
use crate::scheduler::{attach, driver, serve};
use crate::shared::{Slice, Track};

/// Configures a hub that gets a runtime of its own.
///
/// * [`name`](HubBuilder::name): used in messages; default `Hub`.
/// * [`stack_size`](HubBuilder::stack_size): of the hub's fibers; default 2 MiB, or 256 KiB where
///   addresses have 32 bits.
/// * [`max_cached_stacks`](HubBuilder::max_cached_stacks): default 1024.
/// * [`measure_stacks`](HubBuilder::measure_stacks): default false.
/// * [`track`](HubBuilder::track): what is recorded about waits; default [`Track::Places`].
/// * [`slice`](HubBuilder::slice): for how long a fiber may have the thread; default no limit.
/// * [`max_fibers`](HubBuilder::max_fibers) and [`max_queued`](HubBuilder::max_queued), of pools:
///   default no limit.
/// * [`ignore_interrupt`](HubBuilder::ignore_interrupt): default false.
/// * [`close_timeout`](HubBuilder::close_timeout): default none.
///
/// The feature `test-util` adds `start_paused` and `schedule`, for tests.
///
/// # Examples
///
/// ```
/// let name = switchback::Hub::builder()
///     .name("parser")
///     .stack_size(128 * 1024)
///     .run(|| switchback::Hub::current().name().to_owned());
/// assert_eq!(name.unwrap(), "parser");
/// ```
#[derive(Clone)]
#[must_use = "a builder makes a hub only with `run`, `start_thread` or `start_pool`"]
pub struct HubBuilder {
    config: Config,
    ignore_interrupt: bool,
    close_timeout: Option<Duration>,
}

impl HubBuilder {
    pub(super) fn new() -> HubBuilder {
        HubBuilder {
            config: Config::default(),
            ignore_interrupt: false,
            close_timeout: None,
        }
    }

    /// Names the hub.
    pub fn name(mut self, name: impl Into<String>) -> HubBuilder {
        self.config.name = name.into().into_boxed_str();
        self
    }

    /// Sets the stack size of fibers that do not set their own, in bytes of address space. It is
    /// rounded up to a power of two, and to at least 64 KiB.
    pub fn stack_size(mut self, bytes: usize) -> HubBuilder {
        self.config.stack_size = bytes;
        self
    }

    /// Sets how many stacks of ended fibers, of each size, are kept for new fibers.
    ///
    /// The memory of further stacks goes back to the system at once. When the hub is idle, most of
    /// the memory of the kept stacks goes back too.
    pub fn max_cached_stacks(mut self, count: usize) -> HubBuilder {
        self.config.max_cached_stacks = count;
        self
    }

    /// Sets whether the stack use of all fibers of the hub is measured: see
    /// [`Builder::measure_stack`](crate::Builder::measure_stack) and
    /// [`Hub::deepest_stacks`](crate::Hub::deepest_stacks).
    pub fn measure_stacks(mut self, measure: bool) -> HubBuilder {
        self.config.measure_stacks = measure;
        self
    }

    /// Sets what is recorded about the waits of the hub's fibers, for [dumps](crate::Hub::dump):
    /// by default [`Track::Places`]. What this costs is in `ci/cost.txt`.
    pub fn track(mut self, track: Track) -> HubBuilder {
        self.config.track = track;
        self
    }

    /// Sets for how long a fiber of the hub may have the thread without a wait; by default as long as
    /// it likes.
    ///
    /// A fiber that has it for longer than [`Slice::warn`] is warned of, while it has it: the report is
    /// that of [`BlockedHub::report`](crate::BlockedHub::report), at most six a minute. One that has it
    /// for longer than [`Slice::cancel`] is cancelled, as [`cancel`](crate::FiberHandle::cancel) does:
    /// at its next wait or [`check_cancelled`](crate::check_cancelled), and after a
    /// [`shield`](crate::shield()) that it is in. Nothing stops code that does not come to a wait.
    ///
    /// A fiber that computes should [give way](crate::yield_now()) now and then, and does not have the
    /// thread meanwhile. The time is real time, also that in which the system runs other programs on the
    /// processor, so the limits should be generous: a second, not a millisecond.
    ///
    /// One thread of the process looks at the hubs with slices, eight times in the shortest limit and at
    /// most a thousand times a second, and so comes up to an eighth late. This costs the hub nothing. Each
    /// wait of a fiber that was suspended records its place, as for [`watch`](crate::watch()).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use switchback::{Hub, Slice, check_cancelled};
    ///
    /// let slice = Slice {
    ///     warn: Duration::from_millis(20),
    ///     cancel: Some(Duration::from_millis(50)),
    /// };
    /// let error = Hub::builder().slice(slice).run(|| loop {
    ///     check_cancelled(); // computes, and never waits
    /// });
    /// let error: switchback::JoinError = error.map(|never: ()| never).unwrap_err();
    /// assert!(error.is_cancelled());
    /// ```
    pub fn slice(mut self, slice: Slice) -> HubBuilder {
        self.config.slice = Some(slice);
        self
    }

    /// Sets how many fibers each hub of a [pool](HubBuilder::start_pool) runs at a time, at least
    /// one; by default any number. Those that wait for room wait in the queue of the pool.
    ///
    /// Only fibers count that came through this queue. Fibers that are sent to a certain hub, that
    /// a fiber spawns on its own hub, or that code of the pool sends to the pool, need no room, so
    /// a fiber can always wait for those that it sends.
    pub fn max_fibers(mut self, count: usize) -> HubBuilder {
        self.config.max_fibers = count.max(1);
        self
    }

    /// Sets how many fibers may wait in the queue of a [pool](HubBuilder::start_pool), at least one;
    /// by default any number. Beyond that, [`HubPool::spawn`] returns an error.
    pub fn max_queued(mut self, count: usize) -> HubBuilder {
        self.config.max_queued = count.max(1);
        self
    }

    /// Sets whether Ctrl-C is ignored, however often it comes, instead of handled as
    /// [`run`](crate::run#ctrl-c) describes.
    ///
    /// This has an effect only in [`run`](HubBuilder::run) on the main thread, because hubs do not
    /// handle Ctrl-C elsewhere. To change it later, use
    /// [`Hub::set_ignore_interrupt`](crate::Hub::set_ignore_interrupt).
    pub fn ignore_interrupt(mut self, ignore: bool) -> HubBuilder {
        self.ignore_interrupt = ignore;
        self
    }

    /// Bounds the end of [`run`](HubBuilder::run): the time from the end of the root fiber until `run`
    /// returns.
    ///
    /// When it has passed, fibers that have not ended are ended by force. Each is unwound once, and
    /// one that waits again is abandoned with a warning, as when a runtime is dropped. Jobs of
    /// [`blocking`](crate::blocking()) and `spawn_blocking` that are still running are left behind;
    /// they go on until the process ends. Without it, `run` waits for all of them. It has no effect
    /// on a hub that [`start_thread`](HubBuilder::start_thread) starts.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use switchback::{Hub, blocking};
    ///
    /// Hub::builder()
    ///     .close_timeout(Duration::from_millis(10))
    ///     .run(|| drop(blocking(|| std::thread::sleep(Duration::from_secs(60)))))
    ///     .unwrap(); // does not wait for the job
    /// ```
    pub fn close_timeout(mut self, duration: Duration) -> HubBuilder {
        self.close_timeout = Some(duration);
        self
    }

    /// Sets whether the hub runs on tokio's virtual clock, paused from the start: time passes only
    /// when there is nothing else to do.
    #[cfg(feature = "test-util")]
    #[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
    pub fn start_paused(mut self, paused: bool) -> HubBuilder {
        self.config.start_paused = paused;
        self
    }

    /// Sets the order in which the hub resumes fibers that are ready, for tests; default
    /// [`Schedule::Fifo`].
    ///
    /// Each hub of a pool has this schedule, with the same seed. To search many schedules for one under
    /// which a program fails, use [`explore`](crate::testing::explore()).
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::{Hub, prelude::*, spawn, testing::Schedule};
    ///
    /// let order = |seed| {
    ///     let hub = Hub::builder().start_paused(true).schedule(Schedule::Random(seed));
    ///     hub.run(|| {
    ///         let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    ///         for n in 0..5 {
    ///             let sender = sender.clone();
    ///             spawn(move || sender.send(n).unwrap());
    ///         }
    ///         drop(sender);
    ///         std::iter::from_fn(|| receiver.recv().wait()).collect::<Vec<_>>()
    ///     })
    /// };
    /// assert_eq!(order(1).unwrap(), order(1).unwrap());
    /// assert_ne!(order(1).unwrap(), order(2).unwrap());
    /// ```
    #[cfg(feature = "test-util")]
    #[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
    pub fn schedule(mut self, schedule: Schedule) -> HubBuilder {
        self.config.schedule = (schedule != Schedule::Fifo).then_some(schedule);
        self
    }

    /// Runs `f` as the root fiber of the hub: [`run`](crate::run()) with these
    /// settings.
    ///
    /// # Errors
    ///
    /// As for [`run`](crate::run()).
    ///
    /// # Panics
    ///
    /// As for [`run`](crate::run()).
    #[track_caller]
    pub fn run<F, T>(self, f: F) -> Result<T, JoinError>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let origin = origin();
        let outside = with_place(|place| matches!(place, Place::Outside));
        assert!(
            outside && executors::look() == Executor::Absent,
            "`switchback::run` would block the runtime that drives this code; use \
             `switchback::spawn` and join the fiber",
        );
        let runtime = match serve::runtime(&self.config) {
            Ok(runtime) => runtime,
            Err(e) => panic!("cannot make a runtime for the hub: {e}"),
        };
        let _slices = match slices::enforce(self.config.slice) {
            Ok(guard) => guard,
            Err(e) => panic!("cannot start the thread that looks at the slices of fibers: {e}"),
        };
        let listener = {
            let _runtime = runtime.enter();
            Listener::new(self.ignore_interrupt)
        };
        let mut ended = Instant::now();
        let result: io::Result<_> = runtime.block_on(async {
            let core = attach::add_driven(self.config, runtime.handle());
            let mut root = Builder::new().name("Root").spawn_from(origin, f)?;
            let fiber = root.handle().0;
            core.set_root(&fiber);
            core.set_interrupts(listener.cancels(fiber));
            let result = listener.beside(root.join()).await;
            ended = Instant::now();
            let closed = driver::close(&core, self.close_timeout.map(deadline_after));
            listener
                .beside_close(closed, || core.table.names_of(|_| true))
                .await;
            Ok(result)
        });
        let limit = self
            .close_timeout
            .map(|limit| limit.saturating_sub(ended.elapsed()));
        end_runtime(runtime, &listener, limit);
        drop(listener);
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(error
                .try_into_panic()
                .map_or_else(|e| e, |p| resume_unwind(p))),
            Err(e) => panic!("{e}"),
        }
    }

    /// Starts a thread that runs the hub: [`HubThread::new`] with these settings. The thread has
    /// the hub's name.
    ///
    /// This blocks until the hub runs, a fraction of a millisecond.
    ///
    /// # Errors
    ///
    /// Returns an error if the thread or its runtime cannot be made, or if the name has a zero
    /// byte.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::{Hub, prelude::*};
    ///
    /// let thread = Hub::builder().name("parser").start_thread()?;
    /// let mut fiber = thread.spawn(|| Hub::current().name().to_owned())?;
    /// assert_eq!(fiber.join().wait()?, "parser");
    /// thread.close().wait();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn start_thread(self) -> io::Result<HubThread> {
        HubThread::start(self.config)
    }

    /// Starts a pool of `count` threads, each of which runs a hub: [`HubPool::new`] with these
    /// settings. Each hub and its thread have the name with `-0`, `-1` and so on appended.
    ///
    /// This blocks until the hubs run, a fraction of a millisecond for each.
    ///
    /// # Errors
    ///
    /// Returns an error if `count` is zero, if a thread or its runtime cannot be made, or if the
    /// name has a zero byte.
    pub fn start_pool(self, count: usize) -> io::Result<HubPool> {
        HubPool::start(self.config, count)
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder")
            .field("name", &self.config.name)
            .field("stack_size", &self.config.stack_size)
            .field("max_cached_stacks", &self.config.max_cached_stacks)
            .field("measure_stacks", &self.config.measure_stacks)
            .field("track", &self.config.track)
            .field("ignore_interrupt", &self.ignore_interrupt)
            .field("close_timeout", &self.close_timeout)
            .finish_non_exhaustive()
    }
}

/// Ends a runtime whose hub has closed. It waits for blocking jobs, at most for `limit`.
fn end_runtime(runtime: LocalRuntime, listener: &Listener, limit: Option<Duration>) {
    // Nothing is left that an interrupt could cancel.
    let was_interrupted = listener.let_end_process();
    let (ended, ends) = channel::<()>();
    let notice = was_interrupted.then(|| {
        thread::spawn(move || {
            if let Err(RecvTimeoutError::Timeout) = ends.recv_timeout(Duration::from_secs(1)) {
                report::warn(format_args!(
                    "Ctrl-C has ended the root fiber, and its hub has closed; `run` still waits for \
                     blocking jobs; pressed again, Ctrl-C ends the process"
                ));
            }
        })
    });
    match limit {
        None => drop(runtime),
        Some(limit) => {
            let began = Instant::now();
            runtime.shutdown_timeout(limit);
            if began.elapsed() >= limit && !limit.is_zero() {
                report::warn(format_args!(
                    "blocking jobs did not end within the hub's `close_timeout`, so they are left \
                     behind"
                ));
            }
        }
    }
    drop(ended);
    if let Some(notice) = notice {
        let _ = notice.join();
    }
}
