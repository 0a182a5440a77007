//! Keeps stacks for new fibers.
//!
//! There is a last-in first-out list for each size, because the memory of the stack that came
//! back last is most likely still in the cache. To take a stack and to put it back touches only
//! that list, and needs no system call and no lock.
//!
//! Memory goes back to the system in three ways. A stack that comes back when the list is
//! full gives up all of its pages and its place in its mapping. When the hub is idle, the
//! stacks in the list give up all pages but those near their base, except for the [`HOT`]
//! stacks that are taken next. [`Hub::trim`](crate::Hub::trim) takes all pages of all stacks
//! in the list.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::time::Instant;

use super::size::{refused, round_up};
use super::sys::{Source, Stack};

/// The number of stacks, counted from the one that is taken next, that keep all their
/// memory when the hub is idle.
pub(super) const HOT: usize = 32;

/// The memory, in bytes, that the other stacks keep below their base. It is as much as most
/// fibers use.
pub(super) const KEEP: usize = 16 * 1024;

/// Stacks of all sizes for new fibers.
pub(crate) struct StackPool {
    /// The maximum number of stacks of each size that are kept.
    max_cached: usize,
    /// The size that is requested if a caller gives none.
    default_size: usize,
    default: RefCell<Class>,
    /// The other sizes that have been requested. There is at most one for each power of
    /// two.
    others: RefCell<Vec<Class>>,
    /// The number of stacks kept in `others`.
    others_cached: Cell<usize>,
    trims: RefCell<Trims>,
}

impl StackPool {
    pub(crate) fn new(default_size: usize, max_cached: usize) -> StackPool {
        // A size that cannot be rounded cannot be allocated either.
        let rounded = round_up(default_size).unwrap_or(default_size);
        StackPool {
            max_cached,
            default_size,
            default: RefCell::new(Class::new(rounded)),
            others: RefCell::default(),
            others_cached: Cell::new(0),
            trims: RefCell::default(),
        }
    }

    /// Takes a stack of at least `size` bytes, or of the default size. Its memory holds
    /// whatever its previous user left there.
    #[inline]
    pub(crate) fn take(&self, size: Option<usize>) -> io::Result<Stack> {
        match size {
            None => self.default.borrow_mut().take(self.default_size),
            Some(size) => self.take_sized(size),
        }
    }

    fn take_sized(&self, size: usize) -> io::Result<Stack> {
        let Some(rounded) = round_up(size) else {
            return Err(refused(size, "there is not so much address space"));
        };
        self.with_class(rounded, |class| class.take(size))
    }

    /// Puts a stack back.
    #[inline(always)]
    pub(crate) fn put(&self, stack: Stack) {
        let mut default = self.default.borrow_mut();
        if stack.size() == default.size {
            default.put(stack, self.max_cached);
        } else {
            drop(default);
            self.with_class(stack.size(), |class| class.put(stack, self.max_cached));
        }
    }

    fn with_class<R>(&self, size: usize, f: impl FnOnce(&mut Class) -> R) -> R {
        let mut default = self.default.borrow_mut();
        if size == default.size {
            return f(&mut default);
        }
        let mut others = self.others.borrow_mut();
        let known = others.iter().position(|class| class.size == size);
        let place = known.unwrap_or_else(|| {
            others.push(Class::new(size));
            others.len() - 1
        });
        let result = f(&mut others[place]);
        let cached = others.iter().map(|class| class.cached.len()).sum();
        self.others_cached.set(cached);
        result
    }

    /// Exchanges the stacks of the default size that are kept for new fibers. Those that are in use come
    /// back to the pool where they were taken.
    #[cfg(feature = "test-util")]
    pub(crate) fn swap(&self, other: &StackPool) {
        debug_assert_eq!(self.default_size, other.default_size);
        self.default.swap(&other.default);
    }

    /// Returns the number of stacks that are kept for new fibers.
    #[inline]
    pub(crate) fn cached(&self) -> usize {
        self.default.borrow().cached.len() + self.others_cached.get()
    }

    /// Gives back memory that was used and may not be needed soon. Called when the hub is
    /// idle.
    #[inline]
    pub(crate) fn idle(&self) {
        let mut default = self.default.borrow_mut();
        let mut others = self.others.borrow_mut();
        let surplus = default.surplus() + others.iter().map(Class::surplus).sum::<usize>();
        if surplus > 0 {
            let mut trims = self.trims.borrow_mut();
            trims.earn();
            for class in others.iter_mut().chain([&mut *default]) {
                class.trim(&mut trims);
            }
        }
    }

    /// Gives back the memory of all stacks that are not in use. The stacks are kept.
    pub(crate) fn discard_all(&self) {
        let mut others = self.others.borrow_mut();
        for class in others.iter_mut().chain([&mut *self.default.borrow_mut()]) {
            class.cached.iter().for_each(|stack| stack.discard(0));
            class.trimmed = class.cached.len();
        }
    }

    /// Gives back all stacks that are not in use.
    pub(crate) fn clear(&self) {
        self.others.take();
        self.others_cached.set(0);
        let mut default = self.default.borrow_mut();
        let size = default.size;
        *default = Class::new(size);
    }
}

impl fmt::Debug for StackPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackPool")
            .field("default_size", &self.default_size)
            .field("max_cached", &self.max_cached)
            .field("cached", &self.cached())
            .finish_non_exhaustive()
    }
}

/// The stacks of one size.
struct Class {
    /// The size of each stack, in bytes.
    size: usize,
    /// The last stack is taken first.
    cached: Vec<Stack>,
    /// The number of `cached` stacks, from the first, that have given up their memory since
    /// they came back.
    trimmed: usize,
    /// Creates new stacks.
    source: Source,
}

impl Class {
    fn new(size: usize) -> Class {
        Class {
            size,
            cached: Vec::new(),
            trimmed: 0,
            source: Source::new(size),
        }
    }

    /// Takes a stack, or creates one. `wanted` is the requested size, for the error
    /// message.
    #[inline]
    fn take(&mut self, wanted: usize) -> io::Result<Stack> {
        let Some(stack) = self.cached.pop() else {
            return self.source.make(wanted);
        };
        self.trimmed = self.trimmed.min(self.cached.len());
        Ok(stack)
    }

    #[inline]
    fn put(&mut self, stack: Stack, max_cached: usize) {
        debug_assert_eq!(stack.size(), self.size);
        if self.cached.len() < max_cached {
            self.cached.push(stack);
        } else {
            self.source.take_back(stack);
        }
    }

    /// Returns the number of stacks whose memory can be spared.
    #[inline]
    fn surplus(&self) -> usize {
        self.cached.len().saturating_sub(self.trimmed + HOT)
    }

    /// Gives back the memory that can be spared, within the budget of `trims`.
    fn trim(&mut self, trims: &mut Trims) {
        let count = trims.spend(self.surplus());
        for stack in &self.cached[self.trimmed..][..count] {
            stack.discard(KEEP);
        }
        self.trimmed += count;
    }
}

/// The budget of stacks that may be trimmed. Trimming one costs a system call, and memory
/// that is needed again costs page faults. The budget limits trimming to about a hundredth
/// of the time for a hub that is often idle for an instant.
#[derive(Debug, Default)]
struct Trims {
    left: usize,
    earned_at: Option<Instant>,
}

impl Trims {
    /// The number of stacks that a hub may trim for each millisecond since it last earned.
    const PER_MILLISECOND: usize = 10;
    const MAX: usize = 4096;

    fn earn(&mut self) {
        let now = Instant::now();
        let earned = self.earned_at.map_or(Self::MAX, |then| {
            let time = now.saturating_duration_since(then).as_millis();
            usize::try_from(time).map_or(Self::MAX, |ms| ms.saturating_mul(Self::PER_MILLISECOND))
        });
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(Self::MAX);
            self.earned_at = Some(now);
        }
    }

    fn spend(&mut self, wanted: usize) -> usize {
        let count = wanted.min(self.left);
        self.left -= count;
        count
    }
}
