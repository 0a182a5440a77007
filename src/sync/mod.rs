//! std's module `sync`, for fibers, threads and async tasks.
//!
//! Everything here may be shared freely between fibers of several hubs, plain threads and async tasks.
//! What waits suspends the fiber in a fiber, blocks a plain thread, and is refused in async code, where an
//! `_async` twin is awaited instead: the same lock, with the same guard. Constructors are `const`, so
//! all of it can be in statics.
//!
//! Every call that may wait is a [`switchpoint`](crate::switchpoint()), also when it would not have
//! waited. It unwinds if the fiber is cancelled. `try_` calls, [`mpsc::Sender::send`], notifications and
//! the drops of guards never wait.
//!
//! Whatever has no row of its own in the tables is std's own.
//!
//! # Table
//!
//! | std | here |
//! |---|---|
//! | [`Mutex`], [`Mutex::new`], [`Mutex::into_inner`], [`Mutex::get_mut`], [`Mutex::is_poisoned`], [`Mutex::clear_poison`] | same |
//! | [`Mutex::lock`], [`Mutex::try_lock`] | same; a guard poisons only if the stack that drops it is surely the one that unwinds, where std's poisons if any fiber of the thread does. A cancel poisons too |
//! | no counterpart | [`Mutex::lock_async`] |
//! | [`MutexGuard`] | different: `Send` if the value is |
//! | [`RwLock`], [`RwLock::new`], [`RwLock::into_inner`], [`RwLock::get_mut`], [`RwLock::is_poisoned`], [`RwLock::clear_poison`] | same |
//! | [`RwLock::read`], [`RwLock::write`], [`RwLock::try_read`], [`RwLock::try_write`] | same; poisoned as a [`Mutex`] is. New readers queue behind those who wait |
//! | no counterpart | [`RwLock::read_async`], [`RwLock::write_async`] |
//! | [`RwLockReadGuard`], [`RwLockWriteGuard`] | different: `Send` if the value may be |
//! | [`RwLockWriteGuard::downgrade`] | same |
//! | [`Condvar`], [`Condvar::new`], [`Condvar::wait`], [`Condvar::wait_while`], [`Condvar::wait_timeout`], [`Condvar::wait_timeout_ms`], [`Condvar::wait_timeout_while`], [`Condvar::notify_one`], [`Condvar::notify_all`] | same; nobody is woken without a notification, those who wait are notified first in, first out, and one may be used with several mutexes |
//! | no counterpart | [`Condvar::wait_async`], [`Condvar::wait_while_async`] |
//! | [`WaitTimeoutResult`], [`WaitTimeoutResult::timed_out`] | same |
//! | [`Barrier`], [`Barrier::new`], [`Barrier::wait`], [`BarrierWaitResult`], [`BarrierWaitResult::is_leader`] | same; one who is cancelled takes its arrival back |
//! | no counterpart | [`Barrier::wait_async`] |
//! | [`Once`], [`Once::new`], [`Once::call_once`], [`Once::call_once_force`], [`Once::is_completed`], [`Once::wait`], [`Once::wait_force`], [`OnceState`], [`OnceState::is_poisoned`] | same; a cancel waits until what it runs is done |
//! | no counterpart | [`Once::wait_async`] |
//! | `ONCE_INIT` | same, and deprecated too |
//! | [`OnceLock`], [`OnceLock::new`], [`OnceLock::get`], [`OnceLock::get_mut`], [`OnceLock::set`], [`OnceLock::get_or_init`], [`OnceLock::into_inner`], [`OnceLock::take`], [`OnceLock::wait`] | same |
//! | no counterpart | [`OnceLock::wait_async`] |
//! | [`LazyLock`], [`LazyLock::new`], [`LazyLock::force`], [`LazyLock::get`], [`LazyLock::get_mut`], [`LazyLock::force_mut`] | same; a cancel waits until the value is made |
//! | no counterpart | [`LazyLock::force_async`] |
//! | `Arc`, `Weak`, `PoisonError`, `TryLockError`, `LockResult`, `TryLockResult`, `atomic` | same: std's |
//! | no counterpart | [`nonpoison`]: these locks without poisoning, with its `WouldBlock` |
//!
//! What std does not have, or only as unstable:
//!
//! | here | |
//! |---|---|
//! | [`Semaphore`], [`Semaphore::new`], [`Semaphore::acquire`], [`Semaphore::acquire_many`], [`Semaphore::try_acquire`], [`Semaphore::try_acquire_many`], [`Semaphore::acquire_async`], [`Semaphore::acquire_many_async`], [`Semaphore::add_permits`], [`Semaphore::available_permits`], [`SemaphoreGuard`], [`SemaphoreGuard::forget`] | as tokio's, but it cannot be closed |
//! | [`Event`], [`Event::new`], [`Event::set`], [`Event::clear`], [`Event::is_set`], [`Event::wait`], [`Event::wait_timeout`], [`Event::wait_async`] | Gruvi's and Python's |
//! | [`ReentrantLock`], [`ReentrantLock::new`], [`ReentrantLock::lock`], [`ReentrantLock::into_inner`], [`ReentrantLock::get_mut`], [`ReentrantLockGuard`] | std's, which is unstable |
//! | [`Queue`], [`LifoQueue`], [`PriorityQueue`], each with `new`, `with_capacity`, `put`, `put_async`, `try_put`, `get`, `get_async`, `get_timeout`, `try_get`, `task_done`, `join`, `join_async`, `unfinished`, `len` and `is_empty` | Gruvi's and Python's |
//!
//! The module [`mpsc`]:
//!
//! | std | here |
//! |---|---|
//! | [`channel`](mpsc::channel), [`sync_channel`](mpsc::sync_channel) | same |
//! | [`Sender`](mpsc::Sender), [`Sender::send`](mpsc::Sender::send) | same |
//! | [`SyncSender`](mpsc::SyncSender), [`SyncSender::send`](mpsc::SyncSender::send), [`SyncSender::try_send`](mpsc::SyncSender::try_send) | same; senders that wait are served first in, first out |
//! | no counterpart | [`SyncSender::send_async`](mpsc::SyncSender::send_async), [`Receiver::recv_async`](mpsc::Receiver::recv_async) |
//! | [`Receiver`](mpsc::Receiver) | different: `Sync` too, so that several may receive at once |
//! | [`Receiver::recv`](mpsc::Receiver::recv), [`Receiver::try_recv`](mpsc::Receiver::try_recv), [`Receiver::recv_timeout`](mpsc::Receiver::recv_timeout), [`Receiver::iter`](mpsc::Receiver::iter), [`Receiver::try_iter`](mpsc::Receiver::try_iter) | same |
//! | [`Iter`](mpsc::Iter), [`TryIter`](mpsc::TryIter), [`IntoIter`](mpsc::IntoIter) | same |
//! | `SendError`, `TrySendError`, `RecvError`, `TryRecvError`, `RecvTimeoutError` | same: std's |
//!
//! # Unstable in std
//!
//! What is unstable in std is absent, such as guards that are mapped, `mpmc` and `ReentrantLock::try_lock`,
//! except where the table has it.

// The locks stand on `cell`, which has their values, and on `raw_lock`, which knows its `holder`; `mpsc`
// and the queues stand on `channel`. `waiters` are those who wait for any of these, in a line. `line` is
// for those who only wait to be notified.

mod barrier;
mod cell;
mod channel;
mod condvar;
mod event;
mod holder;
mod lazy_lock;
mod line;
pub mod mpsc;
mod mutex;
pub mod nonpoison;
mod once;
mod once_lock;
mod poisoning;
mod queue;
mod raw_lock;
mod reentrant_lock;
mod rwlock;
mod semaphore;
mod waiters;

pub use std::sync::*;

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use event::Event;
pub use lazy_lock::LazyLock;
pub use mutex::{Mutex, MutexGuard};
#[allow(deprecated)]
pub use once::ONCE_INIT;
pub use once::{Once, OnceState};
pub use once_lock::OnceLock;
pub use queue::{LifoQueue, PriorityQueue, Queue};
pub use reentrant_lock::{ReentrantLock, ReentrantLockGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Semaphore, SemaphoreGuard};
