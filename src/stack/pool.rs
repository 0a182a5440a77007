//! The stacks that are kept for new fibers.
//!
//! For each size there is a list, last in, first out: the stack that came back last
//! has the warmest memory. To take one and to put it back touches that list only: no
//! system call, no lock.
//!
//! Memory goes back to the system in two ways. A stack that comes back when the
//! list is full gives up all of its pages, and its place in its mapping. And when
//! the hub has nothing to do, the stacks in the list give up all but their topmost
//! pages, apart from the [`HOT`] that come next.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::time::Instant;

use super::size::{refused, round_up};
use super::sys::{Source, Stack};

/// How many stacks, those that would be taken next, keep all their memory when the
/// hub is idle.
pub(super) const HOT: usize = 32;

/// What the others keep at their top, in bytes: as much as most fibers use.
pub(super) const KEEP: usize = 16 * 1024;

/// Stacks for new fibers, of whatever size.
pub(crate) struct StackPool {
    /// How many stacks of each size are kept.
    max_cached: usize,
    /// The size that is asked for if none is given.
    default_size: usize,
    default: RefCell<Class>,
    /// The other sizes that were ever asked for: one for each power of two at most.
    others: RefCell<Vec<Class>>,
    /// How many stacks of these are kept.
    others_cached: Cell<usize>,
    trims: RefCell<Trims>,
}

impl StackPool {
    pub(crate) fn new(default_size: usize, max_cached: usize) -> StackPool {
        // What cannot be rounded cannot be had either.
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

    /// A stack of at least `size` bytes, or of the default size. What is in its
    /// memory is left from whoever had it before.
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

    /// Takes back a stack.
    #[inline]
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

    /// How many stacks wait for new fibers.
    #[inline]
    pub(crate) fn cached(&self) -> usize {
        self.default.borrow().cached.len() + self.others_cached.get()
    }

    /// The hub has nothing to do: a good time to give back memory that was used
    /// and may not be needed soon.
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

    /// Gives back all that is not in use.
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
    /// What each stack has, in bytes.
    size: usize,
    /// The last is taken first.
    cached: Vec<Stack>,
    /// How many of these, from the first, have given up their memory since they
    /// came back.
    trimmed: usize,
    /// Makes new ones.
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

    /// A stack; `wanted` is what was asked for, for the error.
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

    /// How many stacks have memory that can be spared.
    #[inline]
    fn surplus(&self) -> usize {
        self.cached.len().saturating_sub(self.trimmed + HOT)
    }

    /// Gives back what can be spared, as far as that is allowed.
    fn trim(&mut self, trims: &mut Trims) {
        let count = trims.spend(self.surplus());
        for stack in &self.cached[self.trimmed..][..count] {
            stack.discard(KEEP);
        }
        self.trimmed += count;
    }
}

/// How many stacks may be trimmed: each costs a system call, and memory that is
/// needed again has to be had anew. For a hub that is idle again and again, for an
/// instant, that is limited to about a hundredth of the time.
#[derive(Debug, Default)]
struct Trims {
    left: usize,
    earned_at: Option<Instant>,
}

impl Trims {
    /// A hub that was busy for this long may trim as many stacks as there are.
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
