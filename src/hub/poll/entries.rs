//! [`Entries`]: the callbacks of one descriptor.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ops::Bound;
use std::os::fd::RawFd;

use super::events::Events;

/// A callback of the user.
pub(crate) type Callback = Box<dyn FnMut(RawFd, Events)>;

/// The callbacks of one descriptor, in the order of their registration, which is also that of their
/// numbers. Adding, finding and removing one takes logarithmic time.
#[derive(Default)]
pub(super) struct Entries {
    by_id: BTreeMap<u64, Entry>,
    readable: usize,
    writable: usize,
}

pub(super) struct Entry {
    events: Events,
    /// `None` while the callback runs.
    pub(super) callback: Option<Callback>,
}

impl Entries {
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Entry> {
        self.by_id.get_mut(&id)
    }

    /// Adds an entry whose callback is put in later. Its number must be higher than all others.
    pub(super) fn add(&mut self, id: u64, events: Events) {
        let entry = Entry {
            events,
            callback: None,
        };
        self.count(Events::NONE, events);
        self.by_id.insert(id, entry);
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.by_id.remove(&id)?;
        self.count(entry.events, Events::NONE);
        Some(entry)
    }

    /// Changes the events that a callback asks for. Returns the previous ones.
    pub(super) fn set_events(&mut self, id: u64, events: Events) -> Option<Events> {
        let before = std::mem::replace(&mut self.by_id.get_mut(&id)?.events, events);
        self.count(before, events);
        Some(before)
    }

    /// Returns the events that any callback asks for.
    pub(super) fn asked(&self) -> Events {
        let mut asked = Events::NONE;
        if self.readable > 0 {
            asked |= Events::READABLE;
        }
        if self.writable > 0 {
            asked |= Events::WRITABLE;
        }
        asked
    }

    /// Returns the next callback with a number above `after` and up to `until` that is not running
    /// and asks for some of `events`: its number, and which of `events` it asks for.
    pub(super) fn next(&self, after: u64, until: u64, events: Events) -> Option<(u64, Events)> {
        let range = (Bound::Excluded(after), Bound::Included(until));
        self.by_id.range(range).find_map(|(id, entry)| {
            let events = entry.events.and(events);
            (entry.callback.is_some() && !events.is_empty()).then_some((*id, events))
        })
    }

    fn count(&mut self, before: Events, after: Events) {
        let one = |events: Events, event| usize::from(events.contains(event));
        self.readable += one(after, Events::READABLE);
        self.readable -= one(before, Events::READABLE);
        self.writable += one(after, Events::WRITABLE);
        self.writable -= one(before, Events::WRITABLE);
    }
}

impl IntoIterator for Entries {
    type Item = (u64, Entry);
    type IntoIter = btree_map::IntoIter<u64, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.by_id.into_iter()
    }
}
