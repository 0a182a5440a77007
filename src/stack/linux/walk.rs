//! Random walks over a pool, checked against a model of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

use super::super::extent::Extent;
use super::super::pool::{HOT, KEEP, StackPool};
use super::super::size::MIN_SIZE;
use super::guard::{FORCED, Guards};
use super::layout::memory;
use super::map::{page_size, used};
use super::slab::{SLABS, Stack};

const DEFAULT: usize = 100_000;
const ROUNDED: usize = 128 * 1024;

/// Pseudo-random numbers, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((self.0 >> 33) % n as u64) as usize
    }
}

/// A stack that was taken, and the words written to it.
struct Taken {
    stack: Stack,
    words: BTreeMap<usize, u64>,
}

impl Taken {
    fn new(stack: Stack) -> Taken {
        Taken {
            stack,
            words: BTreeMap::new(),
        }
    }

    fn memory(&self) -> Range<usize> {
        memory(self.stack.extent())
    }

    /// Writes to the topmost word, and to a random one.
    fn write(&mut self, random: &mut Random) {
        let memory = self.memory();
        let depth = random.below(self.stack.size() / 8) * 8 + 8;
        for address in [memory.end - 8, memory.end - depth] {
            let value = random.below(usize::MAX) as u64 | 1;
            write(address, value);
            self.words.insert(address, value);
        }
    }

    fn check(&self) {
        for (address, value) in &self.words {
            assert_eq!(read(*address), *value, "somebody else wrote to the stack");
        }
    }
}

#[allow(unsafe_code)]
fn write(address: usize, value: u64) {
    let place = address as *mut u64;
    // SAFETY: the address is in the memory of a stack that was taken.
    unsafe { place.write(value) };
}

#[allow(unsafe_code)]
fn read(address: usize) -> u64 {
    let place = address as *const u64;
    // SAFETY: the address is in the memory of a stack that was taken or lost.
    unsafe { place.read() }
}

/// Returns whether an access to an address faults.
#[allow(unsafe_code)]
fn faults(address: usize) -> bool {
    thread_local! {
        static SOCKETS: (UnixStream, UnixStream) = UnixStream::pair().unwrap();
    }
    SOCKETS.with(|(from, to)| {
        // SAFETY: the kernel reads a byte at the address, or returns an error.
        let result = unsafe { libc::write(to.as_raw_fd(), address as *const _, 1) };
        let error = std::io::Error::last_os_error();
        match result {
            1 => (&mut &*from).read_exact(&mut [0]).unwrap(),
            _ => assert_eq!(error.raw_os_error(), Some(libc::EFAULT)),
        }
        result != 1
    })
}

/// The stacks that a pool should have, by size, the last to be taken first.
#[derive(Default)]
struct Model {
    cached: BTreeMap<usize, Vec<Extent>>,
    max_cached: usize,
}

impl Model {
    fn put(&mut self, extent: Extent) -> bool {
        let cached = self.cached.entry(memory(extent).len()).or_default();
        let kept = cached.len() < self.max_cached;
        if kept {
            cached.push(extent);
        }
        kept
    }

    fn count(&self) -> usize {
        self.cached.values().map(Vec::len).sum()
    }
}

struct Walk {
    steps: usize,
    random: Random,
    pool: StackPool,
    /// Another pool of the thread.
    other: StackPool,
    model: Model,
    taken: Vec<Taken>,
    lost: Vec<BTreeMap<usize, u64>>,
}

impl Walk {
    fn new(seed: u64, max_cached: usize) -> Walk {
        Walk {
            steps: 0,
            random: Random(seed),
            pool: StackPool::new(DEFAULT, max_cached),
            other: StackPool::new(DEFAULT, max_cached),
            model: Model {
                max_cached,
                ..Model::default()
            },
            taken: Vec::new(),
            lost: Vec::new(),
        }
    }

    fn step(&mut self) {
        self.steps += 1;
        // Phases of mostly takes alternate with phases of mostly puts.
        let takes = [65, 25][self.steps / 256 % 2];
        match self.random.below(1000) {
            p if p < 10 * takes => self.take(),
            0..950 => self.put(),
            950..960 => self.drop_one(),
            960..970 => self.put_elsewhere(),
            970..995 => self.idle(),
            995..998 => self.lose(),
            _ => self.end_pool(),
        }
        assert_eq!(self.pool.cached(), self.model.count());
    }

    fn take(&mut self) {
        let size = [None, Some(1), Some(DEFAULT), Some(200_000)][self.random.below(4)];
        let rounded = size.unwrap_or(DEFAULT).max(MIN_SIZE).next_power_of_two();
        let mut new = Taken::new(self.pool.take(size).unwrap());
        let extent = new.stack.extent();
        assert_eq!((new.stack.size(), new.memory().len()), (rounded, rounded));
        match self.model.cached.get_mut(&rounded).and_then(Vec::pop) {
            Some(last) => assert_eq!(extent, last, "the last is taken first"),
            None => {
                assert_eq!(used(extent), None, "a new stack takes no memory");
                let whole = extent.limit..extent.base;
                let taken = self.taken.iter().map(|taken| taken.stack.extent());
                let cached = self.model.cached.values().flatten().copied();
                for Extent { limit, base } in taken.chain(cached) {
                    assert!(base <= whole.start || whole.end <= limit, "stacks overlap");
                }
            }
        }
        for page in (extent.limit..new.memory().start).step_by(page_size()) {
            assert!(faults(page), "a page of the guard can be read");
        }
        assert!(faults(new.memory().start - 1));
        assert!(!faults(new.memory().start), "the guard is too large");
        new.write(&mut self.random);
        self.taken.push(new);
    }

    /// Removes one of the taken stacks.
    fn give(&mut self) -> Option<Taken> {
        if self.taken.is_empty() {
            return None;
        }
        let place = self.random.below(self.taken.len());
        let taken = self.taken.swap_remove(place);
        taken.check();
        Some(taken)
    }

    fn put(&mut self) {
        if let Some(taken) = self.give() {
            self.model.put(taken.stack.extent());
            self.pool.put(taken.stack);
        }
    }

    fn drop_one(&mut self) {
        drop(self.give());
    }

    fn put_elsewhere(&mut self) {
        if let Some(taken) = self.give() {
            self.other.put(taken.stack);
        }
    }

    fn idle(&mut self) {
        let cached = self.model.cached.values();
        let before: Vec<Vec<_>> = cached
            .map(|all| all.iter().map(|e| used(*e)).collect())
            .collect();
        self.pool.idle();
        for (cached, before) in self.model.cached.values().zip(before) {
            let hot = cached.len().saturating_sub(HOT);
            for (i, extent) in cached.iter().enumerate() {
                let left = used(*extent);
                if i < hot {
                    assert!(left.is_some() && left <= Some(KEEP), "{left:?} of {i}");
                } else {
                    assert_eq!(left, before[i], "what is taken next was touched");
                }
            }
        }
    }

    fn lose(&mut self) {
        if let Some(taken) = self.give() {
            self.lost.push(taken.words);
            std::mem::forget(taken.stack);
        }
    }

    /// Drops or clears the pool while stacks of it are still taken.
    fn end_pool(&mut self) {
        if self.random.below(2) == 0 {
            self.pool.clear();
        } else {
            self.pool = StackPool::new(DEFAULT, self.model.max_cached);
        }
        self.model.cached.clear();
    }
}

fn walk(guards: Guards, max_cached: usize, steps: usize) {
    for seed in 0..4 {
        let lost = SLABS.get();
        FORCED.set(Some(guards));
        let mut walk = Walk::new(seed, max_cached);
        for _ in 0..steps {
            walk.step();
        }
        let Walk {
            taken,
            lost: words,
            pool,
            other,
            ..
        } = walk;
        drop((pool, other));
        taken.iter().for_each(Taken::check);
        drop(taken);
        for (address, value) in words.iter().flatten() {
            assert_eq!(read(*address), *value, "a stack that was lost was touched");
        }
        assert!(
            SLABS.get() <= lost + words.len(),
            "a slab outlives its stacks"
        );
    }
}

fn marks_or_whatever_there_is() -> Guards {
    FORCED.set(None);
    Guards::available().unwrap()
}

#[test]
fn a_walk_with_the_guards_of_the_system() {
    walk(marks_or_whatever_there_is(), 40, 4000);
}

#[test]
fn a_walk_with_guards_that_are_mappings() {
    walk(Guards::Mappings, 40, 2000);
}

#[test]
fn a_walk_that_keeps_little() {
    walk(marks_or_whatever_there_is(), 2, 2000);
}

#[test]
fn a_walk_that_keeps_nothing() {
    walk(marks_or_whatever_there_is(), 0, 2000);
}

#[test]
fn a_slab_goes_when_nothing_of_it_is_kept() {
    let pool = StackPool::new(MIN_SIZE, 1);
    let stacks: Vec<_> = (0..1000).map(|_| pool.take(None).unwrap()).collect();
    assert!(
        SLABS.get() > 2,
        "a thousand stacks do not fit into the first slab"
    );
    for stack in stacks {
        pool.put(stack);
    }
    assert_eq!(
        SLABS.get(),
        1,
        "only that of the stack that is kept is needed"
    );
    let last = pool.take(None).unwrap();
    drop(pool);
    assert_eq!(SLABS.get(), 1, "a stack keeps its slab");
    drop(last);
    assert_eq!(SLABS.get(), 0);
}

#[test]
fn slabs_grow_with_the_number_of_stacks() {
    let pool = StackPool::new(MIN_SIZE, 0);
    let stacks: Vec<_> = (0..10_000).map(|_| pool.take(None).unwrap()).collect();
    assert!(SLABS.get() < 10, "{} slabs for 10,000 stacks", SLABS.get());
    drop(stacks);
}

#[test]
fn a_place_without_a_guard_is_refused_and_the_others_go_on() {
    let pool = StackPool::new(MIN_SIZE, 0);
    let first = pool.take(None).unwrap();
    super::guard::FAILS.set(true);
    let error = pool.take(None).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
    // A place that already has its guard can still be used.
    let extent = first.extent();
    let second = {
        super::guard::FAILS.set(false);
        let second = pool.take(None).unwrap();
        super::guard::FAILS.set(true);
        second
    };
    pool.put(first);
    assert_eq!(pool.take(None).unwrap().extent(), extent);
    super::guard::FAILS.set(false);
    drop(second);
}

#[test]
fn sizes_are_rounded_up_and_what_cannot_be_is_refused() {
    let pool = StackPool::new(0, 10);
    assert_eq!(pool.take(None).unwrap().size(), MIN_SIZE);
    assert_eq!(pool.take(Some(0)).unwrap().size(), MIN_SIZE);
    assert_eq!(pool.take(Some(DEFAULT)).unwrap().size(), ROUNDED);
    for size in [
        usize::MAX,
        usize::MAX / 2 + 2,
        usize::MAX / 2,
        1 << (usize::BITS - 2),
    ] {
        let error = pool.take(Some(size)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory, "{size}");
        let error = StackPool::new(size, 10).take(None).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory, "{size}");
    }
    drop(pool);
    assert_eq!(SLABS.get(), 0, "what was refused left nothing");
}

#[test]
fn what_is_used_is_known_to_the_page() {
    let pool = StackPool::new(1 << 20, 10);
    let stack = pool.take(None).unwrap();
    let Extent { base, .. } = stack.extent();
    assert_eq!(used(stack.extent()), None);
    let page = page_size();
    for depth in [8, page, page + 8, 100_000, 1 << 20] {
        write(base - depth, 1);
        assert_eq!(used(stack.extent()), Some(depth.next_multiple_of(page)));
    }
    stack.discard(0);
    assert_eq!(used(stack.extent()), None);
}

thread_local! {
    static LATE: RefCell<Option<Stack>> = const { RefCell::new(None) };
}

#[test]
fn a_stack_may_come_back_when_its_thread_ends() {
    let ended = std::thread::spawn(|| {
        let pool = StackPool::new(MIN_SIZE, 10);
        LATE.set(Some(pool.take(None).unwrap()));
        let lost = pool.take(None).unwrap().extent();
        (lost.base, pool.cached())
    });
    assert_eq!(ended.join().unwrap().1, 0);
}
