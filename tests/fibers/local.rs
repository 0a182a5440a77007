//! `fiber_local!`: whose value it is, how it begins and how it ends.
// A fiber is a future; here it is returned from async blocks to outlive them.
#![allow(clippy::async_yields_async)]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::mem;
use std::panic::{panic_any, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;

use switchback::{
    AccessError, Cancelled, Fiber, Hub, LocalKey, bridge, bridge_borrowed, catch_cancel,
    current_fiber, fiber_local, prelude::*, scope, sleep, spawn, yield_now,
};
use tokio::sync::Notify;

use crate::support::ending::{Count, InDrop, in_paused_fiber, poll_once, settle, unwinds};
use crate::support::{
    Drops, Log, OnDrop, Token, in_async, in_child, in_child_of, in_paused, in_root_fiber, ms,
    multi_thread_runtime, panic_of, runtime, test_of, watched,
};

/// A fiber-local that holds whatever a test wants to be dropped with it.
type Slot = RefCell<Option<Box<dyn Any>>>;

fn hold(key: &'static LocalKey<Slot>, what: impl Any) {
    key.set(Some(Box::new(what)));
}

fn holds(key: &'static LocalKey<Slot>) -> Result<bool, AccessError> {
    key.try_with(|slot| slot.borrow().is_some())
}

/// Adds `entry` to the log when it is dropped.
fn says(log: &Log<&'static str>, entry: &'static str) -> impl Any + use<> {
    let log = log.clone();
    OnDrop(move || log.push(entry))
}

// Whose value it is.

#[test]
fn the_ancestors_local_is_isolated_between_two_fibers_that_interleave() {
    // mydata = local(); mydata.x = 10
    fiber_local! {
        static X: Cell<Option<u32>> = const { Cell::new(None) };
    }
    in_root_fiber(|| {
        let log = Log::new();
        let start = |x: u32| {
            let log = log.clone();
            spawn(move || {
                assert_eq!(X.get(), None);
                X.set(Some(x));
                for i in 0..3 {
                    log.push(X.get().unwrap());
                    yield_now().wait();
                    assert_eq!(X.replace(Some(x + i + 1)), Some(x + i));
                }
            })
        };
        let mut fibers = [start(10), start(20)];
        for fiber in &mut fibers {
            fiber.join().wait().unwrap();
        }
        assert_eq!(log.take(), [10, 20, 11, 21, 12, 22]);
        assert_eq!(X.get(), None);
    });
}

fiber_local! {
    static NUMBER: Cell<u32> = const { Cell::new(0) };
}

#[test]
fn a_spawned_fiber_inherits_nothing() {
    in_root_fiber(|| {
        NUMBER.set(1);
        let mut child = spawn(|| NUMBER.replace(2));
        assert_eq!(child.join().wait().unwrap(), 0);
        let mut sibling = spawn(|| NUMBER.get());
        assert_eq!(sibling.join().wait().unwrap(), 0);
        assert_eq!(NUMBER.get(), 1);
    });
}

#[test]
fn a_fiber_on_the_stack_of_an_ended_one_starts_afresh() {
    watched(|| {
        let hub = Hub::builder().max_cached_stacks(1);
        hub.run(|| {
            for _ in 0..3 {
                assert_eq!(spawn(|| NUMBER.replace(1)).wait().unwrap(), 0);
            }
        })
        .unwrap();
    });
}

#[test]
fn the_root_fiber_has_its_own() {
    watched(|| {
        NUMBER.set(1);
        assert_eq!(switchback::run(|| NUMBER.replace(2)).unwrap(), 0);
        assert_eq!(NUMBER.get(), 1);
    });
}

#[test]
fn a_scoped_fiber_has_its_own() {
    in_root_fiber(|| {
        NUMBER.set(1);
        let of_child = scope(|s| s.spawn(|| NUMBER.replace(2)).join().wait().unwrap());
        assert_eq!((of_child, NUMBER.get()), (0, 1));
    });
}

#[test]
fn async_code_uses_that_of_its_thread() {
    in_async(|| async {
        NUMBER.set(1);
        let local = tokio::task::LocalSet::new();
        let task = local.run_until(async {
            let task = tokio::task::spawn_local(async { NUMBER.replace(2) });
            task.await.unwrap()
        });
        assert_eq!(task.await, 1);
        let of_fiber = spawn(|| NUMBER.replace(3)).await.unwrap();
        assert_eq!((of_fiber, NUMBER.get()), (0, 2));
    });
}

#[test]
fn the_future_of_run_until_uses_that_of_its_thread() {
    watched(|| {
        NUMBER.set(1);
        multi_thread_runtime().block_on(Hub::run_until(async {
            assert_eq!(NUMBER.get(), 1);
            assert_eq!(spawn(|| NUMBER.get()).await.unwrap(), 0);
        }));
    });
}

#[test]
fn each_plain_thread_has_its_own() {
    watched(|| {
        NUMBER.set(1);
        let other = thread::spawn(|| NUMBER.replace(2));
        assert_eq!(other.join().unwrap(), 0);
        // Also in a future that it waits for.
        async { assert_eq!(NUMBER.replace(3), 1) }.wait();
        assert_eq!(NUMBER.get(), 3);
    });
}

#[test]
fn the_hub_uses_that_of_its_thread() {
    struct Looks(AtomicUsize);
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            self.0.store(NUMBER.get() as usize, Ordering::SeqCst);
        }
    }
    in_async(|| async {
        NUMBER.set(7);
        spawn(|| NUMBER.set(8)).await.unwrap();
        let looks = Arc::new(Looks(AtomicUsize::new(0)));
        let waker = Waker::from(looks.clone());
        let mut giving_way = pin!(yield_now());
        let mut cx = Context::from_waker(&waker);
        assert!(giving_way.as_mut().poll(&mut cx).is_pending());
        settle().await;
        assert_eq!(looks.0.load(Ordering::SeqCst), 7);
    });
}

#[test]
fn a_future_uses_that_of_the_fiber_that_polls_it() {
    in_root_fiber(|| {
        NUMBER.set(1);
        async { assert_eq!(NUMBER.replace(2), 1) }.wait();
        assert_eq!(NUMBER.get(), 2);
        // Begun in one fiber, ended in another.
        let mut future = Box::pin(async {
            let first = NUMBER.get();
            tokio::task::yield_now().await;
            (first, NUMBER.get())
        });
        assert!(async { poll_once(future.as_mut()) }.wait().is_pending());
        let mut other = spawn(move || {
            NUMBER.set(3);
            future.wait()
        });
        assert_eq!(other.join().wait().unwrap(), (2, 3));
    });
}

#[test]
fn the_body_of_a_bridge_has_its_own() {
    in_async(|| async {
        NUMBER.set(1);
        let body = || {
            assert_eq!(NUMBER.replace(2), 0);
            yield_now().wait();
            async { assert_eq!(NUMBER.get(), 2) }.wait();
        };
        bridge(body).await;
        assert_eq!(NUMBER.get(), 1);
        spawn(move || {
            NUMBER.set(3);
            bridge(body).wait();
            assert_eq!(NUMBER.get(), 3);
        })
        .await
        .unwrap();
    });
}

// Declarations.

#[test]
fn declarations_are_those_of_thread_local() {
    mod inner {
        switchback::fiber_local! {
            /// A comment.
            #[allow(dead_code)]
            pub static PUBLIC: u8 = 1;
            pub(crate) static CONST: u8 = const { 1 + 1 };
            #[cfg(any())]
            static ABSENT: Nothing = nothing;
            pub(super) static LAST: String = {
                let text = "three";
                text.to_owned()
            }
        }
        fiber_local! { pub static SHORT: u8 = const { 4 } }
        fiber_local! {}
        use switchback::fiber_local;
    }
    fiber_local! {
        #[allow(non_upper_case_globals)]
        static lower: &str = "five";
        static DIVERGES: u8 = panic_any("six");
    }
    watched(|| {
        assert_eq!(inner::PUBLIC.with(|v| *v), 1);
        assert_eq!(inner::CONST.with(|v| *v), 2);
        assert_eq!(inner::LAST.with(String::clone), "three");
        assert_eq!(inner::SHORT.with(|v| *v), 4);
        assert_eq!(lower.with(|v| *v), "five");
        assert_eq!(panic_of(|| DIVERGES.with(|v| *v)).message, "six");
    });
}

#[test]
fn an_initialiser_sees_the_names_around_it() {
    fn init() -> u8 {
        1
    }
    const INIT: u8 = 2;
    fiber_local! {
        static ONE: u8 = init();
        static TWO: u8 = const { INIT };
    }
    watched(|| assert_eq!((ONE.with(|v| *v), TWO.with(|v| *v)), (1, 2)));
}

#[test]
fn two_of_one_type_are_two() {
    fiber_local! {
        static A: Cell<u32> = Cell::new(1);
        static B: Cell<u32> = Cell::new(2);
    }
    in_root_fiber(|| {
        A.set(A.get() + 10);
        assert_eq!((A.get(), B.get()), (11, 2));
    });
}

#[test]
fn values_without_a_size_are_told_apart() {
    #[derive(Default)]
    struct One;
    #[derive(Default)]
    struct Two;
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    impl Drop for One {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::SeqCst);
        }
    }
    fiber_local! {
        static A: One = One;
        static B: One = One;
        static C: Two = Two;
        static UNIT: () = ();
    }
    in_root_fiber(|| {
        let mut fiber = spawn(|| {
            A.with(|_| B.with(|_| C.with(|_| UNIT.with(|_| ()))));
            A.with(|_| ());
        });
        fiber.join().wait().unwrap();
        assert_eq!(DROPS.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_static_in_a_generic_function_is_shared_by_its_instances() {
    fn count<T: Default + Any>(_: T) -> u32 {
        fiber_local! {
            static COUNT: Cell<u32> = const { Cell::new(0) };
        }
        COUNT.set(COUNT.get() + 1);
        COUNT.get()
    }
    in_root_fiber(|| {
        assert_eq!((count(1_u8), count("text"), count(())), (1, 2, 3));
        assert_eq!(spawn(|| count(1_u64)).wait().unwrap(), 1);
    });
}

#[test]
fn large_values_are_kept_off_the_stack() {
    const SIZE: usize = 100_000;
    fiber_local! {
        static LARGE: RefCell<[u8; SIZE]> = const { RefCell::new([1; SIZE]) };
    }
    in_root_fiber(|| {
        let mut fibers: Vec<_> = (0..3_u8)
            .map(|i| {
                spawn(move || {
                    LARGE.with_borrow_mut(|bytes| bytes[SIZE - 1] = i);
                    yield_now().wait();
                    LARGE.with_borrow(|bytes| bytes.iter().map(|b| u32::from(*b)).sum::<u32>())
                })
            })
            .collect();
        let sums: Vec<_> = fibers
            .iter_mut()
            .map(|f| f.join().wait().unwrap())
            .collect();
        let first = SIZE as u32 - 1;
        assert_eq!(sums, [first, first + 1, first + 2]);
    });
}

// Methods.

#[test]
fn cells_have_the_methods_of_stds_key() {
    fiber_local! {
        static CELL: Cell<u32> = const { Cell::new(1) };
    }
    in_root_fiber(|| {
        assert_eq!(CELL.get(), 1);
        CELL.set(2);
        assert_eq!(CELL.replace(3), 2);
        assert_eq!(CELL.take(), 3);
        assert_eq!(CELL.get(), 0);
        assert_eq!(CELL.with(Cell::get), 0);
        assert_eq!(CELL.try_with(Cell::get), Ok(0));
    });
}

#[test]
fn refcells_have_the_methods_of_stds_key() {
    fiber_local! {
        static LIST: RefCell<Vec<u32>> = RefCell::new(vec![1]);
    }
    in_root_fiber(|| {
        assert_eq!(LIST.with_borrow(Vec::len), 1);
        LIST.with_borrow_mut(|list| list.push(2));
        assert_eq!(LIST.replace(vec![3]), [1, 2]);
        assert_eq!(LIST.take(), [3]);
        LIST.set(vec![4]);
        assert_eq!(LIST.take(), [4]);
        assert_eq!(LIST.take(), []);
    });
}

#[test]
fn a_set_before_the_first_use_spares_the_initialiser() {
    fiber_local! {
        static CELL: Cell<u32> = unreachable!("it was set before");
        static LIST: RefCell<Vec<u32>> = unreachable!("it was set before");
    }
    in_root_fiber(|| {
        CELL.set(1);
        CELL.set(2);
        assert_eq!(CELL.get(), 2);
        LIST.set(vec![1]);
        LIST.set(vec![2]);
        assert_eq!(LIST.take(), [2]);
    });
}

#[test]
fn what_a_set_replaces_is_dropped_and_may_use_the_local() {
    fiber_local! {
        static LOCAL: Slot = Slot::default();
    }
    in_root_fiber(|| {
        let seen = Rc::new(Cell::new(None));
        let theirs = seen.clone();
        hold(
            &LOCAL,
            OnDrop(move || theirs.set(Some(LOCAL.with_borrow(|slot| slot.is_some())))),
        );
        hold(&LOCAL, "new");
        assert_eq!(seen.get(), Some(true));
    });
}

#[test]
fn a_borrow_that_is_in_the_way_blames_the_caller() {
    fiber_local! {
        static LIST: RefCell<Vec<u32>> = RefCell::new(vec![1]);
    }
    in_root_fiber(|| {
        LIST.with_borrow(|_| {
            let here = std::panic::Location::caller();
            panic_of(|| LIST.with_borrow_mut(Vec::clear)).assert_at(here);
            let here = std::panic::Location::caller();
            panic_of(|| LIST.take()).assert_at(here);
            let here = std::panic::Location::caller();
            panic_of(|| LIST.replace(vec![])).assert_at(here);
            let here = std::panic::Location::caller();
            panic_of(|| LIST.set(vec![])).assert_at(here);
        });
        LIST.with_borrow_mut(|_| {
            let here = std::panic::Location::caller();
            panic_of(|| LIST.with_borrow(Vec::len)).assert_at(here);
        });
        assert_eq!(LIST.take(), [1]);
    });
}

#[test]
fn uses_nest_and_a_panic_in_one_changes_nothing() {
    fiber_local! {
        static CELL: Cell<u32> = const { Cell::new(1) };
    }
    in_root_fiber(|| {
        assert!(unwinds(|| CELL.with(|outer| {
            CELL.with(|inner| inner.set(2));
            assert_eq!(outer.get(), 2);
            panic_any("in a use");
        })));
        assert_eq!(CELL.get(), 2);
    });
}

#[test]
fn a_borrow_may_be_held_over_a_wait() {
    fiber_local! {
        static LIST: RefCell<Vec<u32>> = RefCell::new(Vec::new());
    }
    in_root_fiber(|| {
        let start = |n: u32| {
            spawn(move || {
                LIST.with_borrow_mut(|list| {
                    for i in 0..3 {
                        list.push(n + i);
                        yield_now().wait();
                    }
                });
                LIST.take()
            })
        };
        let mut fibers = [start(10), start(20)];
        let lists = fibers.each_mut().map(|fiber| fiber.join().wait().unwrap());
        assert_eq!(lists, [[10, 11, 12], [20, 21, 22]]);
    });
}

#[test]
fn keys_and_errors_describe_themselves() {
    assert_eq!(format!("{NUMBER:?}"), "LocalKey { .. }");
    in_root_fiber(|| {
        fiber_local! { static LOCAL: Slot = Slot::default(); }
        let error = Rc::new(Cell::new(None));
        let theirs = error.clone();
        let body = move || hold(&LOCAL, OnDrop(move || theirs.set(holds(&LOCAL).err())));
        spawn(body).wait().unwrap();
        let error: AccessError = error.take().unwrap();
        assert_eq!(format!("{error:?}"), "AccessError");
        let message = "the fiber-local was dropped, or is being dropped";
        assert_eq!(error.to_string(), message);
    });
}

// Initialisation.

#[test]
fn a_value_is_made_when_it_is_first_used_once_per_fiber() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    fiber_local! {
        static LOCAL: usize = MADE.fetch_add(1, Ordering::SeqCst);
    }
    in_root_fiber(|| {
        spawn(|| ()).wait().unwrap();
        assert_eq!(MADE.load(Ordering::SeqCst), 0);
        let twice = || (LOCAL.with(|v| *v), LOCAL.with(|v| *v));
        assert_eq!(spawn(twice).wait().unwrap(), (0, 0));
        assert_eq!(spawn(twice).wait().unwrap(), (1, 1));
    });
}

#[test]
fn an_initialiser_may_wait_while_others_do_the_same() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    fiber_local! {
        static LOCAL: usize = {
            sleep(ms(10)).wait();
            MADE.fetch_add(1, Ordering::SeqCst)
        };
    }
    in_paused_fiber(|| {
        let start = || spawn(|| LOCAL.with(|v| (*v, LOCAL.with(|v| *v))));
        let mut fibers: Vec<_> = (0..5).map(|_| start()).collect();
        for (i, fiber) in fibers.iter_mut().enumerate() {
            assert_eq!(fiber.join().wait().unwrap(), (i, i));
        }
    });
    watched(|| assert_eq!(LOCAL.with(|v| *v), 5));
}

#[test]
fn an_initialiser_that_is_cancelled_leaves_nothing() {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    fiber_local! {
        static LOCAL: usize = {
            let begun = BEGUN.fetch_add(1, Ordering::SeqCst);
            yield_now().wait();
            begun
        };
    }
    in_root_fiber(|| {
        current_fiber().unwrap().cancel();
        assert!(catch_cancel(|| LOCAL.with(|v| *v)).is_err());
        assert_eq!(LOCAL.with(|v| *v), 1);
    });
}

#[test]
fn an_initialiser_that_panics_leaves_nothing() {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    fiber_local! {
        static LOCAL: usize = match BEGUN.fetch_add(1, Ordering::SeqCst) {
            0 => resume_unwind(Box::new("the first time")),
            n => n,
        };
    }
    in_root_fiber(|| {
        assert!(unwinds(|| LOCAL.with(|v| *v)));
        assert_eq!(LOCAL.with(|v| *v), 1);
    });
}

#[test]
fn an_initialiser_may_use_others() {
    fiber_local! {
        static ONE: u32 = 1;
        static TWO: u32 = ONE.with(|one| one + 1);
        static FIVE: u32 = TWO.with(|two| ONE.with(|one| 2 * two + one));
    }
    in_root_fiber(|| assert_eq!(FIVE.with(|five| *five), 5));
}

#[test]
fn of_a_recursive_initialiser_the_value_that_is_there_first_stays() {
    static DEPTH: AtomicUsize = AtomicUsize::new(0);
    static DROPPED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    struct Made(usize);
    impl Drop for Made {
        fn drop(&mut self) {
            DROPPED.lock().unwrap().push(self.0);
        }
    }
    fiber_local! {
        static LOCAL: Made = {
            let depth = DEPTH.fetch_add(1, Ordering::SeqCst);
            if depth < 2 {
                // It is used inside, and so must not be replaced.
                LOCAL.with(|inner| assert_eq!(inner.0, 2));
            }
            Made(depth)
        };
    }
    in_root_fiber(|| {
        let mut fiber = spawn(|| {
            LOCAL.with(|local| assert_eq!(local.0, 2));
            assert_eq!(*DROPPED.lock().unwrap(), [1, 0]);
            LOCAL.with(|local| assert_eq!(local.0, 2));
        });
        fiber.join().wait().unwrap();
        assert_eq!(*DROPPED.lock().unwrap(), [1, 0, 2]);
    });
}

#[test]
fn what_an_initialiser_sets_stays() {
    fiber_local! {
        static CELL: Cell<u32> = {
            CELL.set(1);
            Cell::new(2)
        };
    }
    in_root_fiber(|| assert_eq!(CELL.get(), 1));
}

#[test]
fn a_set_while_the_initialiser_waits_stays() {
    fiber_local! {
        static CELL: Cell<u32> = {
            async { CELL.set(1) }.wait();
            Cell::new(2)
        };
    }
    // In the fiber's own poll, and on a plain thread.
    in_root_fiber(|| assert_eq!(CELL.get(), 1));
    watched(|| assert_eq!(CELL.get(), 1));
}

// The end of a fiber.

fiber_local! {
    static A: Slot = Slot::default();
    static B: Slot = Slot::default();
    static C: Slot = Slot::default();
    static D: Slot = Slot::default();
}

#[test]
fn what_was_initialised_last_is_dropped_first() {
    in_root_fiber(|| {
        let log = Log::new();
        let theirs = log.clone();
        let mut fiber = spawn(move || {
            B.with(|_| ());
            hold(&C, says(&theirs, "C"));
            hold(&A, says(&theirs, "A"));
            // Initialised first.
            hold(&B, says(&theirs, "B"));
        });
        fiber.join().wait().unwrap();
        assert_eq!(log.take(), ["A", "C", "B"]);
    });
}

#[test]
fn each_value_is_dropped_once() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let mut fibers: Vec<_> = (0..10)
            .map(|_| {
                let token = || drops.token();
                let tokens = (token(), token(), token());
                spawn(move || {
                    hold(&A, tokens.0);
                    hold(&B, tokens.1);
                    yield_now().wait();
                    hold(&B, tokens.2);
                })
            })
            .collect();
        for fiber in &mut fibers {
            fiber.join().wait().unwrap();
        }
        assert_eq!(drops.count(), 30);
    });
}

#[test]
fn joiners_wake_when_the_values_are_dropped() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let mut fiber = spawn(move || hold(&A, token));
        fiber.join().await.unwrap();
        assert_eq!(drops.count(), 1);
        // On another thread.
        let token = drops.token();
        let mut fiber = spawn(move || hold(&A, token));
        let theirs = drops.clone();
        let joined = tokio::task::spawn_blocking(move || {
            fiber.join().wait().unwrap();
            theirs.count()
        });
        assert_eq!(joined.await.unwrap(), 2);
    });
}

#[test]
fn a_fiber_is_alive_until_its_values_are_dropped() {
    in_root_fiber(|| {
        let seen = Rc::new(Cell::new((false, false)));
        let theirs = seen.clone();
        let mut fiber = spawn(move || {
            let own = current_fiber().unwrap();
            let looks = move || {
                let same = current_fiber().unwrap().id() == own.id();
                theirs.set((own.is_alive(), same));
            };
            hold(&A, OnDrop(looks));
        });
        fiber.join().wait().unwrap();
        assert_eq!(seen.get(), (true, true));
        assert!(!fiber.is_alive());
    });
}

#[test]
fn a_scope_ends_after_the_values_of_its_children() {
    in_root_fiber(|| {
        let marks = InDrop::new();
        scope(|s| {
            let theirs = marks.clone();
            s.spawn(move || hold(&A, theirs.guard(|| yield_now().wait())));
        });
        marks.assert_completed();
    });
}

#[test]
fn the_closure_goes_before_the_values() {
    in_root_fiber(|| {
        let log = Log::new();
        let (theirs, captured) = (log.clone(), says(&log, "closure"));
        let mut fiber = spawn(move || {
            let _captured = &captured;
            hold(&A, says(&theirs, "local"));
        });
        fiber.join().wait().unwrap();
        assert_eq!(log.take(), ["closure", "local"]);
    });
}

#[test]
fn a_destructor_may_wait() {
    in_paused(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let mut fiber = spawn(move || {
            let more = theirs.clone();
            hold(&A, more.guard(|| sleep(ms(10)).wait()));
            1
        });
        settle().await;
        marks.assert_stuck();
        assert!(fiber.is_alive());
        // Others run meanwhile.
        assert_eq!(spawn(|| 2).await.unwrap(), 2);
        assert_eq!(fiber.join().await.unwrap(), 1);
        marks.assert_completed();
    });
}

#[test]
fn a_destructor_may_spawn_and_join() {
    in_async(|| async {
        let result = Rc::new(Cell::new(0));
        let theirs = result.clone();
        let mut fiber = spawn(move || {
            let runs = move || {
                let child = spawn(|| {
                    hold(&A, OnDrop(|| yield_now().wait()));
                    1
                });
                theirs.set(child.wait().unwrap());
                let of_scope = scope(|s| s.spawn(|| 2).join().wait().unwrap());
                theirs.set(theirs.get() + of_scope);
            };
            hold(&A, OnDrop(runs));
        });
        fiber.join().await.unwrap();
        assert_eq!(result.get(), 3);
    });
}

#[test]
fn a_destructor_may_use_what_has_not_been_dropped() {
    in_root_fiber(|| {
        let seen = Log::new();
        let theirs = seen.clone();
        let mut fiber = spawn(move || {
            NUMBER.set(7);
            let log = theirs.clone();
            hold(&A, OnDrop(move || log.push(NUMBER.replace(8))));
            hold(&B, OnDrop(move || theirs.push(NUMBER.get())));
        });
        fiber.join().wait().unwrap();
        assert_eq!(seen.take(), [7, 7]);
    });
}

#[test]
fn a_destructor_may_not_use_what_is_gone() {
    in_root_fiber(|| {
        let seen = Log::new();
        let theirs = seen.clone();
        let mut fiber = spawn(move || {
            let log = theirs.clone();
            let looks = move || log.push([holds(&A).ok(), holds(&B).ok()]);
            hold(&A, OnDrop(looks.clone()));
            hold(&B, OnDrop(looks));
        });
        fiber.join().wait().unwrap();
        assert_eq!(seen.take(), [[Some(true), None], [None, None]]);
    });
}

#[test]
fn with_blames_the_caller_for_using_what_is_gone() {
    in_root_fiber(|| {
        let panics = Log::new();
        let theirs = panics.clone();
        let mut fiber = spawn(move || {
            let uses = move || {
                theirs.push(panic_of(|| A.with(|_| ())));
                theirs.push(panic_of(|| A.take()));
                theirs.push(panic_of(|| A.set(None)));
                theirs.push(panic_of(|| A.replace(None)));
                theirs.push(panic_of(|| A.with_borrow(|_| ())));
                theirs.push(panic_of(|| A.with_borrow_mut(|_| ())));
            };
            hold(&A, OnDrop(uses));
        });
        fiber.join().wait().unwrap();
        let panics = panics.take();
        assert_eq!(panics.len(), 6);
        for panic in panics {
            let expected = "a fiber-local of type `core::cell::RefCell<core::option::Option<\
                            alloc::boxed::Box<dyn core::any::Any>>>` was used after it was \
                            dropped, or while it is being dropped; use `try_with` in destructors";
            assert_eq!(panic.message, expected);
            assert_eq!(panic.file, file!());
        }
    });
}

#[test]
fn what_a_destructor_initialises_is_dropped_in_its_turn() {
    in_root_fiber(|| {
        let log = Log::new();
        let theirs = log.clone();
        let mut fiber = spawn(move || {
            let log = theirs.clone();
            hold(&A, says(&theirs, "A"));
            let initialises = move || {
                log.push("B");
                hold(&C, says(&log, "C"));
                let inner = log.clone();
                let again = move || {
                    inner.push("D");
                    // They had their turn.
                    assert!(holds(&B).is_err());
                };
                hold(&D, OnDrop(again));
            };
            hold(&B, OnDrop(initialises));
        });
        fiber.join().wait().unwrap();
        assert_eq!(log.take(), ["B", "D", "C", "A"]);
    });
}

#[test]
fn destructors_that_initialise_each_other_come_to_an_end() {
    const KEYS: [&LocalKey<Slot>; 4] = [&A, &B, &C, &D];
    struct Again(Count);
    impl Drop for Again {
        fn drop(&mut self) {
            self.0.add();
            for key in KEYS {
                let _ = key.try_with(|slot| {
                    let old = slot.replace(Some(Box::new(Again(self.0.clone()))));
                    // What is replaced must not do it again.
                    mem::forget(old);
                });
            }
        }
    }
    in_root_fiber(|| {
        let dropped = Count::new();
        let theirs = dropped.clone();
        let mut fiber = spawn(move || hold(&A, Again(theirs)));
        fiber.join().wait().unwrap();
        assert_eq!(dropped.get(), 4);
    });
}

#[test]
fn a_destructor_that_panics_is_reported_and_the_rest_is_dropped() {
    let child = in_child(|| {
        in_root_fiber(|| {
            let drops = Drops::new();
            let tokens = (drops.token(), drops.token());
            let body = move || {
                hold(&A, tokens.0);
                hold(&B, OnDrop(|| panic_any("in a destructor")));
                hold(&C, tokens.1);
                1
            };
            let mut fiber = switchback::Builder::new().name("main").spawn(body).unwrap();
            assert_eq!(fiber.join().wait().unwrap(), 1);
            assert_eq!(drops.count(), 2);
        });
    });
    if let Some(child) = child {
        let report = "a destructor of a fiber-local of fiber 'main' panicked with message \"in a \
                      destructor\"";
        child.assert_reported(report, 1);
    }
}

#[test]
fn a_destructor_whose_panic_panics_when_it_is_dropped_is_no_abort() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(Bomb);
        }
    }
    let child = in_child(|| {
        in_root_fiber(|| {
            let body = || hold(&A, OnDrop(|| panic_any(Bomb)));
            spawn(body).wait().unwrap();
        });
    });
    if let Some(child) = child {
        child.assert_reported("a destructor of a fiber-local of fiber", 1);
    }
}

#[test]
fn a_cancel_in_a_destructor_ends_that_destructor_only() {
    let child = in_child(|| {
        in_paused(|| async {
            let (cancelled, other) = (InDrop::new(), InDrop::new());
            let (first, second) = (cancelled.clone(), other.clone());
            let mut fiber = spawn(move || {
                hold(&A, second.guard(|| sleep(ms(1)).wait()));
                hold(&B, first.guard(|| pending().wait()));
                "the result stands"
            });
            settle().await;
            cancelled.assert_stuck();
            assert!(fiber.cancel());
            assert_eq!(fiber.join().await.unwrap(), "the result stands");
            cancelled.assert_stuck();
            other.assert_completed();
        });
    });
    if let Some(child) = child {
        child.assert_success();
        assert_eq!(child.stderr, "");
    }
}

#[test]
fn a_cancel_that_nobody_heard_of_reaches_the_first_destructor_that_waits() {
    in_async(|| async {
        let seen = Log::new();
        let theirs = seen.clone();
        let mut fiber = spawn(move || {
            let log = theirs.clone();
            let second = move || log.push(yield_now().wait_or_cancelled().map_err(message));
            let first = move || theirs.push(yield_now().wait_or_cancelled().map_err(message));
            hold(&A, OnDrop(second));
            hold(&B, OnDrop(first));
            current_fiber().unwrap().cancel_with("too late");
        });
        fiber.join().await.unwrap();
        assert_eq!(seen.take(), [Err(Some("too late".to_owned())), Ok(())]);
    });
}

fn message(cancelled: Cancelled) -> Option<String> {
    cancelled.message().map(str::to_owned)
}

#[test]
fn a_close_reaches_each_destructor_that_waits() {
    in_async(|| async {
        let marks = [InDrop::new(), InDrop::new()];
        let theirs = marks.clone();
        let mut fiber = spawn(move || {
            hold(&A, theirs[0].guard(|| pending().wait()));
            hold(&B, theirs[1].guard(|| pending().wait()));
            1
        });
        settle().await;
        Hub::current().close().await;
        assert_eq!(fiber.join().await.unwrap(), 1);
        marks.iter().for_each(InDrop::assert_stuck);
    });
}

#[test]
fn the_values_of_a_fiber_that_panics_are_dropped_when_it_does_not_unwind_any_more() {
    in_async(|| async {
        let unwinding = Rc::new(Cell::new(None));
        let theirs = unwinding.clone();
        let mut fiber = spawn(move || {
            let looks = move || {
                yield_now().wait();
                theirs.set(Some(thread::panicking()));
            };
            hold(&A, OnDrop(looks));
            resume_unwind(Box::new("in the body"));
        });
        assert!(fiber.join().await.unwrap_err().is_panic());
        assert_eq!(unwinding.get(), Some(false));
    });
}

#[test]
fn the_values_of_a_fiber_that_is_cancelled_are_dropped() {
    in_async(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let mut fiber = spawn(move || {
            hold(&A, theirs.guard(|| yield_now().wait()));
            pending::<()>().wait();
        });
        settle().await;
        fiber.cancel();
        assert!(fiber.join().await.unwrap_err().is_cancelled());
        marks.assert_completed();
    });
}

#[test]
fn a_closure_that_is_cancelled_before_it_ran_may_use_them() {
    in_async(|| async {
        let marks = InDrop::new();
        let (of_local, seen) = (marks.clone(), Log::new());
        let theirs = seen.clone();
        let captured = OnDrop(move || {
            theirs.push(holds(&A));
            hold(&A, of_local.guard(|| yield_now().wait()));
        });
        let fiber = spawn(move || drop(captured));
        fiber.cancel();
        assert!(fiber.await.unwrap_err().is_cancelled());
        assert_eq!(seen.take(), [Ok(false)]);
        marks.assert_completed();
    });
}

// Results that nobody takes.

/// A result whose destructor says whether `A` holds something.
fn looks_at_a(log: &Log<&'static str>) -> impl Any + use<> {
    let log = log.clone();
    OnDrop(move || {
        log.push(match holds(&A) {
            Ok(true) => "result, with A",
            Ok(false) => "result, with a new A",
            Err(_) => "result, without A",
        });
    })
}

#[test]
fn a_detached_result_goes_before_the_values_and_may_use_them() {
    in_async(|| async {
        let log = Log::new();
        let theirs = log.clone();
        drop(spawn(move || {
            hold(&A, says(&theirs, "A"));
            looks_at_a(&theirs)
        }));
        settle().await;
        assert_eq!(log.take(), ["result, with A", "A"]);
    });
}

#[test]
fn what_a_detached_result_initialises_is_dropped() {
    in_async(|| async {
        let log = Log::new();
        let theirs = log.clone();
        drop(spawn(move || {
            OnDrop(move || {
                theirs.push("result");
                hold(&A, says(&theirs, "A"));
            })
        }));
        settle().await;
        assert_eq!(log.take(), ["result", "A"]);
    });
}

#[test]
fn a_result_that_is_detached_late_comes_after_the_values() {
    in_async(|| async {
        let (log, go_on) = (Log::new(), Rc::new(Notify::new()));
        let (theirs, notified) = (log.clone(), go_on.clone());
        let fiber = spawn(move || {
            let waits = theirs.clone();
            let waits = move || {
                notified.notified().wait();
                waits.push("A");
            };
            hold(&A, OnDrop(waits));
            let own = current_fiber().unwrap();
            OnDrop(move || {
                // Neither what was dropped nor what never was.
                assert!(holds(&A).is_err() && holds(&D).is_err());
                assert!(own.is_alive());
                theirs.push("result");
            })
        });
        settle().await;
        let alive = fiber.handle();
        drop(fiber);
        assert!(alive.is_alive());
        go_on.notify_one();
        settle().await;
        assert_eq!(log.take(), ["A", "result"]);
        assert!(!alive.is_alive());
    });
}

#[test]
fn a_result_that_is_detached_late_and_panics_when_it_is_dropped_is_reported() {
    let child = in_child(|| {
        in_async(|| async {
            let go_on = Rc::new(Notify::new());
            let notified = go_on.clone();
            let fiber = spawn(move || {
                hold(&A, OnDrop(move || notified.notified().wait()));
                OnDrop(|| panic_any("too late"))
            });
            settle().await;
            drop(fiber);
            go_on.notify_one();
            settle().await;
        });
    });
    if let Some(child) = child {
        child.assert_reported("panicked with message \"too late\", and nobody joins it", 1);
    }
}

#[test]
fn a_detached_panic_may_use_the_values_when_it_is_dropped() {
    let child = in_child(|| {
        in_async(|| async {
            static HELD: Mutex<Option<bool>> = Mutex::new(None);
            struct Payload;
            impl Drop for Payload {
                fn drop(&mut self) {
                    *HELD.lock().unwrap() = holds(&A).ok();
                }
            }
            drop(spawn(|| {
                hold(&A, 1);
                resume_unwind(Box::new(Payload));
            }));
            settle().await;
            assert_eq!(*HELD.lock().unwrap(), Some(true));
        });
    });
    if let Some(child) = child {
        child.assert_reported("panicked, and nobody joins it", 1);
    }
}

#[test]
fn a_joined_result_does_not_find_the_values_of_its_fiber() {
    in_root_fiber(|| {
        let log = Log::new();
        let theirs = log.clone();
        let mut fiber = spawn(move || {
            hold(&A, says(&theirs, "A"));
            looks_at_a(&theirs)
        });
        let result = fiber.join().wait().unwrap();
        hold(&A, "of the joiner");
        drop(result);
        assert_eq!(log.take(), ["A", "result, with A"]);
    });
}

#[test]
fn a_fiber_that_is_forgotten_ends_as_ever() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        mem::forget(spawn(move || hold(&A, token)));
        settle().await;
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_fiber_that_was_never_started_drops_what_its_closure_initialises() {
    in_async(|| async {
        let drops = Drops::new();
        let mut token = Some(drops.token());
        let captured = OnDrop(move || hold(&A, token.take()));
        drop(Fiber::new(move || drop(captured)));
        settle().await;
        assert_eq!(drops.count(), 1);
    });
}

// Abrupt ends.

#[test]
fn an_abrupt_end_drops_the_values() {
    watched(|| {
        let drops = Drops::new();
        let runtime = runtime();
        let tokens = (drops.token(), drops.token());
        let fiber = runtime.block_on(async {
            let fiber = spawn(move || {
                hold(&A, tokens.0);
                let _local = tokens.1;
                pending::<()>().wait();
            });
            settle().await;
            fiber
        });
        drop(runtime);
        assert_eq!(drops.count(), 2);
        assert!(fiber.wait().unwrap_err().is_cancelled());
    });
}

#[test]
fn an_abrupt_end_drops_what_closures_that_never_ran_initialise() {
    watched(|| {
        let drops = Drops::new();
        let runtime = runtime();
        let mut token = Some(drops.token());
        let captured = OnDrop(move || hold(&A, token.take()));
        runtime.block_on(async { drop(spawn(move || drop(captured))) });
        drop(runtime);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn an_abrupt_end_ends_a_destructor_that_waits_and_drops_the_rest() {
    watched(|| {
        let (drops, marks) = (Drops::new(), InDrop::new());
        let runtime = runtime();
        let (token, theirs) = (drops.token(), marks.clone());
        let fiber = runtime.block_on(async {
            let fiber = spawn(move || {
                hold(&A, token);
                hold(&B, theirs.guard(|| pending().wait()));
                "the result stands"
            });
            settle().await;
            fiber
        });
        drop(runtime);
        marks.assert_stuck();
        assert_eq!(drops.count(), 1);
        assert_eq!(fiber.wait().unwrap(), "the result stands");
    });
}

/// A runtime is dropped over a fiber with this body, which cannot be unwound.
#[track_caller]
fn assert_abandoned(body: impl FnOnce(Token) + Send + 'static) {
    let child = in_child_of(&test_of(&body), || {
        watched(move || {
            let drops = Drops::new();
            let token = drops.token();
            let runtime = runtime();
            let fiber = runtime.block_on(async {
                let fiber = spawn(move || body(token));
                settle().await;
                fiber
            });
            drop(runtime);
            assert_eq!(drops.count(), 0);
            let error = fiber.wait().unwrap_err();
            assert!(error.to_string().contains("was abandoned"), "{error}");
        });
    });
    if let Some(child) = child {
        child.assert_reported("waited again while it was being ended", 1);
    }
}

#[test]
fn the_values_of_an_abandoned_fiber_are_never_dropped() {
    assert_abandoned(|token| {
        hold(&A, token);
        let _guard = OnDrop(|| yield_now().wait());
        pending::<()>().wait();
    });
}

#[test]
fn a_fiber_that_is_abandoned_in_a_destructor_keeps_the_rest_for_ever() {
    assert_abandoned(|token| {
        hold(&A, token);
        hold(&B, OnDrop(|| yield_now().wait()));
        pending::<()>().wait();
    });
}

#[test]
fn the_values_of_a_fiber_that_its_thread_leaves_behind_are_never_dropped() {
    let child = in_child(|| {
        let drops = Drops::new();
        let token = drops.token();
        watched(move || {
            let runtime = runtime();
            runtime.block_on(async {
                spawn(move || {
                    hold(&A, token);
                    pending::<()>().wait();
                });
                settle().await;
            });
            mem::forget(runtime);
        });
        assert_eq!(drops.count(), 0);
    });
    if let Some(child) = child {
        child.assert_reported("a thread ended with suspended fibers on its hub", 1);
    }
}

// Bridges.

#[test]
fn the_values_of_a_bridge_are_dropped_before_its_result_is_there() {
    in_async(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let result = bridge(move || {
            hold(&A, theirs.guard(|| yield_now().wait()));
            1
        });
        assert_eq!(result.await, 1);
        marks.assert_completed();
    });
}

#[test]
#[allow(unsafe_code)]
fn the_values_of_a_borrowing_bridge_are_dropped_before_its_result_is_there() {
    in_async(|| async {
        let (marks, mut data) = (InDrop::new(), 0);
        let theirs = marks.clone();
        // SAFETY: it is awaited here and nowhere else.
        let bridge = unsafe {
            bridge_borrowed(|| {
                hold(&A, theirs.guard(|| yield_now().wait()));
                data += 1;
            })
        };
        bridge.await;
        marks.assert_completed();
        assert_eq!(data, 1);
    });
}

#[test]
fn a_destructor_that_panics_in_a_bridge_is_reported() {
    let child = in_child(|| {
        in_async(|| async {
            let drops = Drops::new();
            let token = drops.token();
            let result = bridge(move || {
                hold(&A, token);
                hold(&B, OnDrop(|| panic_any("in a destructor")));
                1
            });
            assert_eq!(result.await, 1);
            assert_eq!(drops.count(), 1);
        });
    });
    if let Some(child) = child {
        let report = "a destructor of a fiber-local panicked with message \"in a destructor\"";
        child.assert_reported(report, 1);
    }
}

#[test]
fn the_values_of_a_dropped_bridge_are_dropped() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let mut bridge = Box::pin(bridge(move || {
            hold(&A, token);
            pending::<()>().wait();
        }));
        assert!(poll_once(bridge.as_mut()).is_pending());
        assert_eq!(drops.count(), 0);
        drop(bridge);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_bridge_that_is_dropped_unpolled_drops_what_its_closure_initialises() {
    watched(|| {
        let drops = Drops::new();
        let mut token = Some(drops.token());
        let captured = OnDrop(move || {
            assert_eq!(holds(&A), Ok(false));
            hold(&A, token.take());
        });
        drop(bridge(move || drop(captured)));
        assert_eq!(drops.count(), 1);
        assert_eq!(holds(&A), Ok(false));
    });
}

#[test]
fn the_result_of_a_dropped_bridge_may_use_the_values() {
    watched(|| {
        let log = Log::new();
        let theirs = log.clone();
        let mut bridge = Box::pin(bridge(move || {
            hold(&A, says(&theirs, "A"));
            let _ = catch_cancel(|| pending::<()>().wait());
            looks_at_a(&theirs)
        }));
        assert!(poll_once(bridge.as_mut()).is_pending());
        drop(bridge);
        assert_eq!(log.take(), ["result, with A", "A"]);
    });
}

#[test]
fn a_bridge_that_is_dropped_while_a_destructor_waits_drops_the_rest_and_the_result() {
    watched(|| {
        let log = Log::new();
        let theirs = log.clone();
        let mut bridge = Box::pin(bridge(move || {
            hold(&A, says(&theirs, "A"));
            hold(&B, OnDrop(|| pending().wait()));
            looks_at_a(&theirs)
        }));
        assert!(poll_once(bridge.as_mut()).is_pending());
        assert_eq!(log.len(), 0);
        drop(bridge);
        assert_eq!(log.take(), ["A", "result, without A"]);
    });
}

#[test]
fn the_values_of_a_forgotten_bridge_are_never_dropped() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let mut bridge = Box::pin(bridge(move || {
            hold(&A, token);
            pending::<()>().wait();
        }));
        assert!(poll_once(bridge.as_mut()).is_pending());
        mem::forget(bridge);
        assert_eq!(drops.count(), 0);
    });
}

// The end of a thread.

#[test]
fn a_thread_drops_its_values_when_it_exits_the_last_first() {
    let dropped = Arc::new(Mutex::new(Vec::new()));
    let says = |name: &'static str| {
        let dropped = dropped.clone();
        OnDrop(move || dropped.lock().unwrap().push(name))
    };
    let (a, b) = (says("A"), says("B"));
    watched(move || {
        hold(&A, a);
        hold(&B, b);
        in_root_fiber(|| hold(&A, "of a fiber"));
    });
    assert_eq!(*dropped.lock().unwrap(), ["B", "A"]);
}

#[test]
fn destructors_of_a_thread_that_exits_find_no_fiber_locals() {
    let found = Arc::new(Mutex::new(Vec::new()));
    let theirs = found.clone();
    watched(move || {
        hold(&A, "not yet dropped");
        let looks = move || {
            let all = [holds(&A), holds(&B), holds(&C)];
            theirs.lock().unwrap().push(all.map(|held| held.is_ok()));
        };
        hold(&B, OnDrop(looks));
    });
    assert_eq!(*found.lock().unwrap(), [[false; 3]]);
}

#[test]
fn a_destructor_that_panics_when_its_thread_exits_is_reported_and_the_rest_is_dropped() {
    let child = in_child(|| {
        let drops = Drops::new();
        let token = drops.token();
        watched(move || {
            hold(&A, token);
            hold(&B, OnDrop(|| panic_any("in a destructor")));
        });
        assert_eq!(drops.count(), 1);
    });
    if let Some(child) = child {
        let report = "a destructor of a fiber-local panicked with message \"in a destructor\"";
        child.assert_reported(report, 1);
    }
}
