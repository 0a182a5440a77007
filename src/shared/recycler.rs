//! [`Recycler`]: the allocations that ended fibers leave to new ones.
//!
//! A fiber that does little spends a good part of its time on its allocation, and on its reference
//! to the mailbox, which is counted by atomics. So the hub keeps some allocations with the
//! references in them.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use super::mailbox::Mailbox;
use super::result::{Memory, ResultReceiver, ResultSender, result_channel, result_channel_in};
use super::{FiberId, FiberRef, Start};

/// How many are kept: about as many fibers as a fiber has at a time that does its work in others.
const KEPT: usize = 64;

/// Under a sanitizer memory is not used again, so that it sees a use after the end. The models
/// count what is freed.
const KEEPS: bool = !cfg!(any(switchback_no_spares, switchback_loom));

/// The allocations of fibers whose result is not larger than a word.
pub(crate) struct Recycler(RefCell<Vec<Spare>>);

/// What an ended fiber leaves: a [`Memory<usize>`](Memory), and its reference to the mailbox.
type Spare = (Arc<Mailbox>, Box<dyn Any>);

impl Default for Recycler {
    fn default() -> Recycler {
        // It does not grow: keeping one more allocates nothing.
        Recycler(RefCell::new(Vec::with_capacity(KEPT)))
    }
}

impl Recycler {
    /// As [`result_channel`], for the hub that this is part of.
    #[inline]
    pub(crate) fn result_channel<T>(
        &self,
        mailbox: &Arc<Mailbox>,
        id: FiberId,
        name: Option<Box<str>>,
        start: Start,
    ) -> (FiberRef, ResultSender<T>, ResultReceiver<T>) {
        if ResultReceiver::<T>::is_recycled() {
            let spare = self.0.borrow_mut().pop();
            if let Some((mailbox, memory)) = spare {
                if let Ok(memory) = memory.downcast() {
                    return result_channel_in(Memory::from_word(memory), mailbox, id, name, start);
                }
            }
        }
        result_channel(mailbox.clone(), id, name, start)
    }

    /// Keeps what a fiber of the hub has left; gives it back if there is no room for it.
    #[inline]
    pub(crate) fn keep(&self, mailbox: Arc<Mailbox>, memory: Box<dyn Any>) -> Option<Spare> {
        let mut kept = self.0.borrow_mut();
        if KEEPS && kept.len() < KEPT {
            kept.push((mailbox, memory));
            return None;
        }
        Some((mailbox, memory))
    }

    /// Frees all that is kept: the hub has ended.
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
