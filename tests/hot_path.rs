//! What the hub and a fiber's stack refer to without counting is there as long as it
//! is used.

// A `Fiber` is a future; that it leaves its runtime is what some tests need.
#![allow(clippy::async_yields_async)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt;
use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::pin::pin;
use std::process::exit;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::executor::block_on;
use futures::future::{Either, FutureExt as _, join_all, select};
use switchback::prelude::*;
use switchback::{
    Builder, Fiber, Hub, catch_cancel, current_fiber, in_fiber, park, scope, spawn, yield_now,
};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use support::ending::poll_once;
use support::{Drops, OnDrop, Token, in_async, in_child, in_root_fiber, runtime, watched};

/// Calls a function when its thread, or the process, ends.
struct AtExit(Cell<Option<fn()>>);

impl Drop for AtExit {
    fn drop(&mut self) {
        if let Some(f) = self.0.get() {
            f();
        }
    }
}

thread_local! {
    static AT_EXIT: AtExit = const { AtExit(Cell::new(None)) };
}

/// Has `f` called by the end of the process or the thread, after the end of what is
/// made later.
fn at_exit(f: fn()) {
    AT_EXIT.with(|at_exit| at_exit.0.set(Some(f)));
}

#[test]
fn a_detached_fiber_that_ends_the_process_is_there_for_what_ends_with_its_thread() {
    let name = "a_detached_fiber_that_ends_the_process_is_there_for_what_ends_with_its_thread";
    let child = in_child(name, || {
        at_exit(|| {
            assert!(in_fiber());
            let own = current_fiber().unwrap();
            println!("ended by {}", own.name());
            own.unpark();
            yield_now().wait();
            assert!(Hub::try_current().is_some());
            // It goes to the hub and comes back.
            pending::<()>().wait_or_cancelled().unwrap_err();
            println!("all done");
        });
        switchback::run(|| {
            drop(Builder::new().name("the last one").spawn(|| exit(0)));
            pending::<()>().wait();
        })
        .unwrap();
    });
    let Some(child) = child else { return };
    child.assert_success();
    if cfg!(target_os = "linux") {
        assert!(child.stdout.contains("ended by the last one"), "{child:#?}");
        assert!(child.stdout.contains("all done"), "{child:#?}");
    }
}

/// Counts the allocations that are aligned as [`Marked`], which are those of the fibers
/// that return one.
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
            // Somebody else has looked before.
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

/// As [`parked`], but not counted.
fn unmarked(drops: &Drops) -> impl FnOnce() -> Token + use<> {
    let token = drops.token();
    move || {
        park();
        token
    }
}

/// What is done to a fiber that waits for another, before that one ends.
#[derive(Clone, Copy, Debug)]
enum Then {
    Waits,
    /// Another fiber of the hub joins instead.
    MovesToFiber,
    MovesToTask,
    MovesToThread,
    /// It is cancelled, and a new fiber gets its place.
    IsCancelled,
}

use Then::{IsCancelled, MovesToFiber, MovesToTask, MovesToThread, Waits};

/// Whoever joins last is told, whoever has looked before.
#[test]
fn a_joiner_is_told_whoever_has_looked_before() {
    for then in [Waits, MovesToFiber, MovesToTask, MovesToThread, IsCancelled] {
        for task_first in [false, true] {
            in_async(move || joins(then, task_first));
        }
    }
}

async fn joins(then: Then, task_first: bool) {
    let drops = Drops::new();
    let mut fiber = spawn(unmarked(&drops));
    let handle = fiber.handle();
    if task_first {
        assert!(is_pending(fiber.join()).await);
    }
    let (give, given) = oneshot::channel();
    let mut first = spawn(move || {
        let mut fiber = fiber;
        if let Waits | IsCancelled = then {
            fiber.join().wait().map(drop).unwrap();
            return;
        }
        // It looks, as a fiber that waits does.
        assert!(is_pending(fiber.join()).wait());
        let _ = give.send(fiber);
        park();
    });
    let late = handle.clone();
    let ends = move || {
        late.unpark();
        yield_now()
    };
    yield_now().await;
    match then {
        Waits => {
            ends().await;
            first.join().await.unwrap();
        }
        MovesToFiber => {
            let mut fiber = given.await.unwrap();
            let mut second = spawn(move || drop(fiber.join().wait().unwrap()));
            yield_now().await;
            ends().await;
            second.join().await.unwrap();
        }
        MovesToTask => {
            let mut fiber = given.await.unwrap();
            let mut join = fiber.join();
            assert!(is_pending(&mut join).await);
            ends().await;
            join.await.unwrap();
        }
        MovesToThread => {
            let mut fiber = given.await.unwrap();
            let thread = spawn_blocking(move || drop(fiber.join().wait().unwrap()));
            ends().await;
            thread.await.unwrap();
        }
        IsCancelled => {
            first.cancel();
            assert!(first.join().await.unwrap_err().is_cancelled());
            let mut parks = spawn(|| poll_fn(woken_once()).wait());
            yield_now().await;
            ends().await;
            yield_now().await;
            assert!(parks.is_alive(), "it was woken instead");
            parks.cancel();
            let _ = parks.join().await;
        }
    }
    assert_eq!(drops.count(), 1);
    assert!(!handle.is_alive());
}

/// Polls once, with the waker of whoever waits for that.
async fn is_pending(mut future: impl Future + Unpin) -> bool {
    poll_fn(|cx| Poll::Ready(future.poll_unpin(cx).is_pending())).await
}

/// Ready when it is polled for the second time.
fn woken_once() -> impl FnMut(&mut Context<'_>) -> Poll<()> {
    let mut polled = false;
    move |_| match std::mem::replace(&mut polled, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    }
}

#[test]
fn many_fibers_are_joined_by_one_through_combinators() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let some = || (0..20).map(|_| spawn(unmarked(&drops))).collect::<Vec<_>>();
        let fibers = some();
        let handles: Vec<_> = fibers.iter().map(Fiber::handle).collect();
        spawn(move || {
            for handle in handles.iter().rev() {
                handle.unpark();
                yield_now().wait();
            }
        });
        assert_eq!(join_all(fibers).wait().into_iter().flatten().count(), 20);
        let (mut a, mut b) = (spawn(unmarked(&drops)), spawn(unmarked(&drops)));
        for _ in 0..3 {
            let either = select(a.join(), b.join());
            assert!(either.wait_timeout(Duration::ZERO).is_err());
        }
        b.handle().unpark();
        match select(a.join(), b.join()).wait() {
            Either::Left(_) => panic!("that one waits"),
            Either::Right((joined, _)) => drop(joined.unwrap()),
        };
        a.handle().unpark();
        a.join().wait().unwrap();
        assert_eq!(drops.count(), 22);
    });
}

/// A result that is out of the ordinary.
#[test]
fn results_and_closures_of_any_size_and_alignment_get_there() {
    #[derive(Debug)]
    #[repr(align(4096))]
    struct Empty;
    #[repr(align(512))]
    struct Wide([u8; 512]);
    fn at<T>(value: &T) {
        assert_eq!(std::ptr::from_ref(value).addr() % align_of::<T>(), 0);
    }
    in_root_fiber(|| {
        spawn(|| ()).join().wait().unwrap();
        at(&spawn(|| Empty).join().wait().unwrap());
        let empty = Empty;
        spawn(move || at(&{ empty })).join().wait().unwrap();
        let wide = Wide([7; 512]);
        let back = spawn(move || {
            at(&wide);
            wide
        });
        assert_eq!({ back }.join().wait().unwrap().0, [7; 512]);
        let aligned = AlignedBy64([3; 64]);
        let sum = move || {
            at(&aligned);
            yield_now().wait();
            aligned.0.iter().map(|n| u32::from(*n)).sum::<u32>()
        };
        assert_eq!(spawn(sum).join().wait().unwrap(), 192);
        let huge = spawn(|| [9_u8; 10_000]).join().wait().unwrap();
        assert!(huge.iter().all(|n| *n == 9));
        drop(spawn(|| [9_u8; 10_000]));
        drop(spawn(|| Empty));
    });
}

#[repr(align(64))]
struct AlignedBy64([u8; 64]);

/// The drop of a result that nobody takes does all that a fiber can do.
#[test]
fn a_result_that_is_dropped_by_its_fiber_may_wait_spawn_join_cancel_and_close() {
    in_async(|| async {
        let done = Drops::new();
        let token = done.token();
        let mut token = Some(token);
        let acts = OnDrop(move || {
            yield_now().wait();
            let value = spawn(|| {
                yield_now().wait();
                5
            })
            .join()
            .wait();
            assert_eq!(value.unwrap(), 5);
            let own = current_fiber().unwrap();
            assert!(own.is_alive());
            own.unpark();
            own.cancel();
            assert!(catch_cancel(|| yield_now().wait()).is_err());
            Hub::current().run_callback(|| {
                assert!(Hub::current().close().now_or_never().is_none());
            });
            assert!(catch_cancel(|| yield_now().wait()).is_err());
            token.take();
            resume_unwind(Box::new("and it panics"));
        });
        let fiber = spawn(move || acts);
        let handle = fiber.handle();
        drop(fiber);
        while handle.is_alive() {
            tokio::task::yield_now().await;
        }
        assert_eq!(done.count(), 1);
        assert!(Hub::current().handle().is_closed());
    });
}
