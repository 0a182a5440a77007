//! The table: the fibers of a hub that have not ended.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::rc::Rc;

use slab::Slab;

use super::core::Core;
use crate::fiber::{self, FiberRef, Neighbour, Phase, Stage};
use crate::join::Delivery;
use crate::scope::ScopeData;
use crate::stack::Stack;
use crate::switch::Coroutine;

/// Holds each fiber from when it arrives until its stack has returned or was left for
/// ever, and as long as it is in the ready queue: the Table Invariant of [`FiberRef`].
#[derive(Default)]
pub(super) struct Table {
    live: RefCell<Slab<Live>>,
    /// How many there have ever been.
    added: Cell<u64>,
}

/// What a fiber that begins uses of its stack, in bytes: about so much.
const FIRST_USED: usize = 512;

struct Live {
    fiber: FiberRef,
    /// The scope that waits for its end.
    scope: Option<Rc<ScopeData>>,
}

impl Core {
    /// Takes a new fiber that runs `f`, and queues it if it has been started.
    #[inline]
    #[allow(unsafe_code)]
    pub(crate) fn add<F, T>(
        self: &Rc<Self>,
        delivery: Delivery<T>,
        stack: Stack,
        measure: bool,
        f: F,
    ) where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        // SAFETY: nothing is borrowed.
        unsafe { self.add_unchecked(delivery, stack, measure, None, f) }
    }

    /// As [`add`](Core::add), for a fiber that borrows, in a scope.
    ///
    /// # Safety
    ///
    /// What `f` borrows must be valid until the fiber's stack has returned; if it is
    /// left before, for ever.
    #[inline]
    #[allow(unsafe_code)]
    pub(crate) unsafe fn add_unchecked<F, T>(
        self: &Rc<Self>,
        delivery: Delivery<T>,
        stack: Stack,
        measure: bool,
        scope: Option<Rc<ScopeData>>,
        f: F,
    ) where
        F: FnOnce() -> T,
    {
        if measure || self.config.measure_stacks {
            self.depths.begin(delivery.fiber(), &stack);
        }
        let base = stack.extent().base;
        // SAFETY: what is lent is for the stack only, which is run only while the table
        // has the fiber: Table Invariant.
        let (fiber, lent) = unsafe { delivery.split() };
        // SAFETY: as above.
        let body = unsafe { fiber::body(self, lent, f) };
        // SAFETY: as promised by the caller. Each fiber in the table is run before it
        // leaves it, if only to drop `f`, or is left for ever.
        let coroutine = unsafe { Coroutine::new_unchecked(stack, body) };
        // SAFETY: Table Invariant: it is used when the fiber is in the table, before
        // anything else can run.
        let added = unsafe { FiberRef::lend(fiber.as_ptr()) };
        {
            let mut live = self.table.live.borrow_mut();
            let place = live.vacant_entry();
            let side = fiber.side(self);
            side.berth.put(coroutine);
            side.stage.set(Stage::New);
            side.slot
                .set(u32::try_from(place.key()).expect("fewer than 2^32 fibers live"));
            side.note_top(base - FIRST_USED);
            self.table.added.set(self.table.added.get() + 1);
            place.insert(Live { fiber, scope });
        }
        if added.phase() == Phase::Started {
            self.wake(&added);
        }
    }

    /// Takes a fiber that is over out of the table, now or, if it still has an
    /// entry in the ready queue, with that entry; and tells whoever waits for it.
    #[inline]
    pub(super) fn retire(
        self: &Rc<Self>,
        fiber: &FiberRef,
        tell_scope: impl FnOnce(&ScopeData, FiberRef),
    ) {
        let side = fiber.side(self);
        side.stage.set(Stage::Over);
        let over = {
            let mut live = self.table.live.borrow_mut();
            if side.queued.get() {
                let live = &mut live[side.slot.get() as usize];
                Live {
                    fiber: live.fiber.clone(),
                    scope: live.scope.take(),
                }
            } else {
                live.remove(side.slot.get() as usize)
            }
        };
        self.tell_neighbour(&over.fiber);
        over.fiber.tell_joiner();
        if let Some(scope) = over.scope {
            tell_scope(&scope, over.fiber);
        }
        self.check_closed();
    }

    /// Wakes the fiber of this hub that waits for this one.
    #[inline]
    pub(crate) fn tell_neighbour(&self, fiber: &FiberRef) {
        let joiner = fiber.side(self).joiner.take();
        if let Some(joiner) = joiner.and_then(|joiner| self.table.find(joiner)) {
            self.wake(&joiner);
        }
    }
}

impl Table {
    /// The fiber, if it is still there: for use at once.
    #[inline]
    #[allow(unsafe_code)]
    fn find(&self, neighbour: Neighbour) -> Option<ManuallyDrop<FiberRef>> {
        let live = self.live.borrow();
        let found = &live.get(neighbour.slot as usize)?.fiber;
        // SAFETY: Table Invariant: it is in the table, and to wake it, which is all that
        // is done, takes nothing out.
        (found.id() == neighbour.id).then(|| unsafe { FiberRef::lend(found.as_ptr()) })
    }

    /// A fiber that is over has left the ready queue.
    pub(super) fn remove(&self, slot: u32) {
        let over = self.live.borrow_mut().remove(slot as usize);
        drop(over);
    }

    /// How many fibers there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.live.borrow().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many fibers there have ever been.
    pub(super) fn added(&self) -> u64 {
        self.added.get()
    }

    /// The fibers, in no order.
    pub(super) fn fibers(&self) -> Vec<FiberRef> {
        let live = self.live.borrow();
        live.iter().map(|(_, live)| live.fiber.clone()).collect()
    }

    /// Whether `is_so` holds for each fiber.
    pub(super) fn all(&self, is_so: impl Fn(&FiberRef) -> bool) -> bool {
        let live = self.live.borrow();
        live.iter().all(|(_, live)| is_so(&live.fiber))
    }

    /// The names of the fibers that have not ended and that `choose` takes.
    pub(super) fn names_of(&self, choose: impl Fn(&FiberRef) -> bool) -> Vec<String> {
        let mut fibers = self.fibers();
        fibers.retain(|fiber| matches!(fiber.phase(), Phase::New | Phase::Started));
        fibers.retain(|fiber| choose(fiber));
        fibers.iter().map(|fiber| fiber.name().to_owned()).collect()
    }

    /// Lets go of every fiber. Live Stack Invariant: those that are suspended are
    /// leaked. Those that run are there for ever, since their code may go on: to end
    /// the process in a fiber ends its thread's variables on that fiber's stack.
    pub(super) fn clear(&self, core: &Core) {
        for (_, live) in self.live.take() {
            if live.fiber.side(core).berth.is_out() {
                mem::forget(live.fiber);
            }
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("len", &self.len()).finish()
    }
}
