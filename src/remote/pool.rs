//! [`HubPool`]: several hubs on threads of their own.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use super::close::{CloseThreads, CloseThreadsWithin, Target};
use super::iter::PoolIter;
use super::members::Members;
use super::reader::PoolReader;
use super::worker::Worker;
use super::writer::PoolWriter;
use crate::current::origin;
use crate::handles::{Fiber, HubHandle, SpawnOn};
use crate::hub::Config;
use crate::scheduler::launch::Settings;
use crate::shared::{HubClosed, SpawnError};

/// Several hubs, each on its own thread. This is how a program on tokio's multi-thread
/// runtime runs fibers.
///
/// Each thread behaves and ends as described for [`HubThread`](crate::HubThread). A fiber
/// stays on the hub that it has begun on. The method decides which hub that is:
///
/// | method | hub |
/// |---|---|
/// | [`spawn`](HubPool::spawn), [`call`](HubPool::call) and the streams | the first that has room |
/// | [`spawn_by_key`](HubPool::spawn_by_key) | the same hub for the same key |
/// | [`run_on_all`](HubPool::run_on_all) | each hub |
/// | [`handles`](HubPool::handles) | any hub you choose |
///
/// A hub that was closed through its handle receives no more fibers.
///
/// By default a hub takes any number of fibers. [`HubBuilder::max_fibers`] limits those that it
/// runs at a time, and [`HubBuilder::max_queued`] those that wait to begin.
///
/// [`HubBuilder::max_fibers`]: crate::HubBuilder::max_fibers
/// [`HubBuilder::max_queued`]: crate::HubBuilder::max_queued
///
/// Choose one hub for each core that the fibers keep busy; waiting uses no core. Threads
/// are not bound to cores. To bind them, do so from [`run_on_all`](HubPool::run_on_all)
/// when the pool is new.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use switchback::{HubPool, prelude::*, sleep};
///
/// fn legacy(n: u32) -> u32 {
///     sleep(Duration::from_millis(1)).wait(); // somewhere deep in the call
///     2 * n
/// }
///
/// #[tokio::main] // many threads
/// async fn main() -> std::io::Result<()> {
///     let pool = HubPool::new(2)?;
///     let fiber = pool.spawn(|| legacy(21))?;
///     assert_eq!(fiber.await?, 42);
///     pool.close().await;
///     Ok(())
/// }
/// ```
#[doc(alias = "LocalPoolHandle")]
#[doc(alias = "GOMAXPROCS")]
#[doc(alias = "Dispatchers")]
pub struct HubPool {
    members: Arc<Members>,
    keys: RandomState,
}

impl HubPool {
    /// Starts a pool of `count` hubs. For settings, see
    /// [`HubBuilder::start_pool`](crate::HubBuilder::start_pool).
    ///
    /// This blocks until the hubs run, a fraction of a millisecond for each.
    ///
    /// # Errors
    ///
    /// Returns an error if `count` is zero, or if a thread or its runtime cannot be
    /// created. Hubs that were already started are then closed.
    pub fn new(count: usize) -> io::Result<HubPool> {
        HubPool::start(Config::default(), count)
    }

    pub(crate) fn start(config: Config, count: usize) -> io::Result<HubPool> {
        if count == 0 {
            let why = "a pool of hubs needs at least one hub";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut members = Members::new(&config);
        for number in 0..count {
            let name = format!("{}-{number}", config.name).into_boxed_str();
            let started = Worker::start(Config {
                name,
                pool: Some(members.mailbox().clone()),
                ..config.clone()
            });
            match started {
                Ok(worker) => members.workers.push(worker),
                Err(e) => {
                    members.start_close();
                    return Err(e);
                }
            }
        }
        Ok(HubPool {
            members: Arc::new(members),
            keys: RandomState::new(),
        })
    }

    /// Spawns a fiber that runs `f` on the first hub that has room.
    ///
    /// The fibers begin in the order in which they were sent, and one that has not begun belongs
    /// to no hub: it does not wait for a hub that is blocked while another one runs. Fibers
    /// that are sent by the pool's own fibers and blocking jobs come first and are not limited,
    /// because the fiber that takes the last room may wait for them.
    ///
    /// The fiber can be awaited on any runtime, and waited for in any fiber and on any
    /// thread. Dropping the [`Fiber`] detaches it. This never waits.
    ///
    /// # Errors
    ///
    /// Returns an error if the pool or each of its hubs is closed, and if
    /// [`max_queued`](crate::HubBuilder::max_queued) fibers wait to begin. `f` is then dropped.
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> Result<Fiber<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.send(Settings::default(), f)
    }

    /// Calls `f` in a fiber, and returns a future of its result that cancels the fiber if it
    /// is dropped.
    ///
    /// This is [`spawn`](HubPool::spawn) for work that is of no use without its caller, such
    /// as that of a request whose client may hang up. The fiber is sent by this call, not by
    /// the first poll. A full queue does not refuse it: its caller waits anyway, which is the
    /// back-pressure, and it begins in its turn.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the fiber, which ends at its current or next wait. If it
    /// has not begun, `f` is dropped.
    ///
    /// # Errors
    ///
    /// The future gives a [`JoinError`](crate::JoinError) if the fiber panicked or was
    /// cancelled, and if the pool or every hub is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use switchback::{HubPool, prelude::*, sleep};
    /// use tokio::time::timeout;
    ///
    /// fn legacy(n: u32) -> u32 {
    ///     sleep(Duration::from_millis(1)).wait();
    ///     2 * n
    /// }
    ///
    /// #[tokio::main] // many threads
    /// async fn main() -> std::io::Result<()> {
    ///     let pool = HubPool::new(2)?;
    ///     assert_eq!(pool.call(|| legacy(21)).await?, 42);
    ///
    ///     // A timeout drops the future, so the fiber ends too.
    ///     let forever = pool.call(|| std::future::pending::<()>().wait());
    ///     timeout(Duration::from_millis(1), forever).await.unwrap_err();
    /// #   pool.close().await;
    ///     Ok(())
    /// }
    /// ```
    #[track_caller]
    pub fn call<F, T>(&self, f: F) -> Call<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.members.call(origin(), f)
    }

    /// Reads from a synchronous [`Read`] in a fiber: a decoder, an archive that is made while
    /// it is read, a protocol.
    ///
    /// `make` creates the reader inside the fiber, which begins at the first poll. The stream
    /// is `Send`, so it can be the body of a response. It holds at most 64 KiB; while nobody
    /// reads it, the fiber waits. [`io::AsyncReader`](crate::io::AsyncReader) does the same
    /// in place, without a pool, but is not `Send`.
    ///
    /// # Cancel safety
    ///
    /// Dropping a read loses nothing. Dropping the stream cancels the fiber, and the reader
    /// is dropped on its stack.
    ///
    /// # Errors
    ///
    /// After all bytes that were read before, the stream returns the error of the reader or,
    /// if the fiber panicked, was cancelled or could not run, a
    /// [`JoinError`](crate::JoinError) as an [`io::Error`]. It never ends as if the reader
    /// had come to its end. Later reads return an error of the same kind. A `read` that
    /// returns `Interrupted` is retried.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Read;
    /// use switchback::HubPool;
    /// use tokio::io::AsyncReadExt;
    ///
    /// #[tokio::main] // many threads
    /// async fn main() -> std::io::Result<()> {
    ///     let pool = HubPool::new(2)?;
    ///     // Any reader: of `zip`, `flate2`, `tar`, over a `Blocking` or not.
    ///     let mut body = pool.reader(|| std::io::repeat(b'x').take(100_000));
    ///     // On any task.
    ///     let read = tokio::spawn(async move {
    ///         let mut bytes = Vec::new();
    ///         body.read_to_end(&mut bytes).await?;
    ///         std::io::Result::Ok(bytes.len())
    ///     });
    ///     assert_eq!(read.await??, 100_000);
    /// #   pool.close().await;
    ///     Ok(())
    /// }
    /// ```
    #[track_caller]
    pub fn reader<R, F>(&self, make: F) -> PoolReader
    where
        R: Read,
        F: FnOnce() -> R + Send + 'static,
    {
        PoolReader::new(self.members.clone(), make)
    }

    /// Reads what synchronous code writes in a fiber: an archive that is made while it is
    /// sent, a report, a picture.
    ///
    /// This is [`reader`](HubPool::reader) for what is made by writing, and returns the same
    /// type of stream: `f` is called inside the fiber, at the first poll, with a [`Write`], and
    /// its fiber waits while nobody reads. Small writes are collected: bytes are passed on
    /// 16 KiB at a time, by a `flush`, and when `f` returns or unwinds.
    ///
    /// Some encoders write their end when they are dropped, and then half an archive has all marks of
    /// a whole one. While the fiber unwinds, after a panic or a cancel, such writes are refused. If
    /// `f` returns an error, they are not: the example `archive` in `examples/libraries` shows how to
    /// keep that end back.
    ///
    /// # Cancel safety
    ///
    /// The rules are those of [`reader`](HubPool::reader).
    ///
    /// # Errors
    ///
    /// After all bytes that were written, the stream returns the error of `f`, or a
    /// [`JoinError`](crate::JoinError) as for [`reader`](HubPool::reader): its end is never taken for
    /// a good one. In `f`, writes return an error while the fiber unwinds; if `f` catches what unwound
    /// it and returns `Ok`, the stream returns that error.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use switchback::HubPool;
    /// use tokio::io::AsyncReadExt;
    ///
    /// #[tokio::main] // many threads
    /// async fn main() -> std::io::Result<()> {
    ///     let pool = HubPool::new(2)?;
    ///     // Any writer: of `zip`, `tar`, `csv`, `flate2`.
    ///     let mut body = pool.output(|out| {
    ///         (1..=3).try_for_each(|n| writeln!(out, "line {n}"))
    ///     });
    ///     let mut text = String::new();
    ///     body.read_to_string(&mut text).await?;
    ///     assert_eq!(text, "line 1\nline 2\nline 3\n");
    /// #   pool.close().await;
    ///     Ok(())
    /// }
    /// ```
    #[track_caller]
    pub fn output<F>(&self, f: F) -> PoolReader
    where
        F: FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    {
        PoolReader::of_output(self.members.clone(), f)
    }

    /// Writes to a synchronous [`Write`] in a fiber: an encoder, a parser that is fed.
    ///
    /// `make` creates the writer inside the fiber, which begins at the first poll. The stream
    /// is `Send` and holds at most 64 KiB; while the writer is behind, writes wait.
    /// `shutdown` passes the writer, after all bytes, to `finish`, and returns its result. A
    /// flush waits until the writer has taken all bytes and has flushed.
    ///
    /// # Cancel safety
    ///
    /// A write that is dropped has written nothing; a flush or a shutdown is continued by the
    /// next call. Dropping the stream before its shutdown was ready cancels the fiber:
    /// `finish` is not called, and the writer is dropped on the fiber's stack.
    ///
    /// # Errors
    ///
    /// Returns the error of the writer or of `finish` or, if the fiber panicked, was
    /// cancelled or could not run, a [`JoinError`](crate::JoinError) as an [`io::Error`].
    /// Bytes that were accepted before may be lost then. Later calls return an error of the
    /// same kind. After a shutdown, writes return
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use switchback::HubPool;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// /// Synchronous code that is fed, and knows the answer at the end.
    /// #[derive(Default)]
    /// struct Lines(usize);
    ///
    /// impl Write for Lines {
    ///     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
    ///         self.0 += bytes.iter().filter(|byte| **byte == b'\n').count();
    ///         Ok(bytes.len())
    ///     }
    ///
    ///     fn flush(&mut self) -> std::io::Result<()> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// #[tokio::main] // many threads
    /// async fn main() -> std::io::Result<()> {
    ///     let pool = HubPool::new(2)?;
    ///     let (tell, told) = tokio::sync::oneshot::channel();
    ///     let mut upload = pool.writer(Lines::default, |lines| {
    ///         tell.send(lines.0).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    ///     });
    ///     upload.write_all(b"one\ntwo\n").await?;
    ///     upload.shutdown().await?;
    ///     assert_eq!(told.await.unwrap(), 2);
    /// #   pool.close().await;
    ///     Ok(())
    /// }
    /// ```
    #[track_caller]
    pub fn writer<W, M, F>(&self, make: M, finish: F) -> PoolWriter
    where
        W: Write,
        M: FnOnce() -> W + Send + 'static,
        F: FnOnce(W) -> io::Result<()> + Send + 'static,
    {
        PoolWriter::new(self.members.clone(), make, finish)
    }

    /// Runs an iterator that may wait in a fiber, as a [`Stream`](futures::Stream) of its
    /// items.
    ///
    /// `make` creates the iterator inside the fiber, which begins at the first poll. The
    /// stream is `Send` and holds at most 16 items; while nobody polls it, the fiber waits.
    /// [`stream::from_iter`](crate::stream::from_iter()) does the same in place, without a
    /// pool, but is not `Send`.
    ///
    /// # Cancel safety
    ///
    /// Dropping a `next` loses nothing. Dropping the stream cancels the fiber, and the
    /// iterator is dropped on its stack.
    ///
    /// # Errors
    ///
    /// If the fiber panicked, was cancelled or could not run, the last item is a
    /// [`JoinError`](crate::JoinError), after all items that came before.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::StreamExt;
    /// use switchback::HubPool;
    ///
    /// #[tokio::main] // many threads
    /// async fn main() -> std::io::Result<()> {
    ///     let pool = HubPool::new(2)?;
    ///     let mut squares = pool.iter(|| (1..=3).map(|n| n * n));
    ///     while let Some(square) = squares.next().await {
    ///         println!("{}", square?);
    ///     }
    /// #   pool.close().await;
    ///     Ok(())
    /// }
    /// ```
    #[track_caller]
    pub fn iter<I, F>(&self, make: F) -> PoolIter<I::Item>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: FnOnce() -> I + Send + 'static,
    {
        PoolIter::new(self.members.clone(), make)
    }

    /// Spawns a fiber that runs `f` on the hub that `key` belongs to.
    ///
    /// Equal keys belong to the same hub of this pool, so data that their fibers share
    /// needs no lock across threads. Each pool distributes keys over its hubs differently.
    ///
    /// # Errors
    ///
    /// Returns an error if that hub is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use switchback::{HubPool, prelude::*};
    /// # fn main() -> std::io::Result<()> {
    /// let pool = HubPool::new(4)?;
    /// let thread = || std::thread::current().id();
    /// let mut one = pool.spawn_by_key("alice", thread)?;
    /// let mut other = pool.spawn_by_key("alice", thread)?;
    /// assert_eq!(one.join().wait()?, other.join().wait()?);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_by_key<F, T>(&self, key: impl Hash, f: F) -> Result<Fiber<T>, HubClosed>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let hash = self.keys.hash_one(key);
        let workers = self.workers();
        let worker = &workers[(hash % workers.len() as u64) as usize];
        worker.hub.spawn(f)
    }

    /// Spawns a fiber that runs `f` on each hub that is not closed. Returns the fibers in
    /// the order of the hubs.
    ///
    /// # Errors
    ///
    /// Returns an error if every hub is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use switchback::{Hub, HubPool, prelude::*};
    /// # fn main() -> std::io::Result<()> {
    /// let pool = Hub::builder().name("legacy").start_pool(2)?;
    /// let mut names = Vec::new();
    /// for mut fiber in pool.run_on_all(|| Hub::current().name().to_owned())? {
    ///     names.push(fiber.join().wait()?);
    /// }
    /// assert_eq!(names, ["legacy-0", "legacy-1"]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn run_on_all<F, T>(&self, f: F) -> Result<Vec<Fiber<T>>, HubClosed>
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let f = Arc::new(f);
        let mut fibers = Vec::new();
        // Not in a closure, which would be the place where they are spawned.
        for worker in self.workers() {
            let f = f.clone();
            fibers.extend(worker.hub.spawn(move || f()));
        }
        match fibers.is_empty() {
            true => Err(HubClosed::new()),
            false => Ok(fibers),
        }
    }

    /// Returns handles to the hubs, in their order.
    pub fn handles(&self) -> impl ExactSizeIterator<Item = &HubHandle> {
        self.workers().iter().map(|worker| &worker.hub)
    }

    /// Returns the number of hubs in the pool, closed or not. It is at least one.
    // An empty pool cannot be created.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.workers().len()
    }

    /// Closes all hubs at once and ends their threads. See
    /// [`HubThread::close`](crate::HubThread::close).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the close continues, and another call waits for
    /// the same close.
    ///
    /// # Panics
    ///
    /// Panics in a fiber of one of the hubs and in a blocking job of one of their runtimes,
    /// because they would wait for themselves. To close the pool from there, drop it. The
    /// future resumes a panic of one of the threads once all threads are gone.
    #[track_caller]
    pub fn close(&self) -> CloseThreads {
        CloseThreads::new(Target::Pool(self.members.clone()))
    }

    /// Like [`close`](HubPool::close), but waits no longer than `duration`.
    ///
    /// After a timeout the close continues.
    ///
    /// # Cancel safety
    ///
    /// The rules are those of [`close`](HubPool::close).
    ///
    /// # Errors
    ///
    /// The future returns a [`CloseTimeout`](crate::CloseTimeout) with the names of the
    /// fibers, of all the hubs, that had not ended.
    ///
    /// # Panics
    ///
    /// Panics where [`close`](HubPool::close) does, and if the current runtime's timers are
    /// not enabled.
    #[track_caller]
    pub fn close_within(&self, duration: Duration) -> CloseThreadsWithin {
        CloseThreadsWithin::new(Target::Pool(self.members.clone()), duration)
    }

    fn workers(&self) -> &[Arc<Worker>] {
        &self.members.workers
    }
}

impl Drop for HubPool {
    fn drop(&mut self) {
        self.members.start_close();
    }
}

impl SpawnOn for HubPool {
    #[allow(private_interfaces)]
    #[track_caller]
    fn send<F, T>(&self, settings: Settings, f: F) -> Result<Fiber<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let spawned = self.members.spawn(settings, f);
        spawned.map_err(|(error, _)| error)
    }
}

impl fmt::Debug for HubPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.members.fmt(f)
    }
}
