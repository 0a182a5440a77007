//! [`RunningFiber`]: which fiber has the thread of a hub, for other threads.
//!
//! The hub stores a pointer to the fiber's header each time that it resumes a fiber. Other threads
//! follow the pointer without a lock, as with hazard pointers: a reader first counts itself, and the
//! hub, before it lets go of a fiber, takes the pointer away and then looks for readers. If there
//! are any, it keeps the fiber a while longer.
//!
//! *Reader Invariant*: while [`read`](RunningFiber::read) calls its closure, a reference to the
//! fiber exists whose pointer the closure gets. It holds because
//!
//! 1. the hub stores only fibers that its table holds;
//! 2. before a fiber leaves the table the hub calls [`leave`](RunningFiber::leave), and it keeps a
//!    reference for as long as [`is_read`](RunningFiber::is_read) then returns true;
//! 3. a reader counts itself, then loads the pointer; the hub stores another pointer, then loads the
//!    count; and each has a fence between the two. So either the hub sees the reader, or the reader
//!    does not see the fiber.

use std::fmt;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::Mutex;
use std::sync::atomic::{self, AtomicU64, Ordering};

use crate::base::lock::{AtomicPtr, AtomicUsize, fence, lock};

/// The fiber that has the thread of a hub. The hub's thread writes it.
pub(crate) struct RunningFiber {
    /// The header of the fiber, or null.
    fiber: AtomicPtr<()>,
    /// The number of threads that are about to use `fiber`.
    readers: AtomicUsize,
    /// How often any fiber was resumed. A figure, which orders nothing.
    resumes: AtomicU64,
    /// The number of the last resume that was observed, and where the fiber had waited before it.
    waited: Mutex<Option<(u64, &'static Location<'static>)>>,
}

/// Makes fibers record where they have waited each time that they go on, until it is dropped.
#[derive(Debug)]
pub(crate) struct Observer(());

static OBSERVERS: atomic::AtomicUsize = atomic::AtomicUsize::new(0);

impl Observer {
    pub(crate) fn new() -> Observer {
        OBSERVERS.fetch_add(1, Ordering::Relaxed);
        Observer(())
    }

    /// Returns whether there is one.
    #[inline(always)]
    pub(crate) fn is_any() -> bool {
        OBSERVERS.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        OBSERVERS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl RunningFiber {
    pub(crate) fn new() -> RunningFiber {
        RunningFiber {
            fiber: AtomicPtr::new(ptr::null_mut()),
            readers: AtomicUsize::new(0),
            resumes: AtomicU64::new(0),
            waited: Mutex::new(None),
        }
    }

    /// Records that the fiber with this header is resumed.
    #[inline(always)]
    pub(crate) fn resume(&self, fiber: NonNull<()>) {
        let resumes = self.resumes.load(Ordering::Relaxed);
        self.resumes.store(resumes + 1, Ordering::Relaxed);
        // Ordering: a reader that sees it also sees the header.
        self.fiber.store(fiber.as_ptr(), Ordering::Release);
    }

    /// Records that the thread runs what it ran before the fiber: see [`now`](RunningFiber::now).
    #[inline]
    pub(crate) fn set(&self, fiber: *mut ()) {
        self.fiber.store(fiber, Ordering::Release);
    }

    /// Returns what is recorded now, for [`set`](RunningFiber::set). For the hub's thread only.
    #[inline]
    pub(crate) fn now(&self) -> *mut () {
        self.fiber.load(Ordering::Relaxed)
    }

    /// Records that no fiber runs: the one that ran has suspended, or leaves the table.
    #[inline]
    pub(crate) fn leave(&self) {
        self.fiber.store(ptr::null_mut(), Ordering::Release);
    }

    /// Returns whether a thread may still use a fiber that has left.
    #[inline]
    pub(crate) fn is_read(&self) -> bool {
        // Ordering: pairs with the fence in `read`. If the readers are gone, what they did comes before
        // what the caller does.
        fence(Ordering::SeqCst);
        self.readers.load(Ordering::Acquire) > 0
    }

    /// Returns how often any fiber was resumed.
    #[inline]
    pub(crate) fn resumes(&self) -> u64 {
        self.resumes.load(Ordering::Relaxed)
    }

    /// Records where the fiber that was resumed last had waited.
    pub(crate) fn note_waited(&self, at: &'static Location<'static>) {
        *lock(&self.waited) = Some((self.resumes(), at));
    }

    /// Returns where a fiber had waited before the resume with this number, if that is recorded.
    pub(crate) fn waited_at(&self, resume: u64) -> Option<&'static Location<'static>> {
        let (number, at) = (*lock(&self.waited))?;
        (number == resume).then_some(at)
    }

    /// Calls `f` with the header of the fiber that runs, on any thread. The Reader Invariant holds
    /// while `f` runs, so `f` has to be short.
    pub(crate) fn read<R>(&self, f: impl FnOnce(NonNull<()>) -> R) -> Option<R> {
        struct Reader<'a>(&'a AtomicUsize);
        impl Drop for Reader<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Release);
            }
        }
        self.readers.fetch_add(1, Ordering::Relaxed);
        let _reader = Reader(&self.readers);
        // Ordering: pairs with the fence in `is_read`.
        fence(Ordering::SeqCst);
        NonNull::new(self.fiber.load(Ordering::Acquire)).map(f)
    }
}

impl fmt::Debug for RunningFiber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningFiber")
            .field("resumes", &self.resumes())
            .finish_non_exhaustive()
    }
}

/// Models of readers beside a fiber that ends, in every order in which the threads can take their
/// steps. Run by `ci/loom.sh`. They fail if a reader uses a fiber that the hub has let go of.
#[cfg(all(test, switchback_loom))]
mod loom_tests {
    use std::sync::Arc;

    use loom::thread;

    use super::*;
    use crate::base::lock::Witness;

    struct Model {
        running: RunningFiber,
        /// The headers of two fibers. The hub touches one when it lets go of it.
        fibers: [Witness; 2],
    }

    impl Model {
        fn pointer(&self, n: usize) -> NonNull<()> {
            NonNull::from(&self.fibers[n]).cast()
        }

        fn ends(&self, n: usize) {
            self.running.leave();
            if !self.running.is_read() {
                self.fibers[n].touch();
            }
        }

        fn reads(&self) {
            let read = |fiber| (0..2).find(|n| self.pointer(*n) == fiber).unwrap();
            self.running.read(|fiber| self.fibers[read(fiber)].touch());
        }
    }

    fn model(hub: fn(&Model)) {
        loom::model(move || {
            let model = Arc::new(Model {
                running: RunningFiber::new(),
                fibers: [Witness::new(), Witness::new()],
            });
            let read = model.clone();
            let reader = thread::spawn(move || read.reads());
            hub(&model);
            reader.join().unwrap();
        });
    }

    #[test]
    fn one_fiber_runs_and_ends() {
        model(|model| {
            model.running.resume(model.pointer(0));
            model.ends(0);
        });
    }

    #[test]
    fn another_runs_before_the_first_ends() {
        model(|model| {
            model.running.resume(model.pointer(0));
            model.running.resume(model.pointer(1));
            model.running.resume(model.pointer(0));
            model.ends(0);
            model.running.resume(model.pointer(1));
            model.ends(1);
        });
    }
}
