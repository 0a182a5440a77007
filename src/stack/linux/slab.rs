//! Slabs: mappings that stacks are cut from.
//!
//! A slab has places for stacks of one size, each with its guard below it. A guard is
//! installed when its place is first used. A stack that is dropped gives its memory back to
//! the system and its place to the slab; the guard stays. The slab is unmapped when neither
//! a stack of it nor its source needs it.
//!
//! Slabs grow with the number of stacks, so that a million stacks need some forty mappings,
//! while a single stack needs little address space. If a large slab cannot be mapped, a
//! smaller one is tried.
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
use crate::base::CACHE_LINE;

/// The address space of the first slab of a size, and of the largest slab on 64-bit and on
/// 32-bit targets. A slab is larger only if a single stack needs more.
const FIRST: usize = 16 * 1024 * 1024;
#[cfg(target_pointer_width = "64")]
const LARGEST: usize = 4 * 1024 * 1024 * 1024;
#[cfg(not(target_pointer_width = "64"))]
const LARGEST: usize = 64 * 1024 * 1024;

/// A stack with a guard below it. See [`super::super`].
pub(crate) struct Stack {
    /// Where a coroutine begins, which is less than a small page below the base: see [`colour`].
    root: NonZeroUsize,
    /// Keeps the memory mapped.
    slab: Rc<Slab>,
}

impl Stack {
    /// Returns the size of the memory, in bytes.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.slab.size
    }

    /// Returns the address where a coroutine begins, from which the stack grows down.
    #[inline]
    pub(crate) fn root(&self) -> usize {
        self.root.get()
    }

    /// Returns the address just above the memory, which is page-aligned.
    #[inline]
    fn base(&self) -> usize {
        self.root.get().next_multiple_of(SMALL_PAGE)
    }

    #[inline]
    pub(crate) fn extent(&self) -> Extent {
        let base = self.base();
        Extent {
            limit: base - self.slab.pitch(),
            base,
        }
    }

    /// Gives back the memory except for the `keep` bytes below the base.
    pub(crate) fn discard(&self, keep: usize) {
        let base = self.base();
        debug_assert!(keep <= self.size());
        // SAFETY: by the Idle Stack Invariant the range holds no live frames.
        unsafe { self.slab.memory.discard(base - self.size()..base - keep) };
    }
}

// SAFETY: `root` is aligned to a cache line, and `limit` to a page, because sizes and guards are
// whole pages. The guard lies at the bottom, and `limit` includes it (Guard Invariant). At least
// 64 KiB of memory, less a colour, stay mapped and belong to this stack alone (Mapping and Single
// Owner Invariant).
unsafe impl corosensei::stack::Stack for Stack {
    #[inline]
    fn base(&self) -> StackPointer {
        self.root
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
        self.slab.take_back(self.base());
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("base", &format_args!("{:#x}", self.base()))
            .field("size", &self.size())
            .finish()
    }
}

/// Returns how far below its base a stack begins that is the `n`th of its size.
///
/// If all stacks began at the same offset in their page, the lines that their fibers use would compete
/// for few sets of the processor's caches: a thousand stacks for 512 lines of a cache of 2 MiB. So the
/// first stacks begin at different lines, in turn. The others all begin at the base, since with so many
/// stacks no line is in the cache when it is needed, and the page tables matter more. (Measured with
/// fibers that give way: a thousand are twice as fast; three thousand would be a third slower if all were
/// coloured.)
fn colour(n: usize) -> usize {
    const COLOURED: usize = 1024;
    const COLOURS: usize = 32;
    match n < COLOURED {
        true => n % COLOURS * CACHE_LINE,
        false => 0,
    }
}

/// A size that every page is a multiple of. It is larger than any [`colour`].
const SMALL_PAGE: usize = 4096;

/// A mapping that stacks of one size are cut from.
struct Slab {
    /// The registrations of the stacks with valgrind. They are dropped before the memory is
    /// unmapped.
    registered: RefCell<Vec<ValgrindStackRegistration>>,
    memory: Mapping,
    /// The size of a stack, without its guard.
    size: usize,
    guards: Guards,
    /// The number of places in the slabs that were mapped before.
    before: usize,
    /// The number of places.
    places: usize,
    /// The number of places, from the first, that have ever been used. These have guards.
    begun: Cell<usize>,
    /// The used places that are free. The last is reused first.
    free: RefCell<Vec<u32>>,
}

impl Slab {
    /// Maps a slab of at most `places` stacks, after slabs of `before`. `places` is at least 1.
    fn map(size: usize, before: usize, places: usize, guards: Guards) -> Result<Slab, MapError> {
        // A sum that saturates is more than can be mapped.
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
            before,
            places,
            begun: Cell::new(0),
            free: RefCell::default(),
        })
    }

    /// Returns the distance between two places.
    #[inline]
    fn pitch(&self) -> usize {
        self.size + GUARD
    }

    /// Returns a stack of this slab, or `None` if all are in use.
    fn cut(self: &Rc<Self>) -> Result<Option<Stack>, MapError> {
        let free = self.free.borrow_mut().pop();
        let place = match free {
            Some(place) => place as usize,
            None if self.begun.get() < self.places => self.begin()?,
            None => return Ok(None),
        };
        let base = self.memory.start() + (place + 1) * self.pitch();
        let root = NonZeroUsize::new(base - colour(self.before + place));
        Ok(Some(Stack {
            root: root.expect("a mapping does not end at address zero"),
            slab: self.clone(),
        }))
    }

    /// Installs a guard in the next unused place, and returns the place.
    fn begin(&self) -> Result<usize, MapError> {
        let place = self.begun.get();
        let limit = self.memory.start() + place * self.pitch();
        // SAFETY: the guard is part of our mapping. This place has not held a stack yet,
        // and no stack has its memory where another has its guard.
        unsafe { self.guards.install(limit, GUARD) }.map_err(MapError::Guard)?;
        let memory = (limit + GUARD) as *mut u8;
        let registration = ValgrindStackRegistration::new(memory, self.size);
        self.registered.borrow_mut().push(registration);
        self.begun.set(place + 1);
        Ok(place)
    }

    /// Takes back the place of the stack with this base, which was dropped.
    fn take_back(&self, base: usize) {
        let place = (base - self.memory.start()) / self.pitch() - 1;
        debug_assert!(place < self.begun.get());
        self.free.borrow_mut().push(place as u32);
    }
}

#[cfg(test)]
thread_local! {
    /// The number of slabs of this thread that are mapped.
    pub(super) static SLABS: Cell<usize> = const { Cell::new(0) };
}

#[cfg(test)]
impl Drop for Slab {
    fn drop(&mut self) {
        SLABS.set(SLABS.get() - 1);
    }
}

/// Creates stacks of one size.
pub(in crate::stack) struct Source {
    size: usize,
    slabs: Vec<Rc<Slab>>,
    /// The index of the slab that last had a free place.
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

    /// Creates a stack whose memory holds zeroes. `wanted` is the requested size, for the
    /// error message.
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
                // Another slab may have a free place with a guard.
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

    /// Maps another slab, as large as all existing ones together.
    fn map(&self) -> Result<Slab, MapError> {
        let pitch = self.size.saturating_add(GUARD);
        let first = (FIRST / pitch).max(1);
        let largest = (LARGEST / pitch).max(1);
        let places: usize = self.slabs.iter().map(|slab| slab.places).sum();
        let guards = Guards::available().map_err(|e| MapError::Space(pitch, e))?;
        Slab::map(self.size, places, places.clamp(first, largest), guards)
    }

    /// Takes back a stack that is not kept. If nothing of its slab is in use any more, the
    /// slab is dropped too.
    #[cold]
    pub(in crate::stack) fn take_back(&mut self, stack: Stack) {
        let slab = Rc::as_ptr(&stack.slab);
        drop(stack);
        // The stack may come from another source, which may no longer exist.
        let place = self.slabs.iter().position(|s| Rc::as_ptr(s) == slab);
        if let Some(place) = place {
            if Rc::strong_count(&self.slabs[place]) == 1 {
                self.slabs.swap_remove(place);
            }
        }
    }
}
