//! [`HubBuilder`] and [`run`]: a hub for a program with a synchronous `main`.

use std::io;
use std::panic::resume_unwind;

use tokio::runtime::{Builder as RuntimeBuilder, LocalOptions, LocalRuntime};

use super::core::Config;
use super::handle::HubHandle;
use super::{driver, registry};
use crate::fiber::Builder;
use crate::interrupt::Listener;
use crate::join::JoinError;
use crate::outside::{self, Outside};
use crate::remote::{HubPool, HubThread};
use crate::switch::{self, Place};

/// Runs `f` as the root fiber of a hub of its own, and returns its result.
///
/// It makes a [`LocalRuntime`] with I/O and time
/// enabled, so every tokio future can be waited for and `spawn_local` works.
/// When `f` has ended, the hub closes: fibers that are left are cancelled, at
/// each wait, and run returns when all of them have ended. Then the runtime and
/// its tasks are dropped.
///
/// For settings see [`Hub::builder`](crate::Hub::builder).
///
/// # Ctrl-C
///
/// On the main thread, Ctrl-C (SIGINT) cancels `f` with the message "interrupted",
/// as [`cancel`](crate::FiberHandle::cancel) would: at the wait that it is in, at
/// the next one that does not end at once, or at
/// [`check_cancelled`](crate::check_cancelled). If `f` catches it and goes on, it
/// can be interrupted again. Nobody else is: not the other fibers, which are
/// cancelled when the hub closes, and no other hub.
///
/// If it comes again before `f` got the first, because `f` computes, blocks the
/// thread or is in a [`shield`](crate::shield()), it ends the process, as it does
/// by default. So it does, the second time, when `f` has ended and run still waits
/// for fibers, or for closures of `spawn_blocking`. The first is reported then,
/// with the names of the fibers, and has no other effect.
///
/// When run has returned, Ctrl-C ends the process again. What is left behind is a
/// signal handler that sees to it, even if the program has others, such as those
/// of tokio's `ctrl_c`. A program that handles Ctrl-C itself, before, beside or
/// after its hub, says so with [`ignore_interrupt`](HubBuilder::ignore_interrupt):
/// then run does nothing about it, and leaves a handler behind that does nothing.
/// Another call of run on the main thread decides anew.
///
/// On other threads than the main one (that std calls "main"), run does not touch
/// Ctrl-C. Neither does a hub on a runtime that the program has made. Whether
/// Ctrl-C was ignored when the program started is not looked at.
///
/// On Windows, a second Ctrl-C ends the process only if the hub could notice the
/// first: Ctrl-Break ends one that is stuck. And when run has returned, listeners
/// of tokio's that the program has keep Ctrl-C from ending it.
///
/// # Errors
///
/// If `f` was cancelled, by Ctrl-C for one.
///
/// # Panics
///
/// With the panic of `f`, after the hub has closed. Inside a fiber or async code,
/// where it would block the runtime. If the runtime or the root fiber's stack
/// cannot be made.
///
/// # Examples
///
/// ```
/// use switchback::{prelude::*, spawn};
///
/// let answer = switchback::run(|| {
///     let mut fiber = spawn(|| 6 * 7);
///     fiber.join().wait().unwrap()
/// });
/// assert_eq!(answer.unwrap(), 42);
/// ```
#[track_caller]
pub fn run<F, T>(f: F) -> Result<T, JoinError>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    HubBuilder::new().run(f)
}

/// Makes a hub with settings of its own.
///
/// * [`name`](HubBuilder::name): for messages; default `Hub`.
/// * [`stack_size`](HubBuilder::stack_size): of its fibers; default 1 MiB.
/// * [`max_cached_stacks`](HubBuilder::max_cached_stacks): default 1024.
/// * [`measure_stacks`](HubBuilder::measure_stacks): default no.
/// * [`ignore_interrupt`](HubBuilder::ignore_interrupt): default false.
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
#[derive(Clone, Debug)]
#[must_use = "a builder makes a hub only with `run`, `start_thread` or `start_pool`"]
pub struct HubBuilder {
    config: Config,
    ignore_interrupt: bool,
    #[cfg(feature = "test-util")]
    start_paused: bool,
}

impl HubBuilder {
    pub(super) fn new() -> HubBuilder {
        HubBuilder {
            config: Config::default(),
            ignore_interrupt: false,
            #[cfg(feature = "test-util")]
            start_paused: false,
        }
    }

    /// Names the hub.
    pub fn name(mut self, name: impl Into<String>) -> HubBuilder {
        self.config.name = name.into().into_boxed_str();
        self
    }

    /// Sets the stack size of fibers that do not ask for one, in bytes of address
    /// space. It is rounded up to a power of two, and to 64 KiB at least.
    pub fn stack_size(mut self, bytes: usize) -> HubBuilder {
        self.config.stack_size = bytes;
        self
    }

    /// Sets how many stacks of ended fibers, of each size, are kept for new ones.
    ///
    /// The memory of any more goes back to the system at once. When the hub is idle,
    /// so does most of the memory of those that are kept.
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

    /// Sets whether Ctrl-C does nothing, however often it comes, instead of what
    /// [`run`](run#ctrl-c) says.
    ///
    /// Where the hub does not answer Ctrl-C anyway, which is everywhere but in
    /// [`run`](HubBuilder::run) on the main thread, it has no effect. It can be
    /// changed later: [`Hub::set_ignore_interrupt`](crate::Hub::set_ignore_interrupt).
    pub fn ignore_interrupt(mut self, ignore: bool) -> HubBuilder {
        self.ignore_interrupt = ignore;
        self
    }

    /// Runs on tokio's virtual clock, paused from the start: time passes only
    /// when there is nothing else to do.
    #[cfg(feature = "test-util")]
    #[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
    pub fn start_paused(mut self, paused: bool) -> HubBuilder {
        self.start_paused = paused;
        self
    }

    /// Runs `f` as the root fiber of the hub: [`run`] with these
    /// settings.
    ///
    /// # Errors
    ///
    /// As [`run`].
    ///
    /// # Panics
    ///
    /// As [`run`].
    #[track_caller]
    pub fn run<F, T>(self, f: F) -> Result<T, JoinError>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let outside = switch::with_place(|place| matches!(place, Place::Outside));
        assert!(
            outside && outside::look() == Outside::Thread,
            "`switchback::run` would block the runtime that drives this code; use \
             `switchback::spawn` and join the fiber",
        );
        let runtime = match self.runtime() {
            Ok(runtime) => runtime,
            Err(e) => panic!("cannot make a runtime for the hub: {e}"),
        };
        let listener = {
            let _runtime = runtime.enter();
            Listener::new(self.ignore_interrupt)
        };
        let result: io::Result<_> = runtime.block_on(async {
            let core = registry::add_driven(self.config, runtime.handle());
            let mut root = Builder::new().name("Root").spawn(f)?;
            core.set_root(&root.handle());
            core.set_interrupts(listener.cancels(root.handle()));
            let result = listener.beside(root.join()).await;
            listener
                .beside_close(driver::close(&core), || core.table.names_of(|_| true))
                .await;
            Ok(result)
        });
        drop(runtime);
        drop(listener);
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(error
                .try_into_panic()
                .map_or_else(|e| e, |p| resume_unwind(p))),
            Err(e) => panic!("{e}"),
        }
    }

    /// Starts a thread that runs the hub: [`HubThread::new`] with these settings.
    /// The thread has the hub's name.
    ///
    /// It blocks until the hub is there, a fraction of a millisecond.
    ///
    /// # Errors
    ///
    /// If the thread or its runtime cannot be made, or the name has a zero byte.
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
        HubThread::start(self)
    }

    /// Starts a pool of `count` threads, each of which runs a hub:
    /// [`HubPool::new`] with these settings. The hubs, and their threads, have the
    /// name with `-0`, `-1` and so on behind it.
    ///
    /// It blocks until the hubs are there, a fraction of a millisecond each.
    ///
    /// # Errors
    ///
    /// If `count` is zero, a thread or its runtime cannot be made, or the name has
    /// a zero byte.
    pub fn start_pool(self, count: usize) -> io::Result<HubPool> {
        HubPool::start(self, count)
    }

    /// The name that was set, or the default.
    pub(crate) fn hub_name(&self) -> &str {
        &self.config.name
    }

    /// Runs a hub without a root fiber on this thread until it is closed and has
    /// ended. Calls `started` when it is there.
    ///
    /// # Errors
    ///
    /// If its runtime cannot be made.
    pub(crate) fn serve(self, started: impl FnOnce(HubHandle)) -> io::Result<()> {
        let runtime = self.runtime()?;
        let core = runtime.block_on(async {
            let core = registry::add_driven(self.config, runtime.handle());
            started(HubHandle::new(&core.shared));
            driver::serve(&core).await;
            core
        });
        drop(runtime);
        // What the program kept with the hub is dropped last, by whoever is last.
        drop(core);
        Ok(())
    }

    fn runtime(&self) -> io::Result<LocalRuntime> {
        let mut runtime = RuntimeBuilder::new_current_thread();
        runtime.enable_all();
        #[cfg(feature = "test-util")]
        runtime.start_paused(self.start_paused);
        runtime.build_local(LocalOptions::default())
    }
}
