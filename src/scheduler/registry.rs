//! The hubs of this thread, and how code finds them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
#[cfg(feature = "tracing")]
use std::num::NonZeroU64;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime;

use super::end;
use crate::base::thread_end;
#[cfg(feature = "tracing")]
use crate::current::spans;
use crate::current::{place, with_place};
use crate::hub::Core;
#[cfg(unix)]
use crate::hub::Ready;
use crate::shared::{Block, FiberRef, HubFailure, Mailbox, Scheduler};

thread_local! {
    static HUBS: Hubs = const { Hubs::new() };
}

/// The hubs of one thread, at most one per runtime.
struct Hubs {
    /// Created for the first hub.
    by_runtime: RefCell<Option<ByRuntime>>,
    /// The number of hubs after the failed ones were last ended.
    swept_at: Cell<usize>,
}

type ByRuntime = HashMap<runtime::Id, Rc<Core>, BuildHasherDefault<IdHasher>>;

/// Hashes the ID of a runtime, which is a number that the process counts up, for the look-up of each
/// turn.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        // The odd number nearest to 2^64 divided by the golden ratio spreads small numbers, also over the
        // highest bits, which the table compares first.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

impl Hubs {
    const fn new() -> Hubs {
        Hubs {
            by_runtime: RefCell::new(None),
            swept_at: Cell::new(0),
        }
    }
}

impl Hubs {
    /// Leaks the hubs: the thread ends.
    fn leak(&self) {
        let hubs = self.by_runtime.take();
        hubs.iter().flat_map(HashMap::values).for_each(end::leak);
    }
}

impl Drop for Hubs {
    fn drop(&mut self) {
        self.leak();
    }
}

/// The way from fibers and mailboxes on any thread to their hub.
pub(super) struct Registry;

impl Scheduler for Registry {
    #[inline]
    fn wake(&self, fiber: &FiberRef) {
        if with_local(fiber.mailbox(), |core| core.wake(fiber)).is_none() {
            fiber.mailbox().send_wake(fiber);
        }
    }

    fn recycle(&self, mailbox: Arc<Mailbox>, block: Box<Block>) {
        let address = Arc::as_ptr(&mailbox);
        let runtime = mailbox.runtime();
        let mut spare = Some((mailbox, block));
        with_local_at(address, runtime, |core| {
            if core.is_running() {
                core.recycler.keep(&mut spare);
            }
        });
        drop(spare);
    }

    #[cfg(feature = "tracing")]
    fn note_waker(&self, span: NonZeroU64, operation: &'static str) {
        spans::note_waker(span, operation);
    }

    #[cfg(unix)]
    fn poll(&self, mailbox: &Arc<Mailbox>) {
        let here = with_local(mailbox, |core| {
            if core.is_running() {
                core.push(Ready::Poll);
            }
        });
        if here.is_none() {
            mailbox.send_poll();
        }
    }
}

/// Makes a fiber ready, on any thread.
#[inline]
pub(crate) fn wake(fiber: &FiberRef) {
    Registry.wake(fiber);
}

/// Calls `f` with the hub of this mailbox, if this is the hub's thread.
#[inline]
pub(crate) fn with_local<R>(mailbox: &Mailbox, f: impl FnOnce(&Rc<Core>) -> R) -> Option<R> {
    with_local_at(ptr::from_ref(mailbox), mailbox.runtime(), f)
}

/// Like [`with_local`], for the mailbox at this address, whose hub is on this runtime.
#[inline]
fn with_local_at<R>(
    mailbox: *const Mailbox,
    runtime: Option<runtime::Id>,
    f: impl FnOnce(&Rc<Core>) -> R,
) -> Option<R> {
    let is_it = |core: &&Rc<Core>| Arc::as_ptr(&core.mailbox) == mailbox;
    with_place(|place| match place.hub().filter(is_it) {
        Some(core) => Some(f(core)),
        None => with_listed(runtime?, is_it, f),
    })
}

/// Returns the hub of this mailbox, if this is the hub's thread.
pub(crate) fn local(mailbox: &Mailbox) -> Option<Rc<Core>> {
    with_local(mailbox, Rc::clone)
}

/// Calls `f` with the hub that this thread has for the runtime, if `is_it` accepts that hub.
#[inline]
fn with_listed<R>(
    runtime: runtime::Id,
    is_it: impl Fn(&&Rc<Core>) -> bool,
    f: impl FnOnce(&Rc<Core>) -> R,
) -> Option<R> {
    // No borrow is held while `f` runs.
    let core = listed(runtime)?;
    is_it(&&core).then(|| f(&core))
}

/// Returns the hub that this thread has for the runtime.
pub(super) fn listed(runtime: runtime::Id) -> Option<Rc<Core>> {
    HUBS.try_with(|hubs| hubs.by_runtime.borrow().as_ref()?.get(&runtime).cloned())
        .ok()?
}

/// Adds a new hub, after ending hubs that have failed.
pub(super) fn add(core: &Rc<Core>) {
    end_failed();
    thread_end::set_on_end(|| {
        let ends = !place::is_on_stack();
        if ends {
            let _ = HUBS.try_with(Hubs::leak);
        }
        ends
    });
    let _ = HUBS.try_with(|hubs| {
        let mut by_runtime = hubs.by_runtime.borrow_mut();
        let by_runtime = by_runtime.get_or_insert_default();
        by_runtime.insert(core.runtime.id(), core.clone())
    });
}

/// Removes a hub that has ended.
pub(super) fn remove(core: &Rc<Core>) {
    let removed = HUBS.try_with(|hubs| {
        let mut by_runtime = hubs.by_runtime.borrow_mut();
        let by_runtime = by_runtime.as_mut()?;
        let listed = by_runtime.get(&core.runtime.id())?;
        match Rc::ptr_eq(listed, core) {
            true => by_runtime.remove(&core.runtime.id()),
            false => None,
        }
    });
    drop(removed);
}

/// Ends a hub that nothing will drive again. On another thread than the hub's, the hub fails.
pub(super) fn end_for_good(mailbox: &Arc<Mailbox>) {
    let ended = with_local(mailbox, |core| {
        end::end_abruptly(core);
        remove(core);
    });
    if ended.is_none() && !mailbox.has_ended() {
        mailbox.fail(HubFailure::Lost);
    }
}

/// Ends the hubs of this thread that have failed, if there are twice as many hubs as after the last
/// time. So hubs that failed or ended do not accumulate, and making many hubs does not take
/// quadratic time.
fn end_failed() {
    let failed = HUBS.try_with(|hubs| {
        let by_runtime = hubs.by_runtime.borrow();
        let Some(by_runtime) = by_runtime.as_ref() else {
            return Vec::new();
        };
        if by_runtime.len() < 2 * hubs.swept_at.get() {
            return Vec::new();
        }
        let failed = by_runtime.values();
        let failed = failed.filter(|core| core.mailbox.failure().is_some());
        let failed: Vec<_> = failed.cloned().collect();
        hubs.swept_at.set(by_runtime.len() - failed.len());
        failed
    });
    for core in failed.into_iter().flatten() {
        end::end_abruptly(&core);
        remove(&core);
    }
}
