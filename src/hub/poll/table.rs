//! [`Table`]: the callbacks of one hub and their descriptors.
//!
//! A descriptor is watched under a token that is used only once. A late event for a closed
//! descriptor is therefore not taken for an event of a new descriptor with the same number.

use std::collections::HashMap;
use std::io;
use std::os::fd::RawFd;
use std::task::Context;

use tokio::runtime::Handle;

use super::entries::{Callback, Entries};
use super::events::Events;
use super::set::PollSet;

pub(super) struct Table {
    runtime: Handle,
    /// Present while a descriptor is watched.
    set: Option<PollSet>,
    /// Set while the set is new and has not been polled.
    unpolled: bool,
    watches: HashMap<usize, Watch>,
    /// The watch of each descriptor that is not known to have been closed.
    numbers: HashMap<RawFd, usize>,
    last_watch: usize,
    last_entry: u64,
    /// The number of the current pass.
    pass: u64,
}

/// A descriptor and its callbacks.
struct Watch {
    fd: RawFd,
    entries: Entries,
    /// The events that the poll set polls for.
    armed: Events,
    /// Set once the number no longer stands for the registered file. No callback is called
    /// then.
    closed: bool,
    /// The last pass in which the descriptor was found, and the events found in it so far.
    found: (u64, Events),
}

/// The place of a callback in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    watch: usize,
    entry: u64,
}

/// The next step of a pass.
#[derive(Debug)]
pub(super) enum Next {
    /// Call the callbacks of a ready descriptor.
    Call(Ready),
    /// No callback asked for the event that was found: look again.
    Skip,
    /// Every ready descriptor has had its turn, and one of them is ready again.
    PassOver,
    /// Nothing is ready.
    Idle,
}

/// A ready descriptor, and the position among its callbacks.
#[derive(Debug)]
pub(super) struct Ready {
    watch: usize,
    events: Events,
    /// The number of the callback that was called last; 0 if none was.
    after: u64,
    /// The number of the last callback to call. Callbacks that are added meanwhile have greater
    /// numbers.
    until: u64,
}

/// A callback that was taken out to be called.
pub(super) struct Call {
    pub(super) key: Key,
    pub(super) fd: RawFd,
    pub(super) events: Events,
    pub(super) callback: Callback,
}

impl Call {
    pub(super) fn run(&mut self) {
        (self.callback)(self.fd, self.events);
    }
}

impl Table {
    pub(super) fn new(runtime: &Handle) -> Table {
        Table {
            runtime: runtime.clone(),
            set: None,
            unpolled: false,
            watches: HashMap::new(),
            numbers: HashMap::new(),
            last_watch: 0,
            last_entry: 0,
            pass: 0,
        }
    }

    /// Adds the callback in `callback`, and leaves it there if the descriptor cannot be
    /// watched.
    #[track_caller]
    pub(super) fn add(
        &mut self,
        fd: RawFd,
        events: Events,
        callback: &mut Option<Callback>,
    ) -> io::Result<Key> {
        // This may panic. Nothing has changed yet.
        self.set()?;
        self.last_entry += 1;
        let entry = self.last_entry;
        let watch = match self.join(fd, entry, events) {
            Some(watch) => watch,
            None => self.watch(fd, entry, events).inspect_err(|_| self.tidy())?,
        };
        let key = Key { watch, entry };
        if let Some(entry) = self.entries(watch).get_mut(entry) {
            entry.callback = callback.take();
        }
        Ok(key)
    }

    /// Adds an entry to the watch of a number. Returns `None` if there is no watch, or if the
    /// watch is that of a closed descriptor.
    fn join(&mut self, fd: RawFd, entry: u64, events: Events) -> Option<usize> {
        let watch = *self.numbers.get(&fd)?;
        self.entries(watch).add(entry, events);
        if self.arm(watch).is_ok() {
            return Some(watch);
        }
        self.entries(watch).remove(entry);
        self.lose(watch);
        None
    }

    /// Creates a watch with one entry.
    fn watch(&mut self, fd: RawFd, entry: u64, events: Events) -> io::Result<usize> {
        self.last_watch += 1;
        let watch = self.last_watch;
        let set = self.set()?;
        if events.is_empty() {
            // This fails if the descriptor cannot be watched.
            set.add(fd, watch, Events::READABLE)?;
            set.remove(fd)?;
        } else {
            set.add(fd, watch, events)?;
        }
        let mut entries = Entries::default();
        entries.add(entry, events);
        let new = Watch {
            fd,
            armed: events,
            entries,
            closed: false,
            found: (self.pass, Events::NONE),
        };
        self.watches.insert(watch, new);
        self.numbers.insert(fd, watch);
        Ok(watch)
    }

    /// Changes the events that a callback is called for. Returns `None` if it is not
    /// registered.
    pub(super) fn update(&mut self, key: Key, events: Events) -> Option<io::Result<()>> {
        let watch = self.watches.get_mut(&key.watch)?;
        let before = watch.entries.set_events(key.entry, events)?;
        if watch.closed {
            return Some(Err(closed()));
        }
        let is_new = watch.armed.is_empty();
        let armed = self.arm(key.watch);
        if armed.is_err() {
            self.entries(key.watch).set_events(key.entry, before);
            if !is_new {
                self.lose(key.watch);
                return Some(Err(closed()));
            }
        }
        Some(armed)
    }

    /// Removes a callback. Returns `None` if it is not registered, and `Some(None)` if it
    /// is running.
    pub(super) fn remove(&mut self, key: Key) -> Option<Option<Callback>> {
        let entries = &mut self.watches.get_mut(&key.watch)?.entries;
        let entry = entries.remove(key.entry)?;
        let is_last = entries.is_empty();
        if self.arm(key.watch).is_err() {
            self.lose(key.watch);
        }
        if is_last {
            self.forget(key.watch);
            self.tidy();
        }
        Some(entry.callback)
    }

    /// Looks for a descriptor that is ready. If there is none, `cx` will be woken.
    pub(super) fn next(&mut self, cx: &mut Context<'_>) -> Next {
        let Some(set) = &mut self.set else {
            return Next::Idle;
        };
        self.unpolled = false;
        let Some((number, found)) = set.next(cx) else {
            self.pass += 1;
            return Next::Idle;
        };
        let Some(watch) = self.watches.get_mut(&number) else {
            // See `renew`.
            return Next::Skip;
        };
        // A closed descriptor has nothing armed.
        let asked = found.and(watch.armed);
        if asked.is_empty() {
            // It is not armed again, because a hang-up is found even if no callback asked
            // for it.
            return Next::Skip;
        }
        if watch.found.0 != self.pass {
            watch.found = (self.pass, Events::NONE);
        }
        // With kqueue, readability and writability are found separately.
        let news = asked.without(watch.found.1);
        watch.found.1 |= news;
        // Arm it again, so that it is found while it is still ready. This also detects
        // whether it was closed.
        if self.arm(number).is_err() {
            self.lose(number);
            return Next::Skip;
        }
        if news.is_empty() {
            self.pass += 1;
            return Next::PassOver;
        }
        Next::Call(Ready {
            watch: number,
            events: news,
            after: 0,
            until: self.last_entry,
        })
    }

    /// Takes out the next callback of a ready descriptor.
    pub(super) fn take(&mut self, ready: &mut Ready) -> Option<Call> {
        let watch = self.watches.get(&ready.watch)?;
        let next = watch.entries.next(ready.after, ready.until, ready.events);
        let (id, events) = next?;
        // The previous callback may have closed the descriptor.
        if ready.after > 0 && !watch.closed && self.arm(ready.watch).is_err() {
            self.lose(ready.watch);
        }
        let watch = self.watches.get_mut(&ready.watch)?;
        if watch.closed {
            return None;
        }
        ready.after = id;
        Some(Call {
            key: Key {
                watch: ready.watch,
                entry: id,
            },
            fd: watch.fd,
            events,
            callback: watch.entries.get_mut(id)?.callback.take()?,
        })
    }

    /// Puts back a callback that was called. Returns it if it has been removed meanwhile.
    pub(super) fn put_back(&mut self, key: Key, callback: Callback) -> Option<Callback> {
        match self
            .watches
            .get_mut(&key.watch)
            .and_then(|watch| watch.entries.get_mut(key.entry))
        {
            Some(entry) => entry.callback.replace(callback),
            None => Some(callback),
        }
    }

    /// Stops watching all descriptors and keeps the callbacks.
    pub(super) fn stop(&mut self) {
        for watch in self.watches.values_mut() {
            watch.armed = Events::NONE;
            watch.closed = true;
        }
        self.numbers.clear();
        self.tidy();
    }

    /// Takes out all callbacks that are not running, in the order of their
    /// registration.
    pub(super) fn take_all(&mut self) -> Vec<Callback> {
        let watches = std::mem::take(&mut self.watches).into_values();
        let mut entries: Vec<_> = watches.flat_map(|watch| watch.entries).collect();
        entries.sort_unstable_by_key(|(id, _)| *id);
        entries
            .into_iter()
            .filter_map(|(_, e)| e.callback)
            .collect()
    }

    /// Returns whether the poll set is new and has not been polled, and clears the flag.
    pub(super) fn take_unpolled(&mut self) -> bool {
        std::mem::take(&mut self.unpolled)
    }

    /// Returns the number of descriptors and of callbacks.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let callbacks = self.watches.values().map(|watch| watch.entries.len());
        (self.watches.len(), callbacks.sum())
    }

    /// Returns the poll set, and creates it if necessary.
    #[track_caller]
    fn set(&mut self) -> io::Result<&mut PollSet> {
        if self.set.is_none() {
            self.set = Some(self.new_set()?);
        }
        Ok(self.set.as_mut().expect("it was made"))
    }

    #[track_caller]
    fn new_set(&mut self) -> io::Result<PollSet> {
        let _runtime = self.runtime.enter();
        let set = PollSet::new()?;
        self.unpolled = true;
        Ok(set)
    }

    fn entries(&mut self, watch: usize) -> &mut Entries {
        let watch = self.watches.get_mut(&watch);
        &mut watch.expect("a number has a watch").entries
    }

    /// Makes the poll set poll for the events that the callbacks of a watch ask for, and
    /// find them again if they are ready.
    fn arm(&mut self, number: usize) -> io::Result<()> {
        let watch = &self.watches[&number];
        if watch.closed {
            return Ok(());
        }
        let (fd, is_new) = (watch.fd, watch.armed.is_empty());
        let asked = watch.entries.asked();
        let set = self.set()?;
        match is_new {
            true => set.add(fd, number, asked)?,
            false => set.modify(fd, number, asked)?,
        }
        if let Some(watch) = self.watches.get_mut(&number) {
            watch.armed = asked;
        }
        Ok(())
    }

    /// Handles a watch whose number no longer stands for the registered file. That file may
    /// live on under another number, and the set would keep finding it, so the set is
    /// replaced.
    fn lose(&mut self, number: usize) {
        self.forget_number(number);
        if let Some(watch) = self.watches.get_mut(&number) {
            watch.armed = Events::NONE;
            watch.closed = true;
        }
        self.renew();
    }

    /// Removes a watch from the table.
    fn forget(&mut self, number: usize) {
        self.forget_number(number);
        self.watches.remove(&number);
    }

    fn forget_number(&mut self, number: usize) {
        if let Some(watch) = self.watches.get(&number) {
            if self.numbers.get(&watch.fd) == Some(&number) {
                self.numbers.remove(&watch.fd);
            }
        }
    }

    /// Drops the poll set if no descriptor needs it.
    fn tidy(&mut self) {
        if self.numbers.is_empty() {
            self.set = None;
            self.unpolled = false;
        }
    }

    /// Replaces the poll set by a new one that contains only the watched descriptors.
    fn renew(&mut self) {
        self.tidy();
        if self.set.is_none() {
            return;
        }
        let set = match self.new_set() {
            Ok(set) => set,
            // The process has no descriptor left. Events of files that are no longer
            // watched are skipped.
            Err(_) => return,
        };
        self.set = Some(set);
        let mut lost = Vec::new();
        for (number, watch) in &mut self.watches {
            if watch.armed.is_empty() {
                continue;
            }
            let set = self.set.as_ref().expect("it was made");
            if set.add(watch.fd, *number, watch.armed).is_err() {
                watch.armed = Events::NONE;
                watch.closed = true;
                lost.push(*number);
            }
        }
        for number in lost {
            self.forget_number(number);
        }
        self.tidy();
    }
}

fn closed() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        "it was closed while it was polled; remove the callback and add it again",
    )
}
