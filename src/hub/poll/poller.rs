//! [`Poller`]: callbacks on the readiness of file descriptors.
//!
//! # A poll set of our own
//!
//! The callers' descriptors are not given to tokio. Each hub that polls has a
//! poll set of its own (an epoll, a kqueue), and that is the one thing that tokio
//! watches, with an `AsyncFd`. For three reasons:
//!
//! * A descriptor stays its owner's, who may close it. An `AsyncFd` for a number
//!   that somebody else closes is unsound: what tokio has registered with the
//!   operating system is a pointer, which outlives the `AsyncFd` if the open file
//!   lives on under another number. In our set it is a number, and one that is
//!   not known any more does no harm. (To watch a duplicate instead would keep
//!   the file open, so that a peer would not notice that it was closed.)
//! * An `AsyncFd` is edge-triggered, and caches: it cannot tell whether a
//!   descriptor is ready *still*. Here a descriptor is taken out of the set when
//!   its callbacks are about to be called, so it is ready then, and is armed
//!   again before they run (`EPOLL_CTL_MOD`), so it is found again if it is ready
//!   still. That is level-triggered at the cost of two calls to the operating
//!   system for each descriptor that is ready, and two for each pass. And unlike
//!   the level-triggered mode of the operating system it does not find for ever
//!   what nobody asked for, such as a hang-up where only writing is of interest.
//! * Arming a descriptor again fails if its number stands for another file now,
//!   or none.
//!
//! # A pass
//!
//! 1. When tokio polls for I/O and finds that the set has something, it wakes the
//!    [`Signal`], which puts an entry into the hub's ready queue.
//! 2. When its turn comes, one ready descriptor is taken out of the set and its
//!    callbacks are called, in the order of their registration. Then the entry
//!    goes to the end of the queue again.
//! 3. If a descriptor is found that has had its turn, the pass is over. The next
//!    begins when tokio has polled for I/O, and in another turn of the hub.
//! 4. If none is found, nothing happens until tokio finds something.
//!
//! So callbacks that are called for ever starve nothing, nor each other.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::{Context, Wake as _, Waker};

use tokio::runtime::Handle;

use super::events::Events;
use super::signal::Signal;
use super::table::{Callback, Key, Next, Ready, Table};
use crate::base::contain;
use crate::base::executors::wake_after_io;
use crate::shared::{HubClosed, Mailbox};

/// Calls back when file descriptors are ready: see [`Hub::poll`](crate::Hub::poll).
///
/// It is for libraries that do their own reading and writing and have to be told
/// when. Where nobody insists on callbacks, wait for a tokio socket instead.
///
/// It is level-triggered: a callback is called again and again while its
/// descriptor is ready for something that it asked for, with everything else
/// getting its turn in between. If it does not read what is there, have it ask
/// for [`Events::NONE`] meanwhile, since polling keeps the thread busy. A peer
/// that has closed its side makes a descriptor readable; an error makes it
/// readable and writable.
///
/// Callbacks run on the hub's thread outside of any fiber, as those of
/// [`Hub::run_callback`](crate::Hub::run_callback) do. They must not wait; they
/// may spawn a fiber that does. They may add, update and remove callbacks, each
/// other and themselves. If one panics, that is reported, and it stays.
///
/// # Descriptors
///
/// A descriptor stays the caller's, who makes it non-blocking if its callbacks
/// read or write: when the second one is called, the first may have read
/// everything. Remove its callbacks before it is closed. If it is closed before,
/// they are not called any more; they must be removed nevertheless, and its number
/// may be used again. There are two exceptions: callbacks that all ask for nothing
/// at that time, and systems with kqueue (macOS, the BSDs), where it is not
/// noticed that a number stands for another file.
///
/// Whatever can be polled can be added: sockets, pipes, terminals. Files and
/// directories cannot.
///
/// # The end of the hub
///
/// When the hub has closed or ended, no callback is called any more. Callbacks do
/// not keep it from closing; they are called while it has fibers. They are dropped
/// with the last handle to the hub, on its thread; one that itself holds a
/// [`Hub`](crate::Hub) has to be removed. If the hub's thread ends first, they are
/// leaked.
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
    /// That of the hub: unlike that of any other.
    number: u64,
    /// Whether the hub takes callbacks.
    open: Cell<bool>,
    table: RefCell<Table>,
    signal: Arc<Signal>,
    /// Drops a callback that will not be called again, which may wait in its destructor.
    drop_callback: fn(Callback),
    /// The turn of the hub in which the last pass was over.
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

    /// Has `callback` called while the descriptor `fd` is ready for some of
    /// `events`; with the descriptor, and what of `events` it is ready for.
    ///
    /// With [`Events::NONE`] it is not called before an
    /// [`update`](Poller::update). It stays until it is removed, also if the
    /// handle is dropped. A descriptor can have several callbacks, which are
    /// called in the order in which they were added.
    ///
    /// # Errors
    ///
    /// If there is no such descriptor, or it cannot be polled, as files cannot;
    /// the message names it, and the error's source is that of the operating
    /// system. If the hub is closed: [`HubClosed`]. If the process has no descriptor
    /// left to poll with. On a system without epoll, kqueue or event ports, such as
    /// Haiku: [`Unsupported`](io::ErrorKind::Unsupported).
    ///
    /// # Panics
    ///
    /// If the runtime's I/O is not enabled.
    #[track_caller]
    pub fn add<F>(&self, fd: RawFd, events: Events, callback: F) -> io::Result<PollHandle>
    where
        F: FnMut(RawFd, Events) + 'static,
    {
        self.check_open()?;
        // Dropped, if there is an error or a panic, after the borrow has ended.
        let mut callback = Some(Box::new(callback) as Callback);
        let key = self.table.borrow_mut().add(fd, events, &mut callback);
        self.see_to_it();
        Ok(PollHandle {
            poller: self.number,
            fd,
            key: key.map_err(|e| CannotPoll::error(fd, e))?,
        })
    }

    /// Changes what a callback is called for. That holds at once, also in a
    /// callback.
    ///
    /// # Errors
    ///
    /// If the callback was removed, or belongs to another hub; the kind is
    /// [`NotFound`](io::ErrorKind::NotFound). If the descriptor was closed, where
    /// that is noticed. If the hub is closed: [`HubClosed`].
    pub fn update(&self, handle: &PollHandle, events: Events) -> io::Result<()> {
        let why = |why| CannotPoll::error(handle.fd, io::Error::new(io::ErrorKind::NotFound, why));
        if handle.poller != self.number {
            return Err(why("the callback belongs to another hub"));
        }
        self.check_open()?;
        let updated = self.table.borrow_mut().update(handle.key, events);
        self.see_to_it();
        match updated {
            Some(updated) => updated.map_err(|e| CannotPoll::error(handle.fd, e)),
            None => Err(why("the callback was removed; add it again")),
        }
    }

    /// Removes a callback, and drops it in this call; one that is running is
    /// dropped when it returns. False if it was removed before, or belongs to
    /// another hub.
    ///
    /// With the last callback of a descriptor the hub lets go of it, and with the
    /// last descriptor of what it polls with.
    pub fn remove(&self, handle: &PollHandle) -> bool {
        if handle.poller != self.number {
            return false;
        }
        let removed = self.table.borrow_mut().remove(handle.key);
        self.see_to_it();
        // Dropped here, on the caller's stack: the borrow has ended.
        removed.is_some()
    }

    fn check_open(&self) -> io::Result<()> {
        match self.open.get() && !self.hub.has_ended() {
            true => Ok(()),
            false => Err(HubClosed::new().into()),
        }
    }

    /// A new poll set has to be looked at once, to be woken by it.
    fn see_to_it(&self) {
        if self.table.borrow_mut().take_unpolled() {
            self.signal.wake_by_ref();
        }
    }

    /// Handles the entry of the hub's ready queue, in this turn of it: calls the
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

    /// Whether a pass was over in this turn of the hub.
    pub(crate) fn is_over_in(&self, turn: u64) -> bool {
        self.over_in.get() == turn
    }

    /// Calls the callbacks of a descriptor that is ready.
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

    /// No callback is called any more, and nothing is watched. Those that there
    /// are stay: they may be the user's.
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

/// What is in the errors of a [`Poller`].
#[derive(Debug)]
struct CannotPoll {
    fd: RawFd,
    why: io::Error,
}

impl CannotPoll {
    fn error(fd: RawFd, why: io::Error) -> io::Error {
        io::Error::new(why.kind(), CannotPoll { fd, why })
    }
}

impl fmt::Display for CannotPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot poll descriptor {}: {}", self.fd, self.why)
    }
}

impl Error for CannotPoll {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.why)
    }
}
