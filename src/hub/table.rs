//! [`Table`]: the fibers of a hub that have not ended.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem;
use std::rc::Rc;

use slab::Slab;

use super::Children;
use crate::shared::{FiberNames, FiberRef, HubToken, LocalJoiner, LocalPhase, Phase, Uncounted};

/// The fibers of a hub. The table holds each fiber from its launch until its stack has returned or
/// was left for ever, and while it is in the ready queue: the Table Invariant of [`FiberRef`].
#[derive(Default)]
pub(crate) struct Table {
    entries: RefCell<Slab<Entry>>,
    /// The number of fibers that were ever added.
    added: Cell<u64>,
}

/// A fiber in the table.
pub(crate) struct Entry {
    pub(crate) fiber: FiberRef,
    /// The children of the scope that counts the fiber, if it was spawned in a scope.
    pub(crate) children: Option<Rc<Children>>,
}

impl Table {
    /// Adds a fiber. Returns the number of its entry, for its [`slot`](crate::shared::ColdPart).
    #[inline(always)]
    pub(crate) fn add(&self, entry: Entry) -> u32 {
        let mut entries = self.entries.borrow_mut();
        let slot = u32::try_from(entries.vacant_key()).expect("fewer than 2^32 fibers live");
        entries.insert(entry);
        self.added.set(self.added.get() + 1);
        slot
    }

    /// Removes the fiber with this entry, which is over. If the fiber is still `queued`, the entry stays
    /// until the ready queue has handled its own. Returns the fiber and the children of its scope, which
    /// have to be told.
    #[inline]
    pub(crate) fn retire(&self, slot: u32, queued: bool) -> Entry {
        let slot = slot as usize;
        let mut entries = self.entries.borrow_mut();
        if queued {
            let entry = &mut entries[slot];
            Entry {
                fiber: entry.fiber.clone(),
                children: entry.children.take(),
            }
        } else {
            entries.remove(slot)
        }
    }

    /// Removes a fiber that is over and has left the ready queue.
    pub(crate) fn remove(&self, slot: u32) {
        let over = self.entries.borrow_mut().remove(slot as usize);
        drop(over);
    }

    /// Returns the fiber, if it is still in the table.
    #[inline]
    pub(crate) fn find(&self, joiner: LocalJoiner) -> Option<Uncounted> {
        let entries = self.entries.borrow();
        let found = &entries.get(joiner.slot as usize)?.fiber;
        (found.id() == joiner.id).then(|| found.lend())
    }

    /// Returns whether a fiber of this hub is in the table.
    pub(crate) fn contains(&self, token: &HubToken, fiber: &FiberRef) -> bool {
        let slot = fiber.cold_part(token).slot.get() as usize;
        let entries = self.entries.borrow();
        entries
            .get(slot)
            .is_some_and(|entry| FiberRef::ptr_eq(&entry.fiber, fiber))
    }

    /// Returns the number of fibers in the table.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees memory of a table that was large and is nearly empty. Called when the hub is idle.
    #[inline]
    pub(crate) fn trim(&self) {
        const KEPT: usize = 1024;
        let mut entries = self.entries.borrow_mut();
        if entries.capacity() > KEPT && entries.len() < entries.capacity() / 8 {
            // This frees the part behind the last entry in use.
            entries.shrink_to_fit();
        }
    }

    /// Returns the number of fibers that were ever added.
    pub(crate) fn added(&self) -> u64 {
        self.added.get()
    }

    /// Returns the fibers, in no particular order.
    pub(crate) fn fibers(&self) -> Vec<FiberRef> {
        let entries = self.entries.borrow();
        entries
            .iter()
            .map(|(_, entry)| entry.fiber.clone())
            .collect()
    }

    /// Calls `f`, which is our own code, with each entry, in no particular order.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&Entry)) {
        let entries = self.entries.borrow();
        entries.iter().for_each(|(_, entry)| f(entry));
    }

    /// Returns whether `is_so` holds for every fiber.
    pub(crate) fn all(&self, is_so: impl Fn(&FiberRef) -> bool) -> bool {
        let entries = self.entries.borrow();
        entries.iter().all(|(_, entry)| is_so(&entry.fiber))
    }

    /// Returns the names of the fibers that have not ended and for which `choose` returns true.
    pub(crate) fn names_of(&self, choose: impl Fn(&FiberRef) -> bool) -> FiberNames {
        let mut fibers = self.fibers();
        fibers.retain(|fiber| matches!(fiber.phase(), Phase::New | Phase::Started));
        fibers.retain(|fiber| choose(fiber));
        fibers.iter().collect()
    }

    /// Drops the reference to each fiber. A fiber that has begun is leaked instead, because its stack is
    /// (Live Stack Invariant), and the stack has references that are not counted (Table Invariant). The
    /// code on it may even continue: if a fiber calls `exit`, the destructors of thread-locals run on the
    /// fiber's stack.
    ///
    /// If `is_read`, another thread may use one of the fibers, and all are leaked.
    pub(crate) fn clear(&self, token: &HubToken, is_read: bool) {
        for (_, entry) in self.entries.take() {
            if is_read || entry.fiber.hub_part(token).phase.get() == LocalPhase::Begun {
                mem::forget(entry.fiber);
            }
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("len", &self.len()).finish()
    }
}
