//! [`Poller`]: callbacks on the readiness of file descriptors.
//!
//! # A poll set of our own
//!
//! The callers' descriptors are not registered with tokio. Each hub that polls has a poll
//! set of its own (an epoll or a kqueue), and tokio watches only that set, with an
//! `AsyncFd`. There are three reasons:
//!
//! * The owner of a descriptor may close it at any time. An `AsyncFd` for a number that
//!   other code closes is unsound: tokio registers a pointer with the operating system, and
//!   the registration outlives the `AsyncFd` if the open file lives on under another
//!   number. Our set registers a number, and an unknown number does no harm. (Watching a
//!   duplicate instead would keep the file open, so the peer would not notice that it was
//!   closed.)
//! * An `AsyncFd` is edge-triggered and caches readiness, so it cannot tell whether a
//!   descriptor is *still* ready. Here a descriptor is taken out of the set just before its
//!   callbacks are called, so it is ready then. It is armed again (`EPOLL_CTL_MOD`) before
//!   they run, so it is found again if it is still ready. This makes polling
//!   level-triggered, at the cost of two system calls for each ready descriptor and two for
//!   each pass. Unlike the level-triggered mode of the operating system, it does not keep
//!   finding events that no callback asked for, such as a hang-up where only writing is of
//!   interest.
//! * Arming a descriptor again fails if its number now stands for another file, or for
//!   none.
//!
//! # A pass
//!
//! 1. When tokio polls for I/O and finds the set ready, it wakes the [`Signal`], which puts
//!    an entry into the hub's ready queue.
//! 2. When the entry's turn comes, one ready descriptor is taken out of the set and its
//!    callbacks are called in the order of their registration. The entry then goes back to
//!    the end of the queue.
//! 3. If the descriptor found has already had its turn, the pass is over. The next pass
//!    begins after tokio has polled for I/O, in another turn of the hub.
//! 4. If no descriptor is found, the pass stops until tokio finds the set ready again.
//!
//! Callbacks that are always ready therefore starve neither each other nor anything else.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::{Context, Wake as _, Waker};

use tokio::runtime::Handle;

use super::cannot_poll::CannotPoll;
use super::entries::Callback;
use super::events::Events;
use super::signal::Signal;
use super::table::{Key, Next, Ready, Table};
use crate::base::contain;
use crate::base::executors::wake_after_io;
use crate::shared::{HubClosed, Mailbox};

/// Calls back when file descriptors are ready: see [`Hub::poll`](crate::Hub::poll).
///
/// Use it for libraries that do their own reading and writing, and need to be told when
/// they can. If you do not need callbacks, wait for a tokio socket instead.
///
/// Polling is level-triggered: a callback is called repeatedly while its descriptor is
/// ready for an event that it asked for, and everything else gets its turn in between. If a
/// callback does not read the available data, have it ask for [`Events::NONE`] meanwhile,
/// because polling keeps the thread busy. A descriptor becomes readable when its peer has
/// closed its side, and both readable and writable on an error.
///
/// Callbacks run on the hub's thread outside of any fiber, like those of
/// [`Hub::run_callback`](crate::Hub::run_callback). They must not wait, but may spawn a
/// fiber that does. They may add, update and remove callbacks, including themselves. If a
/// callback panics, the panic is reported, and the callback stays registered.
///
/// # Descriptors
///
/// A descriptor still belongs to the caller. If its callbacks read or write, the caller
/// makes it non-blocking: when the second callback is called, the first may have read
/// everything. Remove the callbacks before closing the descriptor. If it is closed first,
/// its callbacks are no longer called; they must still be removed, and the number may be
/// reused. There are two exceptions, in which it goes unnoticed that a number stands for
/// another file: while all callbacks of a descriptor ask for nothing, and on systems with
/// kqueue (macOS, the BSDs).
///
/// Every descriptor that can be polled can be added: sockets, pipes, terminals. Files and
/// directories cannot.
///
/// # The end of the hub
///
/// Once the hub has closed or ended, no callback is called. Callbacks do not keep a hub
/// from closing, and are called while it has fibers. They are dropped on the hub's thread,
/// with the last handle to the hub; a callback that itself holds a [`Hub`](crate::Hub) has
/// to be removed explicitly. If the hub's thread ends first, they are leaked.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use std::cell::RefCell;
/// use std::io::{Read as _, Write as _};
/// use std::os::fd::AsRawFd as _;
/// use std::os::unix::net::UnixStream;
/// use std::rc::Rc;
/// use switchback::{Events, Hub, prelude::*, yield_now};
///
/// let (mut near, mut far) = UnixStream::pair().unwrap();
/// near.set_nonblocking(true).unwrap();
/// far.write_all(b"hello").unwrap();
///
/// let hub = Hub::current();
/// let text = Rc::new(RefCell::new(String::new()));
/// let (fd, heard) = (near.as_raw_fd(), text.clone());
/// let handle = hub.poll().add(fd, Events::READABLE, move |_fd, _events| {
///     let mut bytes = [0; 2];
///     let count = near.read(&mut bytes).unwrap();
///     heard.borrow_mut().extend(bytes[..count].iter().map(|b| char::from(*b)));
/// });
/// let handle = handle.unwrap();
/// while text.borrow().len() < 5 {
///     yield_now().wait();
/// }
/// assert_eq!(*text.borrow(), "hello");
/// assert!(hub.poll().remove(&handle)); // this drops `near`, which closes it
/// # }).unwrap();
/// ```
pub struct Poller {
    hub: Arc<Mailbox>,
    /// The number of the hub, which no other hub has.
    number: u64,
    /// Whether the hub accepts callbacks.
    open: Cell<bool>,
    table: RefCell<Table>,
    signal: Arc<Signal>,
    /// Drops a callback that will not be called again. The callback's destructor may wait.
    drop_callback: fn(Callback),
    /// The turn of the hub in which the last pass ended.
    over_in: Cell<u64>,
}

impl Poller {
    pub(crate) fn new(
        hub: &Arc<Mailbox>,
        number: u64,
        runtime: &Handle,
        drop_callback: fn(Callback),
    ) -> Poller {
        Poller {
            hub: hub.clone(),
            number,
            open: Cell::new(true),
            table: RefCell::new(Table::new(runtime)),
            signal: Signal::new(hub),
            drop_callback,
            over_in: Cell::new(0),
        }
    }

    /// Registers `callback`, which is called while the descriptor `fd` is ready for any of
    /// `events`. Its arguments are the descriptor and those of `events` that it is ready
    /// for.
    ///
    /// With [`Events::NONE`], the callback is not called before an
    /// [`update`](Poller::update). It stays registered until it is removed, even if the
    /// handle is dropped. A descriptor can have several callbacks, which are called in the
    /// order in which they were added.
    ///
    /// # Errors
    ///
    /// Returns an error if the descriptor does not exist or cannot be polled, as files
    /// cannot; the message names it, and the source is the error of the operating system.
    /// Returns [`HubClosed`] if the hub is closed, an error if the process has no
    /// descriptor left to poll with, and [`Unsupported`](io::ErrorKind::Unsupported) on a
    /// system without epoll, kqueue or event ports, such as Haiku.
    ///
    /// # Panics
    ///
    /// Panics if the runtime's I/O is not enabled.
    #[track_caller]
    pub fn add<F>(&self, fd: RawFd, events: Events, callback: F) -> io::Result<PollHandle>
    where
        F: FnMut(RawFd, Events) + 'static,
    {
        self.check_open()?;
        // On an error or a panic, the callback is dropped after the borrow has ended.
        let mut callback = Some(Box::new(callback) as Callback);
        let key = self.table.borrow_mut().add(fd, events, &mut callback);
        self.poll_new_set();
        Ok(PollHandle {
            poller: self.number,
            fd,
            key: key.map_err(|e| CannotPoll::error(fd, e))?,
        })
    }

    /// Changes the events that a callback is called for. This takes effect at once, also
    /// inside a callback.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`NotFound`](io::ErrorKind::NotFound) if the callback
    /// was removed, belongs to another hub, or is for a descriptor that was closed (where
    /// that is noticed). Returns [`HubClosed`] if the hub is closed.
    pub fn update(&self, handle: &PollHandle, events: Events) -> io::Result<()> {
        let why = |why| CannotPoll::error(handle.fd, io::Error::new(io::ErrorKind::NotFound, why));
        if handle.poller != self.number {
            return Err(why("the callback belongs to another hub"));
        }
        self.check_open()?;
        let updated = self.table.borrow_mut().update(handle.key, events);
        self.poll_new_set();
        match updated {
            Some(updated) => updated.map_err(|e| CannotPoll::error(handle.fd, e)),
            None => Err(why("the callback was removed; add it again")),
        }
    }

    /// Removes a callback and drops it in this call; a callback that is running is dropped
    /// when it returns. Returns false if it was already removed, or belongs to another hub.
    ///
    /// With the last callback of a descriptor, the hub stops watching the descriptor. With
    /// the last descriptor, it closes its poll set.
    pub fn remove(&self, handle: &PollHandle) -> bool {
        if handle.poller != self.number {
            return false;
        }
        let removed = self.table.borrow_mut().remove(handle.key);
        self.poll_new_set();
        // The callback is dropped here, on the caller's stack, after the borrow has ended.
        removed.is_some()
    }

    fn check_open(&self) -> io::Result<()> {
        match self.open.get() && !self.hub.has_ended() {
            true => Ok(()),
            false => Err(HubClosed::new().into()),
        }
    }

    /// Queues a poll if the set is new: a set has to be polled once before it can wake the
    /// hub.
    fn poll_new_set(&self) {
        if self.table.borrow_mut().take_unpolled() {
            self.signal.wake_by_ref();
        }
    }

    /// Handles the poll entry of the hub's ready queue in the given turn: calls the
    /// callbacks of one descriptor, if one is ready.
    pub(crate) fn step(&self, turn: u64) {
        self.signal.clear();
        let waker = Waker::from(self.signal.clone());
        let mut cx = Context::from_waker(&waker);
        let next = self.table.borrow_mut().next(&mut cx);
        match next {
            Next::Call(ready) => self.call(ready),
            Next::Skip => {}
            Next::PassOver => {
                self.over_in.set(turn);
                wake_after_io(&mut cx);
                return;
            }
            Next::Idle => return,
        }
        self.signal.wake_by_ref();
    }

    /// Returns whether a pass ended in this turn of the hub.
    pub(crate) fn is_over_in(&self, turn: u64) -> bool {
        self.over_in.get() == turn
    }

    /// Calls the callbacks of a ready descriptor.
    fn call(&self, mut ready: Ready) {
        loop {
            let call = self.table.borrow_mut().take(&mut ready);
            let Some(mut call) = call else { break };
            contain::run("a callback of `Hub::poll`", || call.run());
            let removed = self.table.borrow_mut().put_back(call.key, call.callback);
            if let Some(callback) = removed {
                (self.drop_callback)(callback);
            }
        }
    }

    /// Stops all calls and all watching. The callbacks themselves stay, because they may
    /// own the user's values.
    pub(crate) fn stop(&self) {
        if self.open.replace(false) {
            self.table.borrow_mut().stop();
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        for callback in self.table.get_mut().take_all() {
            (self.drop_callback)(callback);
        }
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("Poller");
        if let Ok(table) = self.table.try_borrow() {
            let (descriptors, callbacks) = table.sizes();
            s.field("descriptors", &descriptors)
                .field("callbacks", &callbacks);
        }
        s.finish_non_exhaustive()
    }
}

/// Refers to a callback of a [`Poller`].
///
/// Dropping it does not remove the callback.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PollHandle {
    poller: u64,
    fd: RawFd,
    key: Key,
}

impl fmt::Debug for PollHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollHandle")
            .field("fd", &self.fd)
            .finish_non_exhaustive()
    }
}
