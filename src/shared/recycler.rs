//! [`Recycler`]: allocations of ended fibers, kept for new ones.
//!
//! A fiber that does little work spends much of its time on its allocation, and on its reference to
//! the mailbox, which is counted atomically. The hub therefore keeps some allocations, each with
//! its reference to the mailbox.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use super::block::Block;
use super::mailbox::Mailbox;
use super::result::{Memory, ResultReceiver, ResultSender, result_channel, result_channel_in};
use super::{FiberId, FiberRef, Origin, Start};

/// The maximum number of allocations that are kept: as many as stacks are, and a sixteenth of the memory
/// that these take at least. (Measured with a thousand fibers that are spawned and joined: a fifth of the
/// time went to the allocator, which is slow where a line has to be aligned.)
const KEPT: usize = 1024;

/// Whether allocations are kept. They are not under a sanitizer, so that it detects uses after the
/// end, nor in the models, which count what is freed.
const KEEPS: bool = !cfg!(any(switchback_no_spares, switchback_loom));

/// Allocations of fibers whose result is small.
pub(crate) struct Recycler(RefCell<Vec<Spare>>);

/// The remains of an ended fiber: its memory and its reference to the mailbox.
pub(crate) type Spare = (Arc<Mailbox>, Box<Block>);

impl Default for Recycler {
    fn default() -> Recycler {
        // The capacity never grows, so to keep an allocation allocates nothing.
        Recycler(RefCell::new(Vec::with_capacity(KEPT)))
    }
}

impl Recycler {
    /// Like [`result_channel`], for the hub that owns this recycler.
    #[inline(always)]
    pub(crate) fn result_channel<T>(
        &self,
        mailbox: &Arc<Mailbox>,
        id: FiberId,
        name: Option<Box<str>>,
        start: Start,
        origin: Origin,
    ) -> (FiberRef, ResultSender<T>, ResultReceiver<T>) {
        if ResultReceiver::<T>::is_recycled() {
            let spare = self.0.borrow_mut().pop();
            if let Some((mailbox, block)) = spare {
                return result_channel_in(
                    Memory::from_block(block),
                    mailbox,
                    id,
                    name,
                    start,
                    origin,
                );
            }
        }
        result_channel(mailbox.clone(), id, name, start, origin)
    }

    /// Keeps the remains of a fiber of the hub, if there is room.
    #[inline]
    pub(crate) fn keep(&self, spare: &mut Option<Spare>) {
        let mut kept = self.0.borrow_mut();
        if KEEPS && kept.len() < KEPT {
            // `extend` would be a call.
            if let Some(spare) = spare.take() {
                kept.push(spare);
            }
        }
    }

    /// Frees everything that is kept.
    pub(crate) fn trim(&self) {
        let empty = Vec::with_capacity(KEPT);
        let kept = self.0.replace(empty);
        drop(kept);
    }

    /// Frees everything that is kept, at the end of the hub.
    pub(crate) fn clear(&self) {
        let kept = self.0.take();
        drop(kept);
    }
}

impl fmt::Debug for Recycler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recycler")
            .field("kept", &self.0.borrow().len())
            .finish()
    }
}
