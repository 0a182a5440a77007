//! Offloading: [`blocking`] for calls that block the thread, [`compute`] for work
//! that keeps a processor busy.
//!
//! Both hand a closure to threads of somebody else's, tokio's or rayon's, and give
//! back an [`Offload`], to which the closure sends its result.
#![forbid(unsafe_code)]

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;

use futures::channel::oneshot;
use tokio::runtime::Handle;

#[cfg(feature = "compute")]
pub use self::pool::{compute, compute_threads};
use crate::base::{contain, helper, report};

/// Calls `f` on a thread where it may block: `blocking(f).wait()` in a fiber,
/// `blocking(f).await` in async code.
///
/// It begins at once, not when it is waited for. The thread is one of the current
/// runtime's blocking pool, as in [`tokio::task::spawn_blocking`]; where no runtime
/// is current, one of a helper runtime of this crate. By default a runtime has up
/// to 512 such threads; more jobs wait for their turn. A runtime that is dropped,
/// as that of a [`HubThread`](crate::HubThread) is at its end, waits for the jobs
/// that have begun.
///
/// It is for code that blocks its thread and cannot be helped, which would hold up
/// all fibers of a hub: file access, libraries with sockets of their own, code that
/// enters a runtime of its own such as `reqwest::blocking`.
///
/// The output is that of `f`.
///
/// # Cancel safety
///
/// Dropping the future, as a cancelled fiber does at once, does not stop `f`:
/// nothing can. Its result is then dropped on its thread.
///
/// # Panics
///
/// The future resumes a panic of `f`; if it was dropped before, the panic is
/// reported. The future also panics if the runtime had ended, so that `f` was
/// dropped, and if it is polled again after it was ready. The call panics where tokio's
/// `spawn_blocking` does: if the operating system has no thread.
///
/// # Examples
///
/// ```
/// use switchback::{blocking, prelude::*};
///
/// # switchback::run(|| {
/// let manifest = blocking(|| std::fs::read_to_string("Cargo.toml")).wait();
/// assert!(manifest.unwrap().contains("switchback"));
/// # }).unwrap();
/// ```
#[track_caller]
pub fn blocking<F, T>(f: F) -> Offload<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let (job, offload) = Offload::new(Pool::Blocking, f);
    let runtime = Handle::try_current().unwrap_or_else(|_| helper::runtime().clone());
    // It goes on without its handle, which is only needed to abort it.
    drop(runtime.spawn_blocking(job));
    offload
}

/// The future of [`blocking`] and of `compute`.
#[must_use = "the job goes on without it, but its result is lost"]
pub struct Offload<T> {
    result: oneshot::Receiver<thread::Result<T>>,
    pool: Pool,
    taken: bool,
}

/// Whose threads do the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pool {
    Blocking,
    #[cfg(feature = "compute")]
    Compute,
}

impl<T> Offload<T> {
    /// A closure to be called elsewhere, and the future of its result.
    fn new<F>(pool: Pool, f: F) -> (impl FnOnce() + Send + use<F, T>, Offload<T>)
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        let (sender, result) = oneshot::channel();
        let job = move || {
            let outcome = catch_unwind(AssertUnwindSafe(f));
            // What is not wanted any more is dropped here, by the sender at the
            // latest; and a waker is somebody else's too.
            contain::run("the drop of a job's result", || {
                if let Err(Err(_panic)) = sender.send(outcome) {
                    report::error(format_args!(
                        "a job of `{}` panicked, and nobody waits for it",
                        pool.name(),
                    ));
                }
            });
        };
        let offload = Offload {
            result,
            pool,
            taken: false,
        };
        (job, offload)
    }
}

impl Pool {
    fn name(self) -> &'static str {
        match self {
            Pool::Blocking => "blocking",
            #[cfg(feature = "compute")]
            Pool::Compute => "compute",
        }
    }

    /// Panics where the wait would block a thread that has to do the job.
    fn refuse_deadlock(self) {
        #[cfg(feature = "compute")]
        if self == Pool::Compute {
            pool::refuse_deadlock();
        }
    }
}

impl<T> Future for Offload<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        assert!(!self.taken, "an `Offload` was polled after it was ready");
        let polled = Pin::new(&mut self.result).poll(cx);
        if polled.is_pending() {
            self.pool.refuse_deadlock();
        }
        let result = ready!(polled);
        self.taken = true;
        match result {
            Ok(Ok(value)) => Poll::Ready(value),
            Ok(Err(payload)) => resume_unwind(payload),
            Err(oneshot::Canceled) => panic!(
                "a job of `{}` did not begin: its runtime has ended; begin it before",
                self.pool.name(),
            ),
        }
    }
}

impl<T> fmt::Debug for Offload<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offload")
            .field("pool", &self.pool)
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}

/// What needs rayon.
#[cfg(feature = "compute")]
mod pool {
    use std::io;
    use std::sync::OnceLock;

    use rayon_core::{ThreadPool, ThreadPoolBuilder};

    use super::{Offload, Pool};
    use crate::current::{Place, with_place};

    /// Calls `f` on one of the threads that compute: `compute(f).wait()` in a
    /// fiber, `compute(f).await` in async code.
    ///
    /// It begins at once, not when it is waited for, or as soon as one of the
    /// threads is free. They are a pool of rayon's that all of the program shares,
    /// made on first need, with a thread for each core
    /// ([`available_parallelism`](std::thread::available_parallelism)) unless
    /// [`compute_threads`] has set another number. Inside `f`, rayon's parallel
    /// iterators, `join` and `scope` use that pool.
    ///
    /// It is for work that keeps a processor busy for long, which would hold up
    /// all fibers of a hub. It must not wait: a `.wait()` in `f` blocks one of the
    /// few threads, which no other job can use meanwhile.
    ///
    /// The output is that of `f`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, as a cancelled fiber does at once, does not stop `f`:
    /// nothing can. Its result is then dropped on its thread.
    ///
    /// # Panics
    ///
    /// The future resumes a panic of `f`; if it was dropped before, the panic is
    /// reported. The future also panics if it is polled again after it was ready,
    /// and if it blocks one of the pool's own threads, in a job that waits for
    /// another. The call panics if it is the first and the threads cannot be
    /// started; to handle that as an error, use [`compute_threads`].
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::{compute, prelude::*};
    ///
    /// # switchback::run(|| {
    /// let sum = compute(|| (1..=1_000_000u64).sum::<u64>()).wait();
    /// assert_eq!(sum, 500_000_500_000);
    /// # }).unwrap();
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "compute")))]
    #[track_caller]
    pub fn compute<F, T>(f: F) -> Offload<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (job, offload) = Offload::new(Pool::Compute, f);
        match POOL.get_or_init(|| start(0)) {
            Ok(pool) => pool.spawn(job),
            Err(why) => panic!("the threads of `compute` cannot be started: {why}"),
        }
        offload
    }

    /// Starts the threads of [`compute`], `count` of them, or one for each core if
    /// `count` is zero.
    ///
    /// # Errors
    ///
    /// If they were started before, by this or by [`compute`]
    /// ([`AlreadyExists`](io::ErrorKind::AlreadyExists)), or cannot be.
    ///
    /// # Examples
    ///
    /// ```
    /// fn main() -> std::io::Result<()> {
    ///     switchback::compute_threads(2)?;
    ///     // ...
    ///     Ok(())
    /// }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "compute")))]
    pub fn compute_threads(count: usize) -> io::Result<()> {
        let mut starts = false;
        let pool = POOL.get_or_init(|| {
            starts = true;
            start(count)
        });
        match pool {
            _ if !starts => Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the threads of `compute` were started before",
            )),
            Ok(_) => Ok(()),
            Err(why) => Err(io::Error::other(why.clone())),
        }
    }

    /// The pool, or why there is none.
    static POOL: OnceLock<Result<ThreadPool, String>> = OnceLock::new();

    fn start(count: usize) -> Result<ThreadPool, String> {
        let count = match count {
            // Not rayon's own default, which an environment variable changes.
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            count => count,
        };
        ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|number| format!("switchback-compute-{number}"))
            .build()
            .map_err(|e| e.to_string())
    }

    pub(super) fn refuse_deadlock() {
        let blocks = with_place(|place| matches!(place, Place::ThreadPoll));
        let Some(Ok(pool)) = POOL.get() else { return };
        assert!(
            !blocks || pool.current_thread_index().is_none(),
            "this wait blocks a thread of `compute`, which may have to do what it waits for; use \
             rayon's `join` or `scope` there",
        );
    }
}
