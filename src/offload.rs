//! Offloading: [`blocking`] runs calls that block the thread, [`compute`] runs work that
//! keeps a processor busy.
//!
//! Both pass a closure to the threads of tokio or rayon, and return an [`Offload`] that
//! receives the closure's result.
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

/// Calls `f` on a thread where it may block. Use `blocking(f).wait()` in a fiber and
/// `blocking(f).await` in async code.
///
/// The call begins at once, not when it is waited for. The thread belongs to the blocking
/// pool of the current runtime, as with [`tokio::task::spawn_blocking`]; if no runtime is
/// current, it belongs to a helper runtime of this crate. By default a runtime has up to
/// 512 such threads, and further jobs are queued. When a runtime is dropped, such as that
/// of a [`HubThread`](crate::HubThread) at its end, it waits for the jobs that have begun.
///
/// Use it for code that has to block its thread and would hold up all fibers of a hub: file
/// access, libraries with their own sockets, and code that enters its own runtime, such as
/// `reqwest::blocking`.
///
/// The future returns the value of `f`.
///
/// # Cancel safety
///
/// Dropping the future does not stop `f`, since nothing can. A cancelled fiber drops the
/// future at once. The result of `f` is then dropped on its thread.
///
/// # Panics
///
/// The future resumes a panic of `f`. If the future was dropped before, the panic is
/// reported instead. The future also panics if the runtime ended before `f` began, so that
/// `f` was dropped, and if it is polled again after it was ready. The call itself panics
/// where tokio's `spawn_blocking` does: if the operating system cannot provide a thread.
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
#[doc(alias = "spawn_blocking")]
#[doc(alias = "withContext")]
#[doc(alias = "asyncify")]
#[track_caller]
pub fn blocking<F, T>(f: F) -> Offload<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let (job, offload) = Offload::new(Pool::Blocking, f);
    let runtime = Handle::try_current().unwrap_or_else(|_| helper::runtime().clone());
    // The job continues without its handle, which is only needed to abort it.
    drop(runtime.spawn_blocking(job));
    offload
}

/// The future that [`blocking`] and `compute` return.
#[must_use = "the job goes on without it, but its result is lost"]
pub struct Offload<T> {
    result: oneshot::Receiver<thread::Result<T>>,
    pool: Pool,
    taken: bool,
}

/// The pool whose threads run the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pool {
    Blocking,
    #[cfg(feature = "compute")]
    Compute,
}

impl<T> Offload<T> {
    /// Returns a closure to be called on another thread, and the future of its result.
    fn new<F>(pool: Pool, f: F) -> (impl FnOnce() + Send + use<F, T>, Offload<T>)
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        let (sender, result) = oneshot::channel();
        let job = move || {
            let outcome = catch_unwind(AssertUnwindSafe(f));
            // An unwanted result is dropped here, at the latest by the sender. Both this
            // drop and the receiver's waker are foreign code.
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

    /// Panics if the wait would block a thread that may have to run the job.
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
        assert!(
            !self.taken,
            "an `Offload` was polled after it was ready; begin another job for another result"
        );
        // The channel wakes and drops the waker where a panic would do harm.
        let waker = contain::contained(contain::clone_waker(cx.waker()));
        let polled = Pin::new(&mut self.result).poll(&mut Context::from_waker(&waker));
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
            .field("is_over", &self.taken)
            .finish_non_exhaustive()
    }
}

/// The part that needs rayon.
#[cfg(feature = "compute")]
mod pool {
    use std::io;
    use std::sync::OnceLock;

    use rayon_core::{ThreadPool, ThreadPoolBuilder};

    use super::{Offload, Pool};
    use crate::current::{Place, with_place};

    /// Calls `f` on a thread for computations. Use `compute(f).wait()` in a fiber and
    /// `compute(f).await` in async code.
    ///
    /// The call begins at once, or as soon as a thread is free, and not when it is waited
    /// for. The threads are a rayon pool that the whole program shares. It is created on
    /// first use with one thread per core
    /// ([`available_parallelism`](std::thread::available_parallelism)), unless
    /// [`compute_threads`] has set another number. Inside `f`, rayon's parallel iterators,
    /// `join` and `scope` use this pool.
    ///
    /// Use it for work that keeps a processor busy for long and would hold up all fibers of
    /// a hub. `f` must not wait: a `.wait()` in it blocks one of the few threads, which no
    /// other job can use meanwhile.
    ///
    /// The future returns the value of `f`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop `f`, since nothing can. A cancelled fiber drops
    /// the future at once. The result of `f` is then dropped on its thread.
    ///
    /// # Panics
    ///
    /// The future resumes a panic of `f`. If the future was dropped before, the panic is
    /// reported instead. The future also panics if it is polled again after it was ready,
    /// and if it blocks one of the pool's own threads, in a job that waits for another job.
    /// The first call panics if the threads cannot be started; [`compute_threads`] returns
    /// that as an error.
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
    #[doc(alias = "rayon")]
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

    /// Starts `count` threads for [`compute`], or one for each core if `count` is zero.
    ///
    /// # Errors
    ///
    /// Returns an error if the threads cannot be started, or were started before by this
    /// function or by [`compute`] ([`AlreadyExists`](io::ErrorKind::AlreadyExists)).
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

    /// The pool, or the reason why it could not be started.
    static POOL: OnceLock<Result<ThreadPool, String>> = OnceLock::new();

    fn start(count: usize) -> Result<ThreadPool, String> {
        let count = match count {
            // This is not rayon's own default, which depends on an environment variable.
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
