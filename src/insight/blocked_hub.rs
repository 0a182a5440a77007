//! [`BlockedHub`]: a hub whose thread one fiber has had for too long.

use std::fmt;
#[cfg(all(feature = "backtrace", unix))]
use std::io;
#[cfg(all(feature = "backtrace", unix))]
use std::os::raw::c_int;
use std::sync::Arc;
use std::time::Duration;

#[cfg(all(feature = "backtrace", unix))]
use super::{Backtrace, captures::backtrace_of, native_stack::NativeStack};
use super::{Running, ThreadActivity};
use crate::base::report;
use crate::shared::Mailbox;

/// A hub whose thread one fiber has had for longer than a limit: see [`watch`](crate::watch()).
#[derive(Clone, Debug)]
pub struct BlockedHub {
    name: Box<str>,
    thread: String,
    running: Running,
    lasts: Duration,
    activity: Option<ThreadActivity>,
    #[cfg(all(feature = "backtrace", unix))]
    hub: Arc<Mailbox>,
}

impl BlockedHub {
    pub(super) fn new(hub: &Arc<Mailbox>, running: Running, lasts: Duration) -> BlockedHub {
        BlockedHub {
            name: hub.name().into(),
            thread: hub.thread_label(),
            running,
            lasts,
            activity: hub.proc_path().and_then(ThreadActivity::of),
            #[cfg(all(feature = "backtrace", unix))]
            hub: hub.clone(),
        }
    }

    /// Returns the hub's name: the one it was given, or `Hub`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the hub's thread in quotes, or its ID.
    #[must_use]
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// Returns the fiber that has the thread.
    #[must_use]
    pub fn fiber(&self) -> &Running {
        &self.running
    }

    /// Returns for how long at least the fiber has had the thread, in real time.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.lasts
    }

    /// Returns what the thread is doing, where the system says so (on Linux).
    #[must_use]
    pub fn activity(&self) -> Option<ThreadActivity> {
        self.activity
    }

    /// Returns the calls that the fiber is in now. For that, the hub's thread is interrupted by `signal`,
    /// whose handler copies the thread's registers and its stack; what they mean is found out on the
    /// calling thread. So the thread may be anywhere: in a system call, a loop, a lock, an allocation, a
    /// library that is being loaded.
    ///
    /// The signal has to be one that nobody uses, such as SIGURG or a real-time signal. Its handler is
    /// installed by the first call, and stays. `SA_RESTART` is set, yet some system calls that block end
    /// when a signal comes and return `EINTR`, as they always may: `poll` and `epoll_wait`, `nanosleep`
    /// and `usleep`, reads and writes of sockets with a timeout. std calls most of these again. C
    /// libraries may not; do not use this with one that takes `EINTR` for a failure.
    ///
    /// The handler runs on the signal stack that each thread of std has. Without one, it takes a few KiB
    /// of the fiber's stack, as any handler does.
    ///
    /// Of the stack, the innermost 256 KiB are looked at.
    ///
    /// # Errors
    ///
    /// Returns an error
    ///
    /// * if the fiber no longer has the thread;
    /// * if the system is another than x86-64 Linux with glibc ([`Unsupported`](io::ErrorKind::Unsupported));
    /// * if the signal has another use, as SIGTERM has also without a handler, or cannot be handled;
    /// * if the thread does not answer within a second or so, because it blocks the signal.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// const SIGURG: i32 = 23; // the `libc` crate has it
    /// let _guard = switchback::watch(Duration::from_secs(1), |blocked| {
    ///     blocked.report();
    ///     match blocked.backtrace(SIGURG) {
    ///         Ok(backtrace) => eprint!("{backtrace}"),
    ///         Err(error) => eprintln!("no backtrace: {error}"),
    ///     }
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(all(feature = "backtrace", unix))]
    #[cfg_attr(docsrs, doc(cfg(feature = "backtrace")))]
    pub fn backtrace(&self, signal: c_int) -> io::Result<Backtrace> {
        let has_thread = |resumes: Option<u64>| match resumes == Some(self.running.resumes()) {
            true => Ok(()),
            false => Err(io::Error::other("the fiber no longer has its thread")),
        };
        has_thread(Running::of(&self.hub).map(|running| running.resumes()))?;
        let stack = NativeStack::of(&self.hub, signal)?;
        // It may have suspended before it was interrupted.
        has_thread(stack.resumes)?;
        Ok(backtrace_of(stack.walk()?))
    }

    /// Reports it: to `tracing` with the feature of that name, to stderr without it.
    pub fn report(&self) {
        report::warn(format_args!("{self}"));
    }
}

impl fmt::Display for BlockedHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "hub '{}' on thread {} stands still: {} has had its thread for {:.1?}",
            self.name, self.thread, self.running, self.lasts,
        )?;
        if let Some(at) = self.running.waited_at() {
            write!(f, ", since its wait at {at}")?;
        }
        match &self.activity {
            Some(activity) => write!(f, "; the thread is {activity}"),
            None => Ok(()),
        }
    }
}
