//! Counts every object, and knows on whose stack it lies.

use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What keeps an object alive. One that is left over at the end of a round is a
/// leak unless this is something that was lost or forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Async code or the driver itself: nothing excuses a leak.
    Nobody,
    /// The stack of this actor.
    Stack(usize),
    /// The result, or the panic, of this actor: with it until it is taken.
    Result(usize),
    /// Something that is forgotten on purpose, or left with a thread that ends.
    Forgotten,
    /// The buffer of this channel.
    Channel(usize),
}

/// Every object of one round.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    objects: Mutex<Vec<Object>>,
    faults: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Object {
    owner: Owner,
    made_at: u32,
    dropped: bool,
}

impl Ledger {
    #[track_caller]
    pub(crate) fn count(self: &Arc<Self>, owner: Owner) -> Counted {
        let mut objects = lock(&self.objects);
        objects.push(Object {
            owner,
            made_at: Location::caller().line(),
            dropped: false,
        });
        Counted {
            ledger: self.clone(),
            key: objects.len() - 1,
        }
    }

    /// How many objects there ever were.
    pub(crate) fn created(&self) -> usize {
        lock(&self.objects).len()
    }

    /// The owners of the objects that have not been dropped, and the lines that
    /// made these.
    pub(crate) fn left(&self) -> Vec<(Owner, u32)> {
        let objects = lock(&self.objects);
        let left = objects.iter().filter(|object| !object.dropped);
        left.map(|object| (object.owner, object.made_at)).collect()
    }

    /// Something that the library must not do has happened. It is not a panic,
    /// which would be one more event for the fibers.
    pub(crate) fn fault(&self, what: String) {
        lock(&self.faults).push(what);
    }

    pub(crate) fn is_faultless(&self) -> bool {
        lock(&self.faults).is_empty()
    }

    pub(crate) fn take_faults(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.faults))
    }
}

/// An object that must be dropped exactly once.
#[derive(Debug)]
pub(crate) struct Counted {
    ledger: Arc<Ledger>,
    key: usize,
}

impl Counted {
    /// The object has been moved.
    pub(crate) fn moved_to(&self, owner: Owner) {
        let dropped = {
            let mut objects = lock(&self.ledger.objects);
            let object = &mut objects[self.key];
            object.owner = owner;
            object.dropped
        };
        if dropped {
            self.ledger
                .fault(format!("object {} was used after its drop", self.key));
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let twice = {
            let mut objects = lock(&self.ledger.objects);
            std::mem::replace(&mut objects[self.key].dropped, true)
        };
        if twice {
            self.ledger
                .fault(format!("object {} was dropped twice", self.key));
        }
    }
}

/// What the driver panics with.
#[derive(Debug)]
pub(crate) struct Payload(pub(crate) Counted);

/// Objects are dropped while threads panic: poisoning means nothing here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
