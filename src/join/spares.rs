//! What fibers of a hub leave when they are gone, for its new ones.
//!
//! A fiber that does little spends a good part of its time on its allocation, and on its
//! reference to the part of the hub that other threads see, which is counted by atomics. So
//! the hub keeps some allocations with the references in them.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use super::packet::{Delivery, Memory, Receipt, Whole, packet, packet_in};
use crate::fiber::{FiberId, Start};
use crate::hub::{Shared, registry};

/// How many are kept: about as many fibers as one fiber has at a time that does its work
/// in others.
const KEPT: usize = 64;

/// Under a sanitizer memory is not used again, so that it sees who comes too late. The
/// models count what is freed.
const KEEPS: bool = !cfg!(any(switchback_no_spares, switchback_loom));

/// The allocations of fibers whose result is not larger than a word.
pub(crate) struct Spares(RefCell<Vec<Spare>>);

/// What a fiber leaves.
pub(super) struct Spare {
    pub(super) memory: Memory<usize>,
    pub(super) hub: Arc<Shared>,
}

impl Default for Spares {
    fn default() -> Spares {
        // It does not grow: to keep one more allocates nothing.
        Spares(RefCell::new(Vec::with_capacity(KEPT)))
    }
}

impl Spares {
    /// Makes a fiber of the `hub` whose spares these are.
    #[inline]
    pub(crate) fn packet<T>(
        &self,
        hub: &Arc<Shared>,
        id: FiberId,
        name: Option<Box<str>>,
        start: Start,
    ) -> (Delivery<T>, Receipt<T>) {
        if Whole::<T>::fits::<usize>() {
            let spare = self.0.borrow_mut().pop();
            if let Some(Spare { memory, hub }) = spare {
                return packet_in(Whole::reuse(memory), hub, id, name, start);
            }
        }
        packet(hub.clone(), id, name, start)
    }

    /// Keeps what the fiber of a hub has left, or drops it.
    #[inline]
    pub(super) fn keep(spare: Spare) {
        let hub = Arc::as_ptr(&spare.hub);
        let mut spare = Some(spare);
        if KEEPS {
            registry::with_local_at(hub, |core| {
                let mut kept = core.spares.0.borrow_mut();
                if core.is_running() && kept.len() < KEPT {
                    kept.extend(spare.take());
                }
            });
        }
        drop(spare);
    }

    /// The hub has ended: gives back all.
    pub(crate) fn clear(&self) {
        let kept = self.0.take();
        drop(kept);
    }
}

impl fmt::Debug for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spares")
            .field("kept", &self.0.borrow().len())
            .finish()
    }
}
