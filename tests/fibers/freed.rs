//! Nothing is left of a fiber that has ended, however it was joined, and what is still in use is
//! there.

// A `Fiber` is a future; that it leaves its runtime is what some tests need.
#![allow(clippy::async_yields_async)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::executor::block_on;
use switchback::prelude::*;
use switchback::{Fiber, Hub, current_fiber, park, scope, spawn, yield_now};
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;

use crate::support::ending::poll_once;
use crate::support::{Drops, Token, runtime, watched};

/// Counts the allocations that are aligned as [`Marked`], which are those of the fibers
/// that return one. No other test of this program may have such an alignment.
struct Counting;

static MARKED: AtomicIsize = AtomicIsize::new(0);

// SAFETY: it does what `System` does.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() == align_of::<Marked>() {
            MARKED.fetch_add(1, SeqCst);
        }
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if layout.align() == align_of::<Marked>() {
            MARKED.fetch_sub(1, SeqCst);
        }
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(memory, layout) };
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The result of the fibers that are counted: aligned as nothing else is.
#[repr(align(2048))]
struct Marked {
    _token: Token,
}

impl fmt::Debug for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marked")
    }
}

impl Marked {
    fn check(&self) {
        assert_eq!(std::ptr::from_ref(self).addr() % 2048, 0);
    }
}

/// Runs `body`, and then a hub that makes fibers as it likes has ended: each result is
/// dropped, and each fiber freed.
#[track_caller]
fn leaves_nothing(results: usize, body: impl FnOnce(Drops) + Send + 'static) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = MARKED.load(SeqCst);
    let drops = Drops::new();
    let dropped = drops.clone();
    watched(move || body(drops));
    assert_eq!(dropped.count(), results, "results dropped");
    assert_eq!(MARKED.load(SeqCst) - before, 0, "fibers left");
}

fn marked(drops: &Drops) -> impl FnOnce() -> Marked + use<> {
    let token = drops.token();
    move || Marked { _token: token }
}

/// As [`marked`], after it has waited for a wake.
fn parked(drops: &Drops) -> impl FnOnce() -> Marked + use<> {
    let token = drops.token();
    move || {
        park();
        Marked { _token: token }
    }
}

#[test]
fn a_fiber_that_is_joined_anywhere_is_freed() {
    leaves_nothing(4, |drops| {
        runtime().block_on(async move {
            spawn(marked(&drops)).join().await.unwrap().check();
            let in_fiber = marked(&drops);
            let mut joiner = spawn(|| spawn(in_fiber).join().wait().unwrap().check());
            joiner.join().await.unwrap();
            for mut fiber in [spawn(parked(&drops)), spawn(marked(&drops))] {
                let handle = fiber.handle();
                let thread = spawn_blocking(move || fiber.join().wait().unwrap().check());
                handle.unpark();
                thread.await.unwrap();
            }
        });
    });
}

#[test]
fn a_fiber_that_is_detached_at_any_time_is_freed() {
    leaves_nothing(6, |drops| {
        runtime().block_on(async move {
            drop(Fiber::new(marked(&drops)));
            drop(spawn(marked(&drops)));
            let begun = spawn(parked(&drops));
            let handle = begun.handle();
            yield_now().await;
            drop(begun);
            handle.unpark();
            let ended = spawn(marked(&drops));
            yield_now().await;
            drop(ended);
            let elsewhere = spawn(marked(&drops));
            spawn_blocking(move || drop(elsewhere)).await.unwrap();
            // Another fiber has asked for the result before.
            let mut fiber = spawn(parked(&drops));
            let handle = fiber.handle();
            let looks = spawn(move || {
                assert!(poll_once(pin!(fiber.join())).is_pending());
                fiber.join().wait_timeout(Duration::ZERO).unwrap_err();
                fiber
            });
            let fiber = { looks }.join().await.unwrap();
            handle.unpark();
            spawn_blocking(move || drop(fiber)).await.unwrap();
            for _ in 0..5 {
                yield_now().await;
            }
        });
    });
}

#[test]
fn a_fiber_that_ends_while_it_is_queued_is_freed() {
    leaves_nothing(2, |drops| {
        runtime().block_on(async move {
            for joins in [false, true] {
                let result = marked(&drops);
                let mut fiber = spawn(move || {
                    let value = result();
                    current_fiber().unwrap().unpark();
                    value
                });
                if joins {
                    fiber.join().await.unwrap().check();
                }
            }
        });
    });
}

#[test]
fn a_fiber_whose_hub_goes_before_it_ends_is_freed() {
    leaves_nothing(64, |drops| {
        let runtime = runtime();
        let mut joined = runtime.block_on(async {
            let hub = Hub::current().handle();
            drop(spawn(parked(&drops)));
            drop(spawn(marked(&drops)));
            let kept = spawn(parked(&drops));
            yield_now().await;
            drop(spawn(marked(&drops)));
            // A burst of which most are still on their way.
            let sends = drops.clone();
            let send = move || {
                (0..60)
                    .map(|_| hub.spawn(parked(&sends)).unwrap())
                    .collect()
            };
            let burst: Vec<Fiber<Marked>> = std::thread::spawn(send).join().unwrap();
            drop(burst);
            yield_now().await;
            kept
        });
        drop(runtime);
        assert!(block_on(joined.join()).is_err());
    });
}

#[test]
fn a_fiber_that_panics_or_is_cancelled_or_refused_is_freed() {
    leaves_nothing(3, |drops| {
        let runtime = runtime();
        let hub = runtime.block_on(async {
            let token = drops.token();
            let panics = move || -> Marked {
                let _token = token;
                resume_unwind(Box::new("on purpose"))
            };
            assert!(spawn(panics).join().await.unwrap_err().is_panic());
            let mut fiber = spawn(parked(&drops));
            yield_now().await;
            fiber.cancel();
            assert!(fiber.join().await.is_err());
            Hub::current().handle()
        });
        drop(runtime);
        assert!(hub.spawn(marked(&drops)).is_err());
    });
}

#[test]
fn a_waker_that_is_kept_frees_the_fiber_where_it_is_dropped() {
    leaves_nothing(1, |drops| {
        let (tx, rx) = std::sync::mpsc::channel::<Waker>();
        let runtime = runtime();
        runtime.block_on(async {
            let token = drops.token();
            let mut fiber = spawn(move || {
                let mut sent = false;
                poll_fn(|cx| {
                    tx.send(cx.waker().clone()).unwrap();
                    match std::mem::replace(&mut sent, true) {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    }
                })
                .wait();
                Marked { _token: token }
            });
            yield_now().await;
            let first = rx.recv().unwrap();
            spawn_blocking(move || first.wake()).await.unwrap();
            fiber.join().await.unwrap().check();
        });
        let last = rx.recv().unwrap();
        std::thread::spawn(move || {
            last.wake_by_ref();
            drop(runtime);
            drop(last.clone());
            assert_eq!(MARKED.load(SeqCst), 1);
            last.wake();
        })
        .join()
        .unwrap();
    });
}

/// A hub keeps the memory of its own fibers only, which it makes new ones in.
#[test]
fn fibers_that_are_freed_in_fibers_of_other_hubs_leave_these_nothing() {
    fn ended(runtime: &Runtime) -> Fiber<u64> {
        runtime.block_on(async {
            let fiber = spawn(|| 1);
            yield_now().await;
            assert!(!fiber.is_alive());
            fiber
        })
    }
    fn is_freed_by_a_fiber_that_makes_more(fiber: Fiber<u64>, runtime: &Runtime) {
        let sum = runtime.block_on(spawn_here(move || {
            drop(fiber);
            let more: Vec<_> = (0..3).map(|i| spawn(move || i)).collect();
            more.into_iter()
                .map(|mut more| more.join().wait().unwrap())
                .sum::<u64>()
        }));
        assert_eq!(sum, 3);
    }
    async fn spawn_here<T: 'static>(f: impl FnOnce() -> T + 'static) -> T {
        spawn(f).await.unwrap()
    }
    watched(|| {
        let (first, second) = (runtime(), runtime());
        is_freed_by_a_fiber_that_makes_more(ended(&first), &second);
        is_freed_by_a_fiber_that_makes_more(ended(&second), &first);
        let fiber = ended(&first);
        let elsewhere = std::thread::spawn(move || {
            is_freed_by_a_fiber_that_makes_more(fiber, &runtime());
        });
        elsewhere.join().unwrap();
        // Of a hub that is gone.
        let fiber = ended(&first);
        drop(first);
        is_freed_by_a_fiber_that_makes_more(fiber, &second);
    });
}

#[test]
fn a_scope_frees_its_children_joined_or_not() {
    leaves_nothing(3, |drops| {
        switchback::run(move || {
            let drops = &drops;
            let local = Cell::new(0);
            scope(|s| {
                let count = || {
                    yield_now().wait();
                    local.set(local.get() + 1);
                    Marked {
                        _token: drops.token(),
                    }
                };
                s.spawn(count).join().wait().unwrap().check();
                drop(s.spawn(count));
                let mut looked_at = s.spawn(count);
                assert!(poll_once(pin!(looked_at.join())).is_pending());
            });
            assert_eq!(local.get(), 3);
        })
        .unwrap();
    });
}
