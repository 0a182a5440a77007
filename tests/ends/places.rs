//! Where a hub can live, and how it ends there.

// Fibers that outlive the block that made them are what is tested here.
#![allow(clippy::async_yields_async)]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use switchback::{
    Builder, Fiber, Hub, JoinError, current_fiber, in_fiber, park, prelude::*, run, sleep, spawn,
    yield_now,
};
use tokio::runtime::{LocalRuntime, Runtime};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::support::{
    Drops, Log, OnDrop, forever, in_async, in_child, in_paused, ms, multi_thread_runtime, panic_of,
    runtime, watched,
};

/// What works wherever there is a hub.
async fn everything_works() {
    let mut fiber = spawn(|| {
        let child = spawn(|| {
            sleep(ms(1)).wait();
            yield_now().wait();
            sleep(Duration::ZERO).wait();
            1
        });
        let task = tokio::spawn(async {
            tokio::time::sleep(ms(1)).await;
            2
        });
        let thread = tokio::task::spawn_blocking(|| 3);
        child.wait().unwrap() + task.wait().unwrap() + thread.wait().unwrap()
    });
    assert_eq!(fiber.join().await.unwrap(), 6);
    yield_now().await;
    sleep(ms(1)).await;
    sleep(Duration::ZERO).await;
}

#[tokio::test]
async fn in_a_tokio_test() {
    everything_works().await;
}

#[tokio::test(flavor = "current_thread")]
async fn in_a_current_thread_test() {
    everything_works().await;
}

#[tokio::test(flavor = "local")]
async fn in_a_local_test() {
    everything_works().await;
    let task = tokio::task::spawn_local(async { spawn(|| Rc::new(4)).await.unwrap() });
    assert_eq!(*task.await.unwrap(), 4);
    // Its fibers may spawn local tasks too.
    let fiber = spawn(|| {
        tokio::task::spawn_local(async { Rc::new(5) })
            .wait()
            .unwrap()
    });
    assert_eq!(*fiber.await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_multi_thread_test() {
    Hub::run_until(everything_works()).await;
}

#[test]
fn in_the_main_task_of_a_runtime() {
    in_async(everything_works);
}

#[test]
fn in_a_local_runtime() {
    watched(|| {
        let runtime = LocalRuntime::new().unwrap();
        runtime.block_on(everything_works());
        runtime.block_on(everything_works());
    });
}

#[test]
fn in_a_task_of_a_current_thread_runtime() {
    in_async(|| async {
        let task = tokio::spawn(async { spawn(|| 1).await.unwrap() });
        assert_eq!(task.await.unwrap(), 1);
    });
}

#[test]
fn in_a_local_set() {
    watched(|| {
        let runtime = runtime();
        LocalSet::new().block_on(&runtime, everything_works());
        runtime.block_on(LocalSet::new().run_until(everything_works()));
        runtime.block_on(async {
            let set = LocalSet::new();
            set.spawn_local(everything_works());
            set.await;
        });
    });
}

#[test]
fn run_until_on_the_main_task_of_a_multi_thread_runtime() {
    watched(|| {
        let runtime = multi_thread_runtime();
        for _ in 0..3 {
            let value = runtime.block_on(Hub::run_until(async {
                everything_works().await;
                7
            }));
            assert_eq!(value, 7);
        }
    });
}

#[test]
fn run_until_on_several_threads_of_one_multi_thread_runtime() {
    watched(|| {
        let runtime = multi_thread_runtime();
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| runtime.block_on(Hub::run_until(everything_works())));
            }
        });
    });
}

#[test]
fn run_until_in_a_local_set_lets_fibers_spawn_local_tasks() {
    let body = || async {
        let fiber = spawn(|| {
            tokio::task::spawn_local(async { Rc::new(5) })
                .wait()
                .unwrap()
        });
        assert_eq!(*fiber.await.unwrap(), 5);
        everything_works().await;
    };
    watched(move || {
        for runtime in [runtime(), multi_thread_runtime()] {
            runtime.block_on(LocalSet::new().run_until(Hub::run_until(body())));
            LocalSet::new().block_on(&runtime, Hub::run_until(body()));
        }
    });
}

#[test]
fn run_until_shares_a_hub_made_before() {
    in_async(|| async {
        let mut before = spawn(|| {
            park();
            1
        });
        let id = Hub::run_until(async {
            let mut inside = spawn(|| 2);
            assert_eq!(inside.join().await.unwrap(), 2);
            inside.id()
        })
        .await;
        // The hub is not closed: its own task still drives it.
        assert!(before.is_alive());
        assert_ne!(before.id(), id);
        before.handle().unpark();
        assert_eq!(before.join().await.unwrap(), 1);
        assert_eq!(spawn(|| 3).await.unwrap(), 3);
    });
}

#[test]
fn run_until_shares_the_hub_of_another_run_until() {
    in_async(|| async {
        let set = LocalSet::new();
        let (tx, rx) = oneshot::channel::<()>();
        let (to_first, from_second) = oneshot::channel();
        let first = set.spawn_local(Hub::run_until(async {
            let fiber: Fiber<u32> = from_second.await.unwrap();
            let value = fiber.await.unwrap();
            tx.send(()).unwrap();
            value
        }));
        let second = set.spawn_local(Hub::run_until(async {
            to_first.send(spawn(|| 8)).unwrap();
            rx.await.unwrap();
        }));
        set.await;
        assert_eq!(first.await.unwrap(), 8);
        second.await.unwrap();
    });
}

#[test]
fn the_last_run_until_closes_the_shared_hub() {
    in_async(|| async {
        let set = LocalSet::new();
        let drops = Drops::new();
        let token = drops.token();
        let (tx, rx) = oneshot::channel::<()>();
        let short = set.spawn_local(Hub::run_until(async {
            drop(spawn(move || {
                let _token = token;
                pending::<()>().wait();
            }));
            yield_now().await;
        }));
        let seen = drops.clone();
        let long = set.spawn_local(Hub::run_until(async move {
            rx.await.unwrap();
            assert_eq!(seen.count(), 0);
        }));
        set.run_until(short).await.unwrap();
        assert_eq!(drops.count(), 0);
        tx.send(()).unwrap();
        set.run_until(long).await.unwrap();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn run_until_twice_in_sequence_makes_two_hubs() {
    watched(|| {
        for runtime in [runtime(), multi_thread_runtime()] {
            runtime.block_on(async {
                for _ in 0..3 {
                    Hub::run_until(everything_works()).await;
                }
            });
        }
    });
}

#[test]
fn run_until_cancels_what_is_left() {
    in_async(|| async {
        let drops = Drops::new();
        let late = Log::new();
        let (token, log) = (drops.token(), late.clone());
        let fiber = Hub::run_until(async {
            let fiber = spawn(move || {
                let _token = token;
                // It may wait while it unwinds.
                let _guard = OnDrop(|| {
                    sleep(ms(1)).wait();
                    log.push("waited");
                });
                pending::<()>().wait();
            });
            yield_now().await;
            fiber
        })
        .await;
        assert_eq!(drops.count(), 1);
        assert_eq!(late.take(), ["waited"]);
        let error = fiber.await.unwrap_err();
        let why = error.cancelled().unwrap().message();
        assert_eq!(why, Some("the hub is closing"));
    });
}

#[test]
fn a_close_is_sticky() {
    watched(|| {
        let caught = Drops::new();
        let counter = caught.clone();
        run(move || {
            drop(spawn(move || {
                for _ in 0..3 {
                    let wait = || pending::<()>().wait();
                    catch_unwind(wait).unwrap_err();
                    drop(counter.token());
                }
            }));
            yield_now().wait();
        })
        .unwrap();
        assert_eq!(caught.count(), 3);
    });
}

#[test]
fn run_until_inside_a_fiber_shares_the_fibers_hub() {
    in_async(|| async {
        let fiber = spawn(|| {
            let me = current_fiber().unwrap().id();
            let value = Hub::run_until(async {
                assert!(!in_fiber());
                everything_works().await;
                spawn(|| 4).await.unwrap()
            })
            .wait();
            assert_eq!(current_fiber().unwrap().id(), me);
            yield_now().wait();
            value
        });
        assert_eq!(fiber.await.unwrap(), 4);
        everything_works().await;
    });
}

#[test]
fn run_until_nests_in_fibers_of_run_until() {
    fn nest(depth: u32) -> u32 {
        if depth == 0 {
            return 0;
        }
        let inner = Hub::run_until(async move { spawn(move || nest(depth - 1)).await.unwrap() });
        inner.wait() + 1
    }
    watched(|| {
        for runtime in [runtime(), multi_thread_runtime()] {
            let value = runtime.block_on(Hub::run_until(async {
                let beside = spawn(|| (0..100).for_each(|_| yield_now().wait()));
                let value = spawn(|| nest(5)).await.unwrap();
                beside.await.unwrap();
                value
            }));
            assert_eq!(value, 5);
        }
    });
}

#[test]
fn run_gives_the_value_of_the_root_fiber() {
    watched(|| {
        let value = run(|| {
            async { everything_works().await }.wait();
            // The runtime is a local one.
            *tokio::task::spawn_local(async { Rc::new(3) })
                .wait()
                .unwrap()
        });
        assert_eq!(value.unwrap(), 3);
        // A thread can do it again.
        assert_eq!(*run(|| Rc::new(4)).unwrap(), 4);
    });
}

#[test]
fn run_ends_when_every_fiber_has_ended() {
    watched(|| {
        let drops = Drops::new();
        let (waiting, unstarted, chain) = (drops.token(), drops.token(), drops.token());
        let fibers = run(move || {
            let waiting = spawn(move || {
                let _token = waiting;
                let _guard = OnDrop(|| sleep(ms(1)).wait());
                pending::<()>().wait();
            });
            let unstarted = Fiber::new(move || drop(unstarted));
            let chain = spawn(move || {
                let _token = chain;
                let inner = spawn(|| pending::<()>().wait());
                inner.wait().unwrap_err();
                sleep(ms(1)).wait();
            });
            yield_now().wait();
            [waiting, unstarted, chain]
        });
        assert_eq!(drops.count(), 3);
        for fiber in fibers.unwrap() {
            assert!(!fiber.is_alive());
            assert!(!fiber.start());
            assert!(fiber.wait().unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn the_builder_of_a_hub_sets_its_options() {
    fn deep(kib: usize) -> usize {
        let page = std::hint::black_box([1_u8; 1024]);
        match kib {
            0 => 0,
            _ => deep(kib - 1) + usize::from(page[kib % 1024]),
        }
    }
    watched(|| {
        let builder = Hub::builder()
            .name("parser")
            .stack_size(16 << 20)
            .max_cached_stacks(0);
        let debug = format!("{builder:?}");
        assert!(debug.contains("parser"), "{debug}");
        let result = builder.clone().run(|| {
            assert_eq!(Hub::current().name(), "parser");
            assert!(format!("{:?}", Hub::current()).contains("parser"));
            (deep(3 << 10), spawn(|| deep(3 << 10)).wait().unwrap())
        });
        assert_eq!(result.unwrap(), (3 << 10, 3 << 10));
        let small = Hub::builder().stack_size(1).max_cached_stacks(1);
        small.run(|| spawn(|| ()).wait().unwrap()).unwrap();
    });
}

#[test]
fn a_hub_knows_its_runtime() {
    in_async(|| async {
        let here = tokio::runtime::Handle::current().id();
        assert_eq!(Hub::current().runtime().id(), here);
        let inside = spawn(|| Hub::current().runtime().id());
        assert_eq!(inside.await.unwrap(), here);
    });
}

#[test]
fn two_runtimes_in_turn_have_a_hub_each() {
    watched(|| {
        let runtimes = [runtime(), runtime(), multi_thread_runtime()];
        let fibers: Vec<_> = runtimes[..2]
            .iter()
            .map(|runtime| {
                runtime.block_on(async {
                    let fiber = spawn(|| {
                        park();
                        Hub::current().runtime().id()
                    });
                    yield_now().await;
                    fiber
                })
            })
            .collect();
        runtimes[2].block_on(Hub::run_until(everything_works()));
        for fiber in &fibers {
            // A wake from where the other runtime is current.
            runtimes[0].block_on(async { fiber.handle().unpark() });
        }
        for (runtime, mut fiber) in runtimes.iter().zip(fibers) {
            let id = runtime.block_on(async { fiber.join().await.unwrap() });
            assert_eq!(id, runtime.handle().id());
            runtime.block_on(everything_works());
        }
    });
}

#[test]
fn a_fiber_joins_one_of_another_hub_of_its_thread() {
    watched(|| {
        let other = runtime();
        let fiber = other.block_on(async { spawn(|| 5) });
        other.block_on(async { yield_now().await });
        let value = run(move || fiber.wait().unwrap());
        assert_eq!(value.unwrap(), 5);
    });
}

#[test]
fn a_hub_made_in_an_entered_runtime_runs_when_it_is_driven() {
    watched(|| {
        let runtime = runtime();
        let mut fiber = {
            let _current = runtime.enter();
            spawn(in_fiber)
        };
        assert!(fiber.is_alive());
        assert!(runtime.block_on(async { fiber.join().await.unwrap() }));
    });
}

/// Lets tokio's tasks have several turns.
async fn some_turns() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Runs `body` as the main task of `runtime` on a thread of its own.
fn driven_elsewhere<F: Future<Output = ()>>(
    runtime: &Arc<Runtime>,
    body: impl FnOnce() -> F + Send + 'static,
) {
    let runtime = runtime.clone();
    thread::spawn(move || runtime.block_on(async { body().await }))
        .join()
        .unwrap();
}

#[test]
fn a_hub_whose_runtime_is_driven_elsewhere_stands_still_and_goes_on() {
    watched(|| {
        let runtime = Arc::new(runtime());
        let here = thread::current().id();
        let (tx, rx) = oneshot::channel();
        let mut fiber = runtime.block_on(async {
            let fiber = spawn(move || {
                rx.wait().unwrap();
                thread::current().id()
            });
            yield_now().await;
            fiber
        });
        let handle = fiber.handle();
        driven_elsewhere(&runtime, || async move {
            tx.send(()).unwrap();
            some_turns().await;
            assert!(handle.is_alive());
        });
        // A join from its own thread brings it back.
        let id = runtime.block_on(async { fiber.join().await.unwrap() });
        assert_eq!(id, here);
        runtime.block_on(everything_works());
    });
}

#[test]
fn a_dormant_hub_goes_on_with_a_new_fiber() {
    watched(|| {
        let runtime = Arc::new(runtime());
        let (tx, rx) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        runtime.block_on(async {
            drop(spawn(|| done.send(rx.wait().unwrap()).unwrap()));
            yield_now().await;
        });
        driven_elsewhere(&runtime, || async move {
            tx.send(6).unwrap();
            some_turns().await;
        });
        let value = runtime.block_on(async {
            drop(spawn(|| ()));
            is_done.await.unwrap()
        });
        assert_eq!(value, 6);
    });
}

#[test]
fn a_dormant_hub_says_so_once() {
    let child = in_child(|| {
        watched(|| {
            let runtime = Arc::new(runtime());
            let fiber = runtime.block_on(async { spawn(park) });
            runtime.block_on(some_turns());
            for _ in 0..3 {
                let handle = fiber.handle();
                driven_elsewhere(&runtime, || async move {
                    handle.unpark();
                    some_turns().await;
                });
            }
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
    // The thread has the name of the test.
    let warning = "a runtime is driven by another thread than 'places::a_dormant_hub_says_so_once'";
    child.assert_reported(warning, 1);
}

#[test]
fn a_dormant_fiber_can_be_waited_for_where_its_runtime_is_driven() {
    watched(|| {
        let runtime = Arc::new(runtime());
        let (tx, rx) = oneshot::channel();
        let mut fiber = runtime.block_on(async {
            let fiber = spawn(|| rx.wait().unwrap());
            yield_now().await;
            fiber
        });
        // The join begins elsewhere, and ends when the hub's thread is back.
        let (asked, has_asked) = mpsc::channel();
        let other = runtime.clone();
        let joiner = thread::spawn(move || {
            other.block_on(async {
                tx.send(9).unwrap();
                some_turns().await;
                let mut cx = Context::from_waker(Waker::noop());
                assert!(pin!(fiber.join()).poll(&mut cx).is_pending());
            });
            asked.send(()).unwrap();
            fiber.wait().unwrap()
        });
        has_asked.recv().unwrap();
        runtime.block_on(async {
            // Any wake on the hub's own thread will do.
            spawn(|| ()).await.unwrap();
        });
        assert_eq!(joiner.join().unwrap(), 9);
    });
}

const NEVER_RAN: &str = "never ran: its hub was made on a thread that does not drive its runtime";
const LOST: &str = "was lost with its hub: the hub's thread ended, or its runtime was dropped on \
    another thread";

/// The fiber's join fails, and says why.
#[track_caller]
fn assert_fails(result: Result<(), JoinError>, why: &str) {
    let error = result.unwrap_err();
    assert!(error.is_cancelled());
    assert!(error.cancelled().is_none());
    assert_eq!(error.to_string(), format!("fiber '{}' {why}", error.name()));
}

#[test]
fn a_hub_that_is_first_driven_elsewhere_fails_its_joins() {
    watched(|| {
        let runtime = Arc::new(runtime());
        let (early, late) = {
            let _current = runtime.enter();
            (spawn(|| ()), spawn(|| ()))
        };
        let joiner = thread::spawn(move || early.wait());
        driven_elsewhere(&runtime, some_turns);
        assert_fails(joiner.join().unwrap(), NEVER_RAN);
        assert!(!late.is_alive());
        assert!(!late.cancel());
        assert_fails(late.wait(), NEVER_RAN);
        // The thread may have a hub there once it drives the runtime.
        runtime.block_on(everything_works());
    });
}

#[test]
fn the_thread_that_drives_a_runtime_takes_its_hub_over() {
    watched(|| {
        let runtime = Arc::new(runtime());
        let lost = {
            let _current = runtime.enter();
            spawn(|| ())
        };
        driven_elsewhere(&runtime, || async {
            // Before the other hub's task has run at all.
            everything_works().await;
            assert_fails(lost.await, NEVER_RAN);
        });
    });
}

#[test]
fn the_closure_of_a_fiber_that_never_ran_is_dropped_at_home() {
    watched(|| {
        let runtime = Arc::new(runtime());
        let drops = Drops::new();
        let token = drops.token();
        let fiber = {
            let _current = runtime.enter();
            spawn(move || drop(token))
        };
        driven_elsewhere(&runtime, some_turns);
        driven_elsewhere(&runtime, || async { assert_fails(fiber.await, NEVER_RAN) });
        assert_eq!(drops.count(), 0);
        runtime.block_on(everything_works());
        assert_eq!(drops.count(), 1);
    });
}

/// A current-thread runtime with a fiber in each state. When it is dropped, the
/// log tells what each fiber could do.
fn fibers_in_each_state(log: &Log<&'static str>) -> (Runtime, Vec<Fiber<()>>) {
    let runtime = runtime();
    let fibers = runtime.block_on(async {
        let named = |name: &str| Builder::new().name(name);
        let mut fibers = Vec::new();
        let end = |what: &'static str| {
            let log = log.clone();
            OnDrop(move || log.push(what))
        };

        let guard = end("new: closure dropped");
        fibers.push(named("new").create(move || drop(guard)).unwrap());

        let guard = end("waiting: unwound");
        let waiting = named("waiting").spawn(move || {
            let _guard = guard;
            pending::<()>().wait();
        });
        fibers.push(waiting.unwrap());

        let guard = end("in a destructor: unwound");
        let in_destructor = named("in a destructor").spawn(move || {
            let _guard = guard;
            // Not unwinding yet: the end is thrown from here.
            drop(OnDrop(|| pending::<()>().wait()));
        });
        fibers.push(in_destructor.unwrap());

        let guard = end("never: its stack is leaked");
        let waits_again = named("waits again").spawn(move || {
            let _guard = guard;
            let _waits = OnDrop(|| yield_now().wait());
            pending::<()>().wait();
        });
        fibers.push(waits_again.unwrap());

        let (guard, caught) = (
            end("never: its stack is leaked"),
            end("catches: caught once"),
        );
        let mut caught = Some(caught);
        let catches = named("catches").spawn(move || {
            let _guard = guard;
            loop {
                let wait = || pending::<()>().wait();
                catch_unwind(wait).unwrap_err();
                drop(caught.take());
            }
        });
        fibers.push(catches.unwrap());

        let told = log.clone();
        let errors = named("errors").spawn(move || {
            let wait = || pending::<()>().wait_timeout(Duration::from_secs(60));
            let cancel = catch_unwind(wait).unwrap_err();
            // Told once by an unwind, then by errors.
            let error = wait().unwrap_err();
            assert_eq!(
                error.to_string(),
                "the hub has ended and the fiber cannot wait",
            );
            told.push("errors: told by an error");
            resume_unwind(cancel);
        });
        fibers.push(errors.unwrap());

        some_turns().await;
        let guard = end("queued: closure dropped");
        fibers.push(named("queued").spawn(move || drop(guard)).unwrap());
        fibers
    });
    (runtime, fibers)
}

#[test]
fn a_runtime_dropped_on_its_thread_ends_every_fiber() {
    let child = in_child(|| {
        watched(|| {
            let log = Log::new();
            let (runtime, mut fibers) = fibers_in_each_state(&log);
            log.take();
            let joined_elsewhere = fibers.remove(1);
            let joiner = thread::spawn(move || joined_elsewhere.wait());
            drop(runtime);
            // In the order in which they were made.
            assert_eq!(
                log.take(),
                [
                    "new: closure dropped",
                    "waiting: unwound",
                    "in a destructor: unwound",
                    "catches: caught once",
                    "errors: told by an error",
                    "queued: closure dropped",
                ],
            );
            let error = joiner.join().unwrap().unwrap_err();
            assert!(error.is_cancelled());
            for fiber in fibers {
                assert!(!fiber.is_alive(), "{fiber:?}");
                let name = fiber.name().to_owned();
                let error = fiber.wait().unwrap_err().to_string();
                let why = match name.as_str() {
                    "waits again" | "catches" => "was abandoned",
                    _ => "was cancelled: the hub has ended",
                };
                assert!(error.contains(why), "{error}");
            }
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
    for name in ["waits again", "catches"] {
        let warning = format!("fiber '{name}' waited again while it was being ended");
        child.assert_reported(&warning, 1);
    }
    child.assert_reported("its stack is leaked", 2);
}

#[test]
fn a_fiber_abandoned_in_its_own_panic_leaves_the_thread_usable() {
    let child = in_child(|| {
        watched(|| {
            let runtime = runtime();
            let fiber = runtime.block_on(async {
                let fiber = spawn(|| {
                    let _guard = OnDrop(|| pending::<()>().wait());
                    resume_unwind(Box::new("its own panic"));
                });
                some_turns().await;
                fiber
            });
            drop(runtime);
            assert!(fiber.wait().unwrap_err().is_cancelled());
            self::runtime().block_on(everything_works());
            run(|| async { everything_works().await }.wait()).unwrap();
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
    child.assert_reported("this thread counts as panicking", 1);
}

#[test]
fn run_until_dropped_half_way_ends_its_fibers() {
    watched(|| {
        for runtime in [runtime(), multi_thread_runtime()] {
            runtime.block_on(async {
                let drops = Drops::new();
                let (waiting, queued) = (drops.token(), drops.token());
                let (tx, rx) = mpsc::channel();
                let hub = Hub::run_until(async move {
                    let fiber = spawn(move || {
                        let _token = waiting;
                        pending::<()>().wait();
                    });
                    tx.send(fiber).unwrap();
                    yield_now().await;
                    drop(spawn(move || drop(queued)));
                    pending::<()>().await;
                });
                tokio::time::timeout(ms(5), hub).await.unwrap_err();
                assert_eq!(drops.count(), 2);
                let error = rx.recv().unwrap().await.unwrap_err();
                let why = error.cancelled().unwrap().message();
                assert_eq!(why, Some("the hub has ended"));
                Hub::run_until(everything_works()).await;
            });
        }
    });
}

#[test]
fn run_until_that_is_never_polled_does_nothing() {
    in_async(|| async {
        drop(Hub::run_until(async {}));
        assert!(Hub::try_current().is_none());
        everything_works().await;
    });
}

#[test]
fn run_until_whose_future_panics_ends_its_fibers() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let panic = panic_of(|| {
            runtime().block_on(Hub::run_until(async {
                drop(spawn(move || {
                    let _token = token;
                    // Not taken for this fiber's own unwinding.
                    pending::<()>().wait();
                }));
                yield_now().await;
                panic!("in the main task");
            }))
        });
        assert_eq!(panic.message, "in the main task");
        assert_eq!(drops.count(), 1);
        assert!(!thread::panicking());
    });
}

#[test]
fn a_runtime_dropped_by_a_panic_ends_its_fibers() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let panic = panic_of(|| {
            let runtime = runtime();
            runtime.block_on(async {
                drop(spawn(move || {
                    let _token = token;
                    pending::<()>().wait();
                }));
                yield_now().await;
            });
            panic!("outside");
        });
        assert_eq!(panic.message, "outside");
        assert_eq!(drops.count(), 1);
        runtime().block_on(everything_works());
    });
}

#[test]
fn a_runtime_shut_down_inside_a_fiber_of_another_ends_its_fibers() {
    watched(|| {
        let other = runtime();
        let drops = Drops::new();
        let token = drops.token();
        other.block_on(async {
            drop(spawn(move || {
                let _token = token;
                pending::<()>().wait();
            }));
            yield_now().await;
        });
        run(move || {
            let me = current_fiber().unwrap().id();
            other.shutdown_background();
            assert_eq!(current_fiber().unwrap().id(), me);
            async { everything_works().await }.wait();
        })
        .unwrap();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_runtime_dropped_on_another_thread_loses_its_fibers() {
    let child = in_child(|| {
        watched(|| {
            let log = Log::new();
            let (runtime, mut fibers) = fibers_in_each_state(&log);
            log.take();
            let joined_elsewhere = fibers.remove(1);
            let joiner = thread::spawn(move || joined_elsewhere.wait());
            thread::spawn(move || drop(runtime)).join().unwrap();
            assert_fails(joiner.join().unwrap(), LOST);
            assert_eq!(log.len(), 0, "nothing runs on the other thread");
            for fiber in fibers {
                assert!(!fiber.is_alive());
                assert_fails(fiber.wait(), LOST);
            }
            self::runtime().block_on(everything_works());
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
}

#[test]
fn a_thread_that_ends_leaks_its_fibers_and_says_so() {
    let child = in_child(|| {
        watched(|| {
            let drops = Drops::new();
            let (token, (tx, rx)) = (drops.token(), mpsc::channel());
            let hubs_thread = thread::spawn(move || {
                let runtime = runtime();
                let log = Log::new();
                runtime.block_on(async {
                    let lost = Builder::new().name("lost").spawn(move || {
                        let _token = token;
                        pending::<()>().wait();
                    });
                    some_turns().await;
                    tx.send(lost.unwrap()).unwrap();
                });
                std::mem::forget(fibers_in_each_state(&log));
                // The runtime outlives the thread's hub.
                runtime
            });
            let mut fiber = rx.recv().unwrap();
            let joiner = thread::spawn(move || {
                let result = fiber.join().wait();
                (result, fiber)
            });
            let runtime = hubs_thread.join().unwrap();
            let (result, fiber) = joiner.join().unwrap();
            assert_fails(result, LOST);
            assert!(!fiber.is_alive());
            fiber.handle().unpark();
            assert!(!fiber.handle().cancel());
            assert_eq!(drops.count(), 0, "its stack is leaked");
            // The runtime can have a hub on this thread now.
            runtime.block_on(everything_works());
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
    let warning = "a thread ended with suspended fibers on its hub; their stacks are leaked";
    child.assert_reported(warning, 2);
    child.assert_reported("leaked: lost", 1);
}

#[test]
fn a_runtime_in_a_thread_local_is_no_abort() {
    let child = in_child(|| {
        thread_local! {
            static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
        }
        for hub_first in [false, true] {
            let body = move || {
                let runtime = runtime();
                if !hub_first {
                    RUNTIME.set(None);
                }
                runtime.block_on(async {
                    drop(spawn(|| pending::<()>().wait()));
                    yield_now().await;
                });
                RUNTIME.set(Some(runtime));
            };
            thread::spawn(body).join().unwrap();
        }
    });
    let Some(child) = child else { return };
    child.assert_success();
}

#[test]
fn the_end_of_the_process_is_no_abort() {
    let child = in_child(|| {
        let runtime = runtime();
        runtime.block_on(async {
            drop(spawn(|| {
                let _guard = OnDrop(|| println!("unwound"));
                pending::<()>().wait();
            }));
            yield_now().await;
        });
        std::mem::forget(runtime);
        std::process::exit(0);
    });
    let Some(child) = child else { return };
    child.assert_success();
    assert!(!child.stdout.contains("unwound"), "{child:#?}");
}

/// Gives its waker away and is never ready.
async fn give_waker_away(to: mpsc::Sender<Waker>) {
    poll_fn(|cx| {
        let _ = to.send(cx.waker().clone());
        Poll::Pending
    })
    .await
}

#[test]
fn a_waker_that_outlives_fiber_hub_and_thread_is_harmless() {
    watched(|| {
        let (tx, wakers) = mpsc::channel();
        let hubs_thread = thread::spawn(move || {
            let runtime = runtime();
            runtime.block_on(async {
                let of_an_ended_fiber = tx.clone();
                let mut fiber = spawn(move || {
                    let late = give_waker_away(of_an_ended_fiber).wait_timeout(ms(1));
                    late.unwrap_err();
                });
                fiber.join().await.unwrap();
                drop(spawn(move || give_waker_away(tx).wait()));
                some_turns().await;
            });
            let waker = wakers.recv().unwrap();
            waker.wake_by_ref();
            runtime.block_on(async {
                waker.wake_by_ref();
                everything_works().await;
            });
            drop(runtime);
            waker.wake_by_ref();
            self::runtime().block_on(everything_works());
            let all: Vec<_> = wakers.try_iter().chain([waker]).collect();
            all.iter().for_each(Waker::wake_by_ref);
            all
        });
        let all = hubs_thread.join().unwrap();
        assert!(all.len() >= 2);
        for waker in all {
            waker.wake_by_ref();
            let clone = waker.clone();
            thread::spawn(move || clone.wake()).join().unwrap();
            drop(waker);
        }
    });
}

#[test]
fn a_stale_waker_never_ends_the_wait_of_another_fiber() {
    in_async(|| async {
        let (tx, wakers) = mpsc::channel();
        let fiber = spawn(move || give_waker_away(tx).wait_timeout(ms(1)).unwrap_err());
        fiber.await.unwrap();
        let stale = wakers.recv().unwrap();
        let ended = Rc::new(Cell::new(false));
        let sets = ended.clone();
        // It has the place of the first one in the hub's table.
        let next = spawn(move || {
            park();
            sets.set(true);
        });
        for _ in 0..10 {
            stale.wake_by_ref();
            let elsewhere = stale.clone();
            thread::spawn(move || elsewhere.wake()).join().unwrap();
            yield_now().await;
        }
        assert!(!ended.get());
        next.handle().unpark();
        next.await.unwrap();
        stale.wake();
        yield_now().await;
    });
}

#[test]
fn fibers_left_by_many_runtimes_of_one_thread_do_not_mix() {
    watched(|| {
        let drops = Drops::new();
        for round in 0..50 {
            let token = drops.token();
            let runtime = runtime();
            runtime.block_on(async {
                drop(spawn(move || {
                    let _token = token;
                    pending::<()>().wait();
                }));
                assert_eq!(spawn(move || round).await.unwrap(), round);
            });
            drop(runtime);
            assert_eq!(drops.count(), round + 1);
        }
    });
}

#[test]
fn a_task_that_owns_fibers_is_dropped_with_its_runtime() {
    watched(|| {
        let drops = Drops::new();
        let tokens = [drops.token(), drops.token(), drops.token()];
        let runtime = runtime();
        runtime.block_on(async {
            let [started, unstarted, ended] = tokens;
            let fibers = (
                spawn(move || {
                    let _token = started;
                    pending::<()>().wait();
                }),
                Fiber::new(move || drop(unstarted)),
                spawn(move || ended),
            );
            tokio::spawn(async move {
                let _fibers = fibers;
                pending::<()>().await;
            });
            some_turns().await;
        });
        assert_eq!(drops.count(), 0);
        drop(runtime);
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn an_abrupt_end_reaches_fibers_through_a_catch() {
    watched(|| {
        let log = Log::new();
        let seen = log.clone();
        let runtime = runtime();
        let fiber = runtime.block_on(async move {
            let fiber = spawn(move || {
                let wait = AssertUnwindSafe(|| pending::<()>().wait());
                let payload = catch_unwind(wait).unwrap_err();
                let cancelled = payload.downcast::<switchback::Cancelled>().unwrap();
                seen.push(cancelled.to_string());
                "it goes on without a wait"
            });
            some_turns().await;
            fiber
        });
        drop(runtime);
        assert_eq!(log.take(), ["cancelled: the hub has ended"]);
        assert_eq!(fiber.wait().unwrap(), "it goes on without a wait");
    });
}

#[test]
fn run_until_on_threads_that_may_block() {
    watched(|| {
        let runtime = multi_thread_runtime();
        runtime.block_on(async {
            let blocking = || Hub::run_until(everything_works()).wait();
            tokio::task::spawn_blocking(blocking).await.unwrap();
        });
        let _current = runtime.enter();
        Hub::run_until(everything_works()).wait();
        futures::executor::block_on(Hub::run_until(everything_works()));
    });
}

#[test]
fn run_until_dropped_while_it_closes_ends_its_fibers() {
    let child = in_child(|| {
        in_paused(|| async {
            let drops = Drops::new();
            let token = drops.token();
            let hub = Hub::run_until(async move {
                drop(spawn(move || {
                    let _token = token;
                    let closed = || pending::<()>().wait();
                    catch_unwind(closed).unwrap_err();
                    // It can be joined by nobody, so it is the end that ends it.
                    drop(OnDrop(|| {
                        catch_unwind(closed).unwrap_err();
                    }));
                }));
                let stuck = Builder::new().name("stuck").spawn(|| {
                    let _guard = OnDrop(|| pending::<()>().wait());
                    pending::<()>().wait();
                });
                drop(stuck.unwrap());
                yield_now().await;
            });
            tokio::time::timeout(ms(20), hub).await.unwrap_err();
            assert_eq!(drops.count(), 1);
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
    let warning = "fiber 'stuck' waited again while it was being ended";
    child.assert_reported(warning, 1);
}

#[test]
fn a_destructor_may_try_to_spawn_while_its_runtime_goes() {
    watched(|| {
        for with_a_hub in [false, true] {
            let runtime = runtime();
            runtime.block_on(async {
                if with_a_hub {
                    everything_works().await;
                }
                tokio::spawn(async {
                    let _guard = OnDrop(|| {
                        // Whether there is still a hub is a matter of order.
                        let _ = catch_unwind(|| Builder::new().spawn(|| ()).map(drop));
                    });
                    pending::<()>().await;
                });
                some_turns().await;
            });
            drop(runtime);
        }
        runtime().block_on(everything_works());
    });
}

#[test]
fn joins_end_however_their_hub_is_lost() {
    let child = in_child(|| {
        watched(|| {
            let elsewhere = Arc::new(multi_thread_runtime());
            for round in 0..100 {
                let tasks = elsewhere.handle().clone();
                let hubs_thread = thread::spawn(move || {
                    let runtime = runtime();
                    let joins: Vec<_> = runtime.block_on(async {
                        let joins = (0..10).map(|i| {
                            let body = move || {
                                (0..i).for_each(|_| yield_now().wait());
                                if i % 2 == 0 {
                                    pending::<()>().wait();
                                }
                            };
                            tasks.spawn(spawn(body))
                        });
                        let joins = joins.collect();
                        for _ in 0..round % 10 {
                            tokio::task::yield_now().await;
                        }
                        joins
                    });
                    match round % 3 {
                        0 => std::mem::forget(runtime),
                        1 => drop(runtime),
                        _ => thread::spawn(move || drop(runtime)).join().unwrap(),
                    }
                    joins
                });
                let joins = hubs_thread.join().unwrap();
                elsewhere.block_on(async {
                    for (i, join) in joins.into_iter().enumerate() {
                        match join.await.unwrap() {
                            Ok(()) => assert_eq!(i % 2, 1),
                            Err(error) => assert!(error.is_cancelled()),
                        }
                    }
                });
            }
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
}

#[test]
fn a_task_that_yields_goes_on_when_its_hub_is_dropped() {
    in_async(|| async {
        let mut hub = Box::pin(Hub::run_until(pending::<()>()));
        let first = poll_fn(|cx| Poll::Ready(hub.as_mut().poll(cx))).await;
        assert!(first.is_pending());
        let yields = tokio::spawn(yield_now());
        let sleeps = tokio::spawn(sleep(Duration::ZERO));
        // They are polled, and so in the queue of the hub.
        tokio::task::yield_now().await;
        drop(hub);
        yields.await.unwrap();
        sleeps.await.unwrap();
    });
}

#[test]
fn run_until_begins_while_another_closes() {
    watched(|| {
        for runtime in [runtime(), multi_thread_runtime()] {
            let set = LocalSet::new();
            let drops = Drops::new();
            let token = drops.token();
            let closing = set.spawn_local(Hub::run_until(async move {
                drop(spawn(move || {
                    let _token = token;
                    let _guard = OnDrop(|| sleep(ms(20)).wait());
                    pending::<()>().wait();
                }));
                yield_now().await;
            }));
            let next = set.spawn_local(async {
                tokio::time::sleep(ms(5)).await;
                Hub::run_until(everything_works()).await;
            });
            set.block_on(&runtime, async {
                next.await.unwrap();
                closing.await.unwrap();
            });
            assert_eq!(drops.count(), 1);
        }
    });
}

#[test]
fn run_until_on_the_wrong_thread_does_not_fail_a_hub_that_has_yet_to_run() {
    in_async(|| async {
        // Its hub was not polled yet.
        let fiber = spawn(|| 1);
        let runtime = tokio::runtime::Handle::current();
        let wrong = thread::spawn(move || {
            let _current = runtime.enter();
            panic_of(|| futures::executor::block_on(Hub::run_until(async {}))).message
        });
        let message = wrong.join();
        assert_eq!(fiber.await.unwrap(), 1);
        assert!(message.unwrap().contains("belongs to the thread"));
    });
}

#[test]
fn a_dormant_hub_goes_on_as_soon_as_its_thread_drives_again() {
    watched(|| {
        let runtime = Arc::new(runtime());
        let (tx, rx) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        runtime.block_on(async {
            drop(spawn(|| done.send(rx.wait().unwrap()).unwrap()));
            yield_now().await;
        });
        driven_elsewhere(&runtime, || async move {
            tx.send(6).unwrap();
            some_turns().await;
        });
        assert_eq!(runtime.block_on(is_done).unwrap(), 6);
    });
}

#[test]
fn a_wait_inside_a_runtime_nested_in_a_fiber_is_refused() {
    let child = in_child(|| {
        watched(|| {
            multi_thread_runtime().block_on(Hub::run_until(async {
                let mut nested = spawn(|| {
                    tokio::task::block_in_place(|| {
                        runtime().block_on(async { sleep(ms(1)).wait() });
                    });
                });
                let beside = spawn(|| (0..10).for_each(|_| sleep(ms(1)).wait()));
                assert!(nested.join().await.unwrap_err().is_panic());
                beside.await.unwrap();
                everything_works().await;
            }));
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
}

#[test]
fn run_until_inside_a_fiber_does_not_outlive_the_hub_that_closes() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        run(|| {
            drop(spawn(move || {
                let _token = token;
                Hub::run_until(pending::<()>()).wait();
            }));
            yield_now().wait();
        })
        .unwrap();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn run_until_inside_a_fiber_does_not_outlive_its_runtime() {
    watched(|| {
        let runtime = runtime();
        let fiber = runtime.block_on(async {
            let fiber = spawn(|| Hub::run_until(pending::<()>()).wait());
            some_turns().await;
            fiber
        });
        drop(runtime);
        assert!(fiber.wait().unwrap_err().is_cancelled());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_thread_keeps_nothing_of_a_runtime_that_is_gone() {
    let child = in_child(|| {
        watched(|| {
            // A runtime has files of its own.
            let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
            let kinds: [fn(); 4] = [
                || runtime().block_on(async { spawn(|| ()).await.unwrap() }),
                || run(|| ()).unwrap(),
                || runtime().block_on(Hub::run_until(async { spawn(|| ()).await.unwrap() })),
                || multi_thread_runtime().block_on(Hub::run_until(async {})),
            ];
            for (kind, use_a_runtime) in kinds.into_iter().enumerate() {
                use_a_runtime();
                let before = files();
                (0..10).for_each(|_| use_a_runtime());
                assert_eq!(files(), before, "kind {kind}");
            }
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
}

// What `run` leaves behind.

/// Runs a hub that is left with a fiber that waits for ever.
fn run_leaves_a_fiber() {
    let result = switchback::run(|| {
        drop(spawn(forever));
        yield_now().wait();
        42
    });
    println!("run: {result:?}");
}

#[test]
fn run_returns_in_a_destructor_of_a_thread_that_unwinds() {
    let child = in_child(|| {
        let unwound = catch_unwind(|| {
            let _runs = OnDrop(run_leaves_a_fiber);
            panic!("around the run");
        });
        assert!(unwound.is_err());
        assert!(!std::thread::panicking());
    });
    let Some(child) = child else { return };
    child.assert_success();
    assert!(child.stdout.contains("run: Ok(42)"), "{child:#?}");
}

#[test]
fn run_returns_on_a_thread_with_an_abandoned_stack_that_was_unwinding() {
    let child = in_child(|| {
        let runtime = runtime();
        runtime.block_on(async {
            drop(spawn(|| {
                let _waits = OnDrop(forever);
                forever();
            }));
            yield_now().await;
        });
        drop(runtime);
        assert!(
            std::thread::panicking(),
            "the stack was leaked half unwound"
        );
        run_leaves_a_fiber();
        // Nothing else is as it was on this thread.
        std::process::exit(0);
    });
    let Some(child) = child else { return };
    child.assert_success();
    assert!(child.stdout.contains("run: Ok(42)"), "{child:#?}");
}
