//! Joining, detaching, and what becomes of closures and results.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::mem;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use futures::future::FutureExt as _;
use switchback::{
    Builder, Fiber, FiberHandle, Hub, JoinError, catch_cancel, current_fiber, in_fiber, park,
    prelude::*, sleep, spawn, yield_now,
};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio_test::{assert_pending, assert_ready, task};

use crate::support::{
    Drops, OnDrop, in_async, in_child, in_paused, in_root_fiber, ms, multi_thread_runtime,
    panic_of, runtime, text, watched,
};

/// A fiber that panics with `message`, without a line on stderr.
fn failing<T: 'static>(name: &str, message: &'static str) -> Fiber<T> {
    let body = move || -> T { std::panic::resume_unwind(Box::new(message)) };
    Builder::new().name(name).spawn(body).unwrap()
}

#[test]
fn join_from_another_task_of_the_runtime() {
    in_async(|| async {
        let (tx, rx) = oneshot::channel();
        let mut fiber = spawn(move || rx.wait().unwrap() + 1);
        let joiner = tokio::spawn(async move { fiber.join().await.unwrap() });
        tokio::task::yield_now().await;
        tx.send(41).unwrap();
        assert_eq!(joiner.await.unwrap(), 42);
    });
}

#[test]
fn join_from_a_fiber_and_from_a_local_task() {
    in_async(|| async {
        let set = LocalSet::new();
        let inner = spawn(|| Rc::new(1));
        let outer = spawn(move || *inner.wait().unwrap() + 1);
        let task = set.spawn_local(async move { outer.await.unwrap() + 1 });
        set.await;
        assert_eq!(task.await.unwrap(), 3);
    });
}

#[test]
fn a_select_that_loses_can_be_asked_again() {
    in_paused(|| async {
        let mut fiber = spawn(|| {
            sleep(ms(35)).wait();
            "done"
        });
        let mut lost = 0;
        let result = loop {
            tokio::select! {
                result = fiber.join() => break result,
                () = sleep(ms(10)) => lost += 1,
            }
        };
        assert_eq!(result.unwrap(), "done");
        assert_eq!(lost, 3);
    });
}

#[test]
fn a_fiber_is_joined_on_another_runtime() {
    watched(|| {
        let elsewhere = multi_thread_runtime();
        let tasks = elsewhere.handle().clone();
        runtime().block_on(async move {
            let (tx, rx) = oneshot::channel::<u32>();
            let mut early = spawn(move || rx.wait().unwrap());
            let hub_thread = thread::current().id();
            let joiner = tasks.spawn(async move {
                assert_ne!(thread::current().id(), hub_thread);
                early.join().await.unwrap()
            });
            tokio::time::sleep(ms(5)).await;
            tx.send(9).unwrap();
            assert_eq!(joiner.await.unwrap(), 9);

            let late = spawn(|| 10);
            yield_now().await;
            assert!(!late.is_alive());
            assert_eq!(tasks.spawn(late).await.unwrap().unwrap(), 10);
        });
    });
}

#[test]
fn many_fibers_are_joined_on_another_runtime() {
    watched(|| {
        let elsewhere = multi_thread_runtime();
        let tasks = elsewhere.handle().clone();
        runtime().block_on(async move {
            for round in 0..20 {
                let joiners: Vec<_> = (0..50_u64)
                    .map(|i| {
                        let fiber = spawn(move || {
                            (0..i % 4).for_each(|_| yield_now().wait());
                            i + round
                        });
                        tasks.spawn(fiber)
                    })
                    .collect();
                for (i, joiner) in (0..).zip(joiners) {
                    assert_eq!(joiner.await.unwrap().unwrap(), i + round);
                }
            }
        });
    });
}

#[test]
fn a_join_dropped_half_way_loses_nothing() {
    in_async(|| async {
        let (tx, rx) = oneshot::channel();
        let mut fiber = spawn(move || rx.wait().unwrap());
        for _ in 0..3 {
            let mut join = task::spawn(fiber.join());
            assert_pending!(join.poll());
            yield_now().await;
            assert_pending!(join.poll());
        }
        tx.send("kept").unwrap();
        for _ in 0..3 {
            yield_now().await;
            // Not polled: the result is taken only by a poll.
            drop(fiber.join());
        }
        assert_eq!(fiber.join().await.unwrap(), "kept");
    });
}

#[test]
fn a_join_wakes_the_last_that_asked() {
    in_async(|| async {
        let (tx, rx) = oneshot::channel::<()>();
        let mut fiber = spawn(move || rx.wait().unwrap());
        let mut first = task::spawn(());
        let mut second = task::spawn(());
        first.enter(|cx, _| assert!(Pin::new(&mut fiber).poll(cx).is_pending()));
        second.enter(|cx, _| assert!(Pin::new(&mut fiber).poll(cx).is_pending()));
        tx.send(()).unwrap();
        yield_now().await;
        assert!(second.is_woken());
        assert!(!first.is_woken());
        fiber.await.unwrap();
    });
}

#[test]
fn a_joiner_that_takes_its_result_late_leaves_the_others_to_be_told() {
    in_async(|| async {
        let (tx, rx) = oneshot::channel::<()>();
        let (other_tx, other_rx) = oneshot::channel::<()>();
        let mut fiber = spawn(move || rx.wait().unwrap());
        let mut other = spawn(move || other_rx.wait().unwrap());
        let mut late = task::spawn(());
        let mut waits = task::spawn(());
        late.enter(|cx, _| assert!(Pin::new(&mut fiber).poll(cx).is_pending()));
        tx.send(()).unwrap();
        yield_now().await;
        assert!(late.is_woken());
        // It gets what the hub had for the one that was told.
        waits.enter(|cx, _| assert!(Pin::new(&mut other).poll(cx).is_pending()));
        late.enter(|cx, _| assert!(Pin::new(&mut fiber).poll(cx).is_ready()));
        other_tx.send(()).unwrap();
        yield_now().await;
        assert!(waits.is_woken());
        other.await.unwrap();
    });
}

#[test]
fn a_join_of_an_ended_fiber_is_ready_at_once() {
    in_async(|| async {
        let mut fiber = spawn(|| 1);
        yield_now().await;
        assert!(!fiber.is_alive());
        let mut join = task::spawn(fiber.join());
        assert_eq!(assert_ready!(join.poll()).unwrap(), 1);
    });
}

#[test]
fn a_fiber_is_a_future() {
    in_async(|| async {
        assert_eq!(spawn(|| 1).await.unwrap(), 1);
        let both = tokio::join!(spawn(|| 2), spawn(|| "three"));
        assert_eq!((both.0.unwrap(), both.1.unwrap()), (2, "three"));
        let root = spawn(|| spawn(|| 4).wait().unwrap());
        assert_eq!(root.await.unwrap(), 4);
    });
}

#[test]
fn the_future_starts_a_fiber_that_was_not_started() {
    in_async(|| async {
        assert_eq!(Fiber::new(|| 1).await.unwrap(), 1);
    });
}

#[test]
fn the_joiner_of_a_panic_gets_payload_and_name() {
    in_async(|| async {
        let mut fiber: Fiber<()> = failing("fragile", "oops");
        let error = fiber.join().await.unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert!(error.cancelled().is_none());
        assert_eq!(error.name(), "fragile");
        assert_eq!(error.id(), fiber.id());
        assert_eq!(
            error.to_string(),
            "fiber 'fragile' panicked with message \"oops\"",
        );
        assert_eq!(text(&*error.into_panic()), "oops");
    });
}

#[test]
fn any_payload_reaches_the_joiner() {
    #[derive(Debug, PartialEq)]
    struct Payload(u8);
    in_root_fiber(|| {
        let mut fiber = spawn(|| std::panic::resume_unwind(Box::new(Payload(5))));
        let error: JoinError = match fiber.join().wait() {
            Ok(()) => unreachable!("it panics"),
            Err(error) => error,
        };
        assert_eq!(
            error.to_string(),
            format!("fiber '{}' panicked", fiber.name())
        );
        let payload = error.try_into_panic().unwrap();
        assert_eq!(*payload.downcast::<Payload>().unwrap(), Payload(5));
    });
}

#[test]
fn a_formatted_panic_reaches_the_joiner() {
    in_root_fiber(|| {
        let panic = panic_of(|| {
            let mut fiber = spawn(|| panic!("number {}", 7));
            let error = fiber.join().wait().unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("panicked with message \"number 7\"")
            );
            assert_eq!(text(&*error.into_panic()), "number 7");
        });
        // The hook ran, once and in the place of the panic.
        assert_eq!(
            (panic.message.as_str(), panic.file.as_str()),
            ("number 7", file!())
        );
    });
}

#[test]
fn a_detached_panic_does_not_disturb_the_others() {
    let child = in_child(|| {
        in_async(|| async {
            let mut others: Vec<_> = (0..10)
                .map(|i| {
                    spawn(move || {
                        (0..i).for_each(|_| yield_now().wait());
                        i
                    })
                })
                .collect();
            drop(failing::<()>("early", "nobody cares"));
            let late: Fiber<()> = failing("late", "too late");
            yield_now().await;
            // It has ended, with a panic, when its `Fiber` goes.
            assert!(!late.is_alive());
            drop(late);
            for (i, other) in others.iter_mut().enumerate() {
                assert_eq!(other.join().await.unwrap(), i);
            }
            let mut joined: Fiber<()> = failing("joined", "told");
            joined.join().await.unwrap_err();
            drop(joined);
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
    for (name, times) in [("early", 1), ("late", 1), ("joined", 0)] {
        child.assert_reported(&format!("fiber '{name}' panicked"), times);
    }
    child.assert_reported("and nobody joins it", 2);
}

#[test]
fn the_output_is_given_once() {
    in_async(|| async {
        let mut fiber = spawn(|| 1);
        assert_eq!((&mut fiber).await.unwrap(), 1);
        let name = fiber.name().to_owned();
        let expected = format!(
            "the result of fiber '{name}' was taken by an earlier join; keep what that returned"
        );
        assert_eq!(panic_of(|| drop(fiber.join())).message, expected);
        let mut again = task::spawn(&mut fiber);
        assert_eq!(panic_of(|| again.poll()).message, expected);
    });
}

#[test]
fn a_failed_join_is_given_once() {
    in_async(|| async {
        let mut fiber: Fiber<()> = failing("once", "oops");
        fiber.join().await.unwrap_err();
        let panic = panic_of(|| drop(fiber.join()));
        assert_eq!(
            panic.message,
            "the result of fiber 'once' was taken by an earlier join; keep what that returned"
        );
    });
}

/// Runs a fiber that gets its own `Fiber`.
fn with_itself<T: 'static>(body: impl FnOnce(Fiber<()>) -> T + 'static) -> T {
    let (result, itself) = (Rc::new(RefCell::new(None)), Rc::new(RefCell::new(None)));
    let (to_result, from_itself) = (result.clone(), itself.clone());
    let fiber = spawn(move || {
        let fiber = from_itself.take().unwrap();
        let value = body(fiber);
        to_result.replace(Some(value));
    });
    let handle = fiber.handle();
    itself.replace(Some(fiber));
    while handle.is_alive() {
        yield_now().wait();
    }
    result.take().unwrap()
}

#[test]
fn a_fiber_cannot_join_itself() {
    in_root_fiber(|| {
        let panic = with_itself(|mut itself| panic_of(|| drop(itself.join())));
        assert_eq!(
            panic.message,
            "a fiber cannot join itself: it would wait for ever; let another one join it"
        );
        assert_eq!(panic.file, file!());
    });
}

#[test]
fn a_fiber_cannot_wait_for_itself_as_a_future() {
    in_root_fiber(|| {
        let panic = with_itself(|itself| panic_of(|| itself.wait()));
        assert_eq!(
            panic.message,
            "a fiber cannot join itself: it would wait for ever; let another one join it"
        );
        let panic = with_itself(|itself| panic_of(|| async { itself.await.is_ok() }.wait()));
        assert_eq!(
            panic.message,
            "a fiber cannot join itself: it would wait for ever; let another one join it"
        );
    });
}

#[test]
fn a_fiber_starts_once() {
    in_async(|| async {
        let runs = Rc::new(Cell::new(0));
        let counter = runs.clone();
        let mut fiber = Fiber::new(move || counter.set(counter.get() + 1));
        yield_now().await;
        assert_eq!(runs.get(), 0);
        assert!(fiber.is_alive() && fiber.handle().is_alive());
        assert!(fiber.start());
        assert!(!fiber.start());
        yield_now().await;
        assert_eq!(runs.get(), 1);
        assert!(!fiber.is_alive() && !fiber.handle().is_alive());
        assert!(!fiber.start());
        fiber.join().await.unwrap();
        assert!(!fiber.start());
        yield_now().await;
        assert_eq!(runs.get(), 1);
    });
}

#[test]
fn a_fiber_can_be_started_on_another_thread() {
    in_root_fiber(|| {
        let fiber = Fiber::new(|| thread::current().id());
        let fiber = thread::spawn(move || {
            assert!(fiber.start());
            fiber
        });
        let fiber = tokio::task::spawn_blocking(|| fiber.join().unwrap());
        assert_eq!(
            fiber.wait().unwrap().wait().unwrap(),
            thread::current().id()
        );
    });
}

#[test]
fn join_starts_the_fiber() {
    in_async(|| async {
        let mut fiber = Fiber::new(|| 1);
        let join = fiber.join();
        drop(join);
        yield_now().await;
        assert!(!fiber.is_alive());
        assert_eq!(fiber.join().await.unwrap(), 1);
    });
}

/// Tells where it was dropped, after a wait there.
struct WhereDropped(Arc<AtomicBool>);

impl WhereDropped {
    fn new() -> (WhereDropped, Arc<AtomicBool>) {
        let on_a_fiber = Arc::new(AtomicBool::new(false));
        (WhereDropped(on_a_fiber.clone()), on_a_fiber)
    }
}

impl Drop for WhereDropped {
    fn drop(&mut self) {
        if in_fiber() {
            yield_now().wait();
            sleep(ms(1)).wait();
            self.0.store(in_fiber(), Ordering::SeqCst);
        }
    }
}

/// Gives way until the fiber has ended.
async fn ended(fiber: &FiberHandle) {
    while fiber.is_alive() {
        sleep(ms(1)).await;
    }
}

#[test]
fn the_closure_of_an_unstarted_fiber_is_dropped_on_its_stack() {
    in_paused(|| async {
        let (guard, on_a_fiber) = WhereDropped::new();
        let fiber = Fiber::new(move || drop(guard));
        let handle = fiber.handle();
        drop(fiber);
        assert!(!on_a_fiber.load(Ordering::SeqCst), "not inline");
        ended(&handle).await;
        assert!(on_a_fiber.load(Ordering::SeqCst));
    });
}

#[test]
fn the_closure_of_a_fiber_cancelled_before_it_ran_is_dropped_on_its_stack() {
    in_paused(|| async {
        let (guard, on_a_fiber) = WhereDropped::new();
        let ran = Rc::new(Cell::new(false));
        let runs = ran.clone();
        let mut fiber = spawn(move || {
            runs.set(true);
            drop(guard);
        });
        assert!(fiber.cancel_with("too early"));
        let error = fiber.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("too early"));
        assert!(!ran.get());
        assert!(on_a_fiber.load(Ordering::SeqCst));
    });
}

#[test]
fn an_unstarted_fiber_dropped_on_another_thread_drops_its_closure_at_home() {
    in_paused(|| async {
        let (guard, on_a_fiber) = WhereDropped::new();
        let fiber = Fiber::new(move || drop(guard));
        let handle = fiber.handle();
        thread::spawn(move || drop(fiber)).join().unwrap();
        assert!(handle.is_alive());
        ended(&handle).await;
        assert!(on_a_fiber.load(Ordering::SeqCst));
    });
}

#[test]
fn a_cancelled_unstarted_fiber_is_complete() {
    in_root_fiber(|| {
        let mut fiber = Fiber::new(|| ());
        assert!(fiber.cancel());
        yield_now().wait();
        assert!(!fiber.is_alive());
        assert!(!fiber.start());
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
    });
}

#[test]
fn an_unclaimed_result_is_dropped_on_the_stack_before_the_end() {
    in_paused(|| async {
        let (guard, on_a_fiber) = WhereDropped::new();
        let fiber = spawn(move || guard);
        let handle = fiber.handle();
        drop(fiber);
        ended(&handle).await;
        assert!(on_a_fiber.load(Ordering::SeqCst));
    });
}

#[test]
fn a_fiber_is_alive_while_its_unclaimed_result_is_dropped() {
    in_root_fiber(|| {
        let seen = Rc::new(RefCell::new(None::<FiberHandle>));
        let alive = Rc::new(Cell::new(false));
        let (handle, result) = (seen.clone(), alive.clone());
        let look = OnDrop(move || result.set(handle.borrow().as_ref().unwrap().is_alive()));
        let fiber = spawn(move || look);
        let handle = fiber.handle();
        seen.replace(Some(fiber.handle()));
        drop(fiber);
        yield_now().wait();
        assert!(alive.get());
        assert!(!handle.is_alive());
    });
}

#[test]
fn a_result_that_came_first_is_dropped_by_its_fiber_value() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let fiber = spawn(move || token);
        yield_now().await;
        assert!(!fiber.is_alive());
        assert_eq!(drops.count(), 0);
        drop(fiber);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_joined_result_is_dropped_once_by_the_joiner() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let mut fiber = spawn(move || token);
        let token = fiber.join().await.unwrap();
        drop(fiber);
        assert_eq!(drops.count(), 0);
        drop(token);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn an_unclaimed_result_whose_destructor_panics_is_reported() {
    let child = in_child(|| {
        in_root_fiber(|| {
            let fiber = Builder::new().name("messy");
            drop(
                fiber
                    .spawn(|| OnDrop(|| panic!("in the destructor")))
                    .unwrap(),
            );
            yield_now().wait();
            assert_eq!(spawn(|| 1).wait().unwrap(), 1);
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
    let report = "fiber 'messy' panicked with message \"in the destructor\"";
    child.assert_reported(report, 1);
}

#[test]
fn a_closure_whose_destructor_panics_fails_the_join() {
    in_root_fiber(|| {
        let panic = panic_of(|| {
            let guard = OnDrop(|| panic!("in the destructor"));
            let mut fiber = Fiber::new(move || drop(guard));
            fiber.cancel();
            let error = fiber.join().wait().unwrap_err();
            assert_eq!(text(&*error.into_panic()), "in the destructor");
        });
        assert_eq!(panic.message, "in the destructor");
    });
}

#[test]
fn what_a_closure_owns_is_dropped_before_the_join() {
    in_root_fiber(|| {
        let drops = Drops::new();
        for panics in [false, true] {
            let (before, token) = (drops.count(), drops.token());
            let mut fiber = spawn(move || {
                let _token = token;
                if panics {
                    std::panic::resume_unwind(Box::new(()));
                }
            });
            assert_eq!(fiber.join().wait().is_err(), panics);
            assert_eq!(drops.count(), before + 1);
        }
    });
}

#[test]
fn a_dropped_fiber_value_detaches() {
    in_async(|| async {
        let (tx, rx) = oneshot::channel();
        drop(spawn(|| {
            yield_now().wait();
            tx.send(1).unwrap();
        }));
        assert_eq!(rx.await.unwrap(), 1);
    });
}

#[test]
fn forgetting_a_fiber_or_a_join_is_harmless() {
    in_async(|| async {
        let (tx, rx) = oneshot::channel();
        mem::forget(spawn(|| tx.send(1).unwrap()));
        mem::forget(Fiber::new(|| ()));
        assert_eq!(rx.await.unwrap(), 1);

        let (tx, rx) = oneshot::channel();
        let mut fiber = spawn(|| rx.wait().unwrap());
        let mut join = Box::pin(fiber.join());
        let mut asking = task::spawn(());
        asking.enter(|cx, _| assert!(join.as_mut().poll(cx).is_pending()));
        mem::forget(join);
        tx.send(2).unwrap();
        assert_eq!(fiber.join().await.unwrap(), 2);
    });
}

#[test]
fn is_alive_until_the_end() {
    in_async(|| async {
        let fiber = spawn(park);
        let handle = fiber.handle();
        for _ in 0..3 {
            assert!(fiber.is_alive() && handle.is_alive());
            yield_now().await;
        }
        handle.unpark();
        assert!(handle.is_alive());
        fiber.await.unwrap();
        assert!(!handle.is_alive());
    });
}

#[test]
fn the_error_of_a_cancel_has_the_api_of_tokios() {
    in_root_fiber(|| {
        let cancelled = |message: Option<&'static str>| {
            let fiber = Builder::new().name("c").spawn(|| pending::<()>().wait());
            let mut fiber = fiber.unwrap();
            yield_now().wait();
            match message {
                Some(message) => fiber.cancel_with(message),
                None => fiber.handle().cancel(),
            };
            fiber.join().wait().unwrap_err()
        };
        assert_eq!(cancelled(None).to_string(), "fiber 'c' was cancelled");
        let error = cancelled(Some("no time"));
        assert_eq!(error.to_string(), "fiber 'c' was cancelled: no time");
        assert!(error.is_cancelled() && !error.is_panic());
        assert_eq!(error.cancelled().unwrap().to_string(), "cancelled: no time");
        let debug = format!("{error:?}");
        assert!(
            debug.contains("JoinError") && debug.contains("no time"),
            "{debug}"
        );
        let error = error.try_into_panic().unwrap_err();
        assert_eq!(error.name(), "c");
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert_eq!(error.to_string(), "fiber 'c' was cancelled: no time");
        let inner = error.get_ref().unwrap();
        assert!(inner.is::<JoinError>());
        assert!(inner.source().is_none());
    });
}

#[test]
fn the_error_of_a_panic_converts_too() {
    in_root_fiber(|| {
        let error = failing::<()>("p", "oops").wait().unwrap_err();
        let debug = format!("{error:?}");
        assert!(debug.contains("Panic") && debug.contains("oops"), "{debug}");
        let error = io::Error::from(error);
        assert_eq!(
            error.to_string(),
            "fiber 'p' panicked with message \"oops\""
        );
        let error = error.into_inner().unwrap().downcast::<JoinError>().unwrap();
        assert_eq!(text(&*error.into_panic()), "oops");
    });
}

#[test]
fn rethrowing_a_cancel_counts_as_cancelled() {
    in_root_fiber(|| {
        let mut fiber = spawn(|| {
            let wait = || pending::<()>().wait();
            let payload = std::panic::catch_unwind(wait).unwrap_err();
            std::panic::resume_unwind(payload);
        });
        yield_now().wait();
        fiber.cancel_with("rethrown");
        let error = fiber.join().wait().unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("rethrown"));
    });
}

#[test]
fn a_plain_thread_joins_a_fiber() {
    in_async(|| async {
        let (tx, rx) = oneshot::channel();
        let mut fiber = spawn(move || rx.wait().unwrap());
        let joiner = thread::spawn(move || fiber.join().wait().unwrap());
        tokio::time::sleep(ms(2)).await;
        tx.send(5).unwrap();
        let join = tokio::task::spawn_blocking(|| joiner.join().unwrap());
        assert_eq!(join.await.unwrap(), 5);
    });
}

#[test]
fn a_blocking_task_joins_a_fiber() {
    in_async(|| async {
        let mut fiber = spawn(|| {
            yield_now().wait();
            current_fiber().unwrap().id()
        });
        let id = fiber.id();
        let join = tokio::task::spawn_blocking(move || fiber.join().wait().unwrap());
        assert_eq!(join.await.unwrap(), id);
    });
}

#[test]
fn a_join_on_a_plain_thread_can_time_out_and_be_asked_again() {
    in_async(|| async {
        let (tx, rx) = oneshot::channel();
        let mut fiber = spawn(move || rx.wait().unwrap());
        let joiner = tokio::task::spawn_blocking(move || {
            let lost = fiber.join().wait_timeout(ms(5));
            assert!(lost.is_err());
            tx.send(6).unwrap();
            fiber.join().wait().unwrap()
        });
        assert_eq!(joiner.await.unwrap(), 6);
    });
}

#[test]
fn a_chain_of_joiners_unwinds_when_the_last_is_cancelled() {
    in_root_fiber(|| {
        let last = spawn(|| pending::<()>().wait());
        let handle = last.handle();
        let middle = spawn(move || last.wait().unwrap());
        let mut first = spawn(move || middle.wait().unwrap());
        yield_now().wait();
        let panic = panic_of(|| {
            handle.cancel();
            let error = first.join().wait().unwrap_err();
            assert!(error.is_panic());
        });
        assert!(panic.message.contains("Cancelled"), "{panic:?}");
    });
}

#[test]
fn a_fiber_polled_with_a_waker_that_does_nothing_still_ends() {
    in_async(|| async {
        let mut fiber = spawn(|| 1);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(fiber.join()).poll(&mut cx).is_pending());
        yield_now().await;
        assert!(matches!(
            pin!(fiber.join()).poll(&mut cx),
            Poll::Ready(Ok(1)),
        ));
    });
}

#[test]
fn a_cancel_reaches_a_fiber_while_another_unwinds() {
    in_paused(|| async {
        let ms = ms(1);
        let before = spawn(|| pending::<()>().wait());
        sleep(ms).await;
        let unwinding: Fiber<()> = spawn(move || {
            let _guard = OnDrop(|| sleep(20 * ms).wait());
            std::panic::resume_unwind(Box::new(()))
        });
        sleep(ms).await;
        let since = spawn(|| pending::<()>().wait());
        sleep(ms).await;
        // It was suspended before the other began to unwind: at once.
        before.cancel();
        assert!(before.await.unwrap_err().is_cancelled());
        assert!(unwinding.is_alive());
        // It cannot be told from one that unwinds: when the other has ended.
        since.cancel();
        assert!(since.await.unwrap_err().is_cancelled());
        assert!(!unwinding.is_alive());
        assert!(unwinding.await.unwrap_err().is_panic());
    });
}

#[test]
fn starts_unparks_and_cancels_race_with_joins_of_other_threads() {
    watched(|| {
        let elsewhere = multi_thread_runtime();
        let tasks = elsewhere.handle().clone();
        runtime().block_on(async move {
            for round in 0..100_u64 {
                let mut joins = Vec::new();
                for i in 0..40 {
                    let body = move || {
                        (0..i % 7).for_each(|_| yield_now().wait());
                        if i % 2 == 0 {
                            park();
                        }
                        i
                    };
                    let fiber = match i % 5 {
                        0 => Fiber::new(body),
                        _ => spawn(body),
                    };
                    let handles = [fiber.handle(), fiber.handle()];
                    let [wakes, wakes_too] = handles;
                    joins.push(tasks.spawn(async move {
                        wakes.unpark();
                        if i % 3 == 0 {
                            wakes.cancel();
                        }
                        (i, fiber.await)
                    }));
                    tasks.spawn(async move {
                        wakes_too.unpark();
                        if (round + i) % 4 == 0 {
                            wakes_too.cancel();
                        }
                    });
                }
                for join in joins {
                    match join.await.unwrap() {
                        (i, Ok(value)) => assert_eq!(value, i),
                        (_, Err(error)) => assert!(error.is_cancelled()),
                    }
                }
            }
        });
    });
}

#[test]
fn parked_fibers_miss_no_unpark_of_another_thread() {
    in_root_fiber(|| {
        let fibers: Vec<_> = (0..4)
            .map(|_| spawn(|| (0..500).for_each(|_| park())))
            .collect();
        let threads: Vec<_> = fibers
            .iter()
            .map(|fiber| {
                let handle = fiber.handle();
                thread::spawn(move || {
                    while handle.is_alive() {
                        handle.unpark();
                        thread::yield_now();
                    }
                })
            })
            .collect();
        for fiber in fibers {
            fiber.wait().unwrap();
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_joiner_whose_waker_panics_is_no_abort() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new(()));
        }
    }
    let child = in_child(|| {
        in_async(|| async {
            let mut fiber = spawn(|| 1);
            let waker = Waker::from(Arc::new(Panics));
            let mut cx = Context::from_waker(&waker);
            assert!(pin!(fiber.join()).poll(&mut cx).is_pending());
            yield_now().await;
            assert_eq!(fiber.join().await.unwrap(), 1);
            assert_eq!(spawn(|| 2).await.unwrap(), 2);
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
}

#[test]
fn a_join_that_blocks_the_hubs_own_thread_is_refused() {
    // Named, as every wait that can never end should be: nothing drives the
    // hub while its thread is blocked.
    watched(|| {
        let runtime = runtime();
        let mut fiber = {
            let _current = runtime.enter();
            spawn(|| ())
        };
        panic_of(|| fiber.join().wait().unwrap());
    });
}

#[test]
fn a_join_that_blocks_in_place_on_the_hubs_own_thread_is_refused() {
    watched(|| {
        multi_thread_runtime().block_on(switchback::Hub::run_until(async {
            let mut fiber = spawn(|| ());
            tokio::task::block_in_place(|| {
                panic_of(|| fiber.join().wait().unwrap());
            });
        }));
    });
}

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
