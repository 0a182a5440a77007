//! Slabs: mappings that stacks are cut from.
//!
//! A slab has places for stacks of one size, each with its guard below it. Guards
//! are installed one by one, when a place is used for the first time. A stack that
//! is dropped gives its memory back to the system, and its place to the slab; the
//! guard stays. The slab is unmapped when neither a stack of it nor its
//! source needs it.
//!
//! Slabs grow with the number of stacks that there are, so that a million of them
//! need some forty mappings, and one needs no more address space than it has to. Where
//! a large one cannot be had, a smaller one is tried.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;

use corosensei::stack::StackPointer;
use corosensei::stack::valgrind::ValgrindStackRegistration;

use super::super::extent::Extent;
use super::super::size::refused;
use super::guard::Guards;
use super::layout::GUARD;
use super::limits::MapError;
use super::map::Mapping;

/// The address space of the first slab of a size and, for 64 and for 32 bits, of the
/// largest; unless a single stack needs more.
const FIRST: usize = 16 * 1024 * 1024;
#[cfg(target_pointer_width = "64")]
const LARGEST: usize = 4 * 1024 * 1024 * 1024;
#[cfg(not(target_pointer_width = "64"))]
const LARGEST: usize = 64 * 1024 * 1024;

/// A stack with a guard below it: see [`super::super`].
pub(crate) struct Stack {
    base: NonZeroUsize,
    /// Keeps the memory mapped.
    slab: Rc<Slab>,
}

impl Stack {
    /// Its memory, in bytes.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.slab.size
    }

    #[inline]
    pub(crate) fn extent(&self) -> Extent {
        let base = self.base.get();
        Extent {
            limit: base - self.slab.pitch(),
            base,
        }
    }

    /// Gives back its memory, but for `keep` bytes below its base.
    pub(crate) fn discard(&self, keep: usize) {
        let base = self.base.get();
        debug_assert!(keep <= self.size());
        // SAFETY: by the Idle Stack Invariant nothing that lives is there.
        unsafe { self.slab.memory.discard(base - self.size()..base - keep) };
    }
}

// SAFETY: `base` is aligned to pages, and so is `limit`, since sizes and guards are
// whole pages. Below is a guard, which `limit` includes (Guard Invariant). There are
// at least 64 KiB of memory that stay mapped and are nobody else's (Mapping and
// Single Owner Invariant).
unsafe impl corosensei::stack::Stack for Stack {
    #[inline]
    fn base(&self) -> StackPointer {
        self.base
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        let limit = self.extent().limit;
        StackPointer::new(limit).expect("a mapping does not begin at address zero")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.discard(0);
        self.slab.take_back(self.base.get());
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("base", &format_args!("{:#x}", self.base))
            .field("size", &self.size())
            .finish()
    }
}

/// A mapping that stacks of one size are cut from.
struct Slab {
    /// Valgrind knows each stack; it forgets them before they are unmapped.
    registered: RefCell<Vec<ValgrindStackRegistration>>,
    memory: Mapping,
    /// Of a stack, without its guard.
    size: usize,
    guards: Guards,
    /// How many places there are.
    places: usize,
    /// How many of these, from the first, have ever been used: they have guards.
    begun: Cell<usize>,
    /// Those that were used and are free, the last first.
    free: RefCell<Vec<u32>>,
}

impl Slab {
    /// Maps a slab of at most `places`, which is at least 1.
    fn map(size: usize, places: usize, guards: Guards) -> Result<Slab, MapError> {
        // If that is not exact, it is more than can be had.
        let pitch = size.saturating_add(GUARD);
        let mut places = places.min(u32::MAX as usize);
        let memory = loop {
            let mapped = match places.checked_mul(pitch) {
                Some(len) => Mapping::new(len),
                None => Err(io::ErrorKind::OutOfMemory.into()),
            };
            match mapped {
                Ok(memory) => break memory,
                Err(e) if places == 1 => return Err(MapError::Space(pitch, e)),
                Err(_) => places /= 2,
            }
        };
        #[cfg(test)]
        SLABS.set(SLABS.get() + 1);
        Ok(Slab {
            registered: RefCell::default(),
            memory,
            size,
            guards,
            places,
            begun: Cell::new(0),
            free: RefCell::default(),
        })
    }

    /// How far a place is from the next.
    #[inline]
    fn pitch(&self) -> usize {
        self.size + GUARD
    }

    /// A stack of this slab; `None` if all are in use.
    fn cut(self: &Rc<Self>) -> Result<Option<Stack>, MapError> {
        let free = self.free.borrow_mut().pop();
        let place = match free {
            Some(place) => place as usize,
            None if self.begun.get() < self.places => self.begin()?,
            None => return Ok(None),
        };
        let base = self.memory.start() + (place + 1) * self.pitch();
        let base = NonZeroUsize::new(base).expect("a mapping does not end at address zero");
        Ok(Some(Stack {
            base,
            slab: self.clone(),
        }))
    }

    /// Puts a guard into the next place that was never used, which is used now.
    fn begin(&self) -> Result<usize, MapError> {
        let place = self.begun.get();
        let limit = self.memory.start() + place * self.pitch();
        // SAFETY: the guard is part of our mapping. There was no stack in this place
        // yet, and none has its memory where another has its guard.
        unsafe { self.guards.install(limit, GUARD) }.map_err(MapError::Guard)?;
        let memory = (limit + GUARD) as *mut u8;
        let registration = ValgrindStackRegistration::new(memory, self.size);
        self.registered.borrow_mut().push(registration);
        self.begun.set(place + 1);
        Ok(place)
    }

    /// The stack with this base was dropped.
    fn take_back(&self, base: usize) {
        let place = (base - self.memory.start()) / self.pitch() - 1;
        debug_assert!(place < self.begun.get());
        self.free.borrow_mut().push(place as u32);
    }
}

#[cfg(test)]
thread_local! {
    /// How many slabs of this thread are mapped.
    pub(super) static SLABS: Cell<usize> = const { Cell::new(0) };
}

#[cfg(test)]
impl Drop for Slab {
    fn drop(&mut self) {
        SLABS.set(SLABS.get() - 1);
    }
}

/// Makes stacks of one size.
pub(in crate::stack) struct Source {
    size: usize,
    slabs: Vec<Rc<Slab>>,
    /// The slab that had a free place last.
    at: usize,
}

impl Source {
    pub(in crate::stack) fn new(size: usize) -> Source {
        Source {
            size,
            slabs: Vec::new(),
            at: 0,
        }
    }

    /// A stack whose memory holds zeroes; `wanted` is what was asked for, for the
    /// error.
    #[cold]
    pub(in crate::stack) fn make(&mut self, wanted: usize) -> io::Result<Stack> {
        self.try_make()
            .map_err(|error| refused(wanted, &error.explain()))
    }

    fn try_make(&mut self) -> Result<Stack, MapError> {
        let mut failed = None;
        for _ in 0..self.slabs.len() {
            self.at %= self.slabs.len();
            match self.slabs[self.at].cut() {
                Ok(Some(stack)) => return Ok(stack),
                Ok(None) => {}
                // Another may have a place that has its guard already.
                Err(e) => failed = Some(e),
            }
            self.at += 1;
        }
        if let Some(e) = failed {
            return Err(e);
        }
        let slab = Rc::new(self.map()?);
        let stack = slab.cut()?;
        self.at = self.slabs.len();
        self.slabs.push(slab);
        Ok(stack.expect("a new slab has a free place"))
    }

    /// Maps one more slab, as large as all that there are.
    fn map(&self) -> Result<Slab, MapError> {
        let pitch = self.size.saturating_add(GUARD);
        let first = (FIRST / pitch).max(1);
        let largest = (LARGEST / pitch).max(1);
        let places: usize = self.slabs.iter().map(|slab| slab.places).sum();
        let guards = Guards::available().map_err(|e| MapError::Space(pitch, e))?;
        Slab::map(self.size, places.clamp(first, largest), guards)
    }

    /// Takes back a stack that is not to be kept. If nothing of its slab is in use
    /// any more, the slab goes too.
    #[cold]
    pub(in crate::stack) fn take_back(&mut self, stack: Stack) {
        let slab = Rc::as_ptr(&stack.slab);
        drop(stack);
        // It may be of another source, or of none that still exists.
        let place = self.slabs.iter().position(|s| Rc::as_ptr(s) == slab);
        if let Some(place) = place {
            if Rc::strong_count(&self.slabs[place]) == 1 {
                self.slabs.swap_remove(place);
            }
        }
    }
}
