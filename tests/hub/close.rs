//! Closing a hub: every fiber is cancelled, at each wait, and waited for.
// A fiber is a future; here it is returned from async blocks to outlive them.
#![allow(clippy::async_yields_async)]

use std::cell::Cell;
use std::future::pending;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::Duration;

use futures::future::FutureExt as _;
use futures::task::noop_waker;
use switchback::{
    Builder, Fiber, Hub, bridge, catch_cancel, prelude::*, shield, sleep, spawn, yield_now,
};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::support::ending::{Count, InDrop, poll_once, settle, unwinds};
use crate::support::{
    Drops, Log, OnDrop, forever, in_async, in_child, in_paused, in_root_fiber, ms,
    multi_thread_runtime, panic_of, paused_local_runtime, paused_runtime, runtime, watched,
};

const CLOSED: &str = "the hub is closed: it takes no new fibers; make the fiber before the hub \
    closes, or on a hub of another runtime";

// From where.

#[test]
fn async_code_can_close() {
    in_async(|| async {
        let mut fiber = spawn(forever);
        settle().await;
        Hub::current().close().await;
        assert!(!fiber.is_alive());
        let error = fiber.join().await.unwrap_err();
        assert_eq!(
            error.cancelled().unwrap().message(),
            Some("the hub is closing")
        );
    });
}

#[test]
fn the_root_fiber_can_close_and_goes_on() {
    in_root_fiber(|| {
        let mut fiber = spawn(forever);
        yield_now().wait();
        Hub::current().close().wait();
        assert!(!fiber.is_alive());
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        sleep(ms(1)).wait();
        yield_now().wait();
    });
}

#[test]
fn the_end_of_run_closes() {
    watched(|| {
        let marks = InDrop::new();
        let theirs = marks.clone();
        switchback::run(move || {
            drop(spawn(move || {
                let _guard = theirs.guard(|| sleep(ms(1)).wait());
                forever();
            }));
            yield_now().wait();
        })
        .unwrap();
        marks.assert_completed();
    });
}

#[test]
fn the_end_of_run_closes_when_the_root_panics() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        assert!(unwinds(|| switchback::run(move || {
            drop(spawn(move || {
                let _token = token;
                forever();
            }));
            yield_now().wait();
            panic!("of the root");
        })));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn the_end_of_run_until_closes() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        multi_thread_runtime().block_on(Hub::run_until(async {
            drop(spawn(move || {
                let _token = token;
                forever();
            }));
            settle().await;
        }));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn another_fiber_than_the_root_cannot_wait_for_the_close_of_its_hub() {
    in_async(|| async {
        let mut fiber = spawn(|| {
            let place = Location::caller();
            let panic = panic_of(|| drop(Hub::current().close()));
            assert!(
                panic
                    .message
                    .starts_with("a fiber cannot wait for the close of its own hub")
            );
            assert_eq!(panic.file, place.file());
            let panic = panic_of(|| drop(Hub::current().close_within(ms(1))));
            assert!(
                panic
                    .message
                    .starts_with("a fiber cannot wait for the close of its own hub")
            );
            assert_eq!(panic.file, place.file());
            yield_now().wait(); // the hub is still open
            spawn(|| 42).wait().unwrap()
        });
        assert_eq!(fiber.join().await.unwrap(), 42);
    });
}

#[test]
fn a_close_that_another_fiber_brings_to_its_first_poll_is_refused_there() {
    in_async(|| async {
        let close = Hub::current().close();
        let mut fiber = spawn(move || unwinds(move || close.wait()));
        assert!(fiber.join().await.unwrap());
        assert_eq!(spawn(|| 42).await.unwrap(), 42);
    });
}

#[test]
fn a_fiber_can_close_the_hub_of_another_runtime() {
    watched(|| {
        let (one, two) = (runtime(), runtime());
        let drops = Drops::new();
        let token = drops.token();
        let other = one.block_on(async {
            drop(spawn(move || {
                let _token = token;
                forever();
            }));
            settle().await;
            Hub::current()
        });
        let mut closer = two.block_on(async {
            let fiber = spawn(move || other.close().wait());
            settle().await;
            fiber
        });
        one.block_on(settle());
        assert_eq!(drops.count(), 1);
        two.block_on(async { closer.join().await.unwrap() });
    });
}

// How.

#[test]
fn a_close_is_delivered_at_each_wait() {
    in_async(|| async {
        let caught = Count::new();
        let theirs = caught.clone();
        let mut fiber = spawn(move || {
            for _ in 0..5 {
                if catch_cancel(forever).is_err() {
                    theirs.add();
                }
            }
            forever();
        });
        settle().await;
        Hub::current().close().await;
        assert_eq!(caught.get(), 5);
        assert!(fiber.join().await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_cancel_that_is_pending_comes_before_the_close() {
    in_async(|| async {
        let mut fiber = spawn(|| {
            let first = catch_cancel(forever).unwrap_err();
            let second = catch_cancel(forever).unwrap_err();
            (first, second)
        });
        settle().await;
        fiber.cancel_with("by hand");
        Hub::current().close().await;
        let (first, second) = fiber.join().await.unwrap();
        assert_eq!(first.message(), Some("by hand"));
        assert_eq!(second.message(), Some("the hub is closing"));
    });
}

#[test]
fn a_shielded_fiber_completes_its_shield_during_a_close() {
    in_async(|| async {
        let done = Count::new();
        let theirs = done.clone();
        let mut fiber = spawn(move || {
            shield(|| {
                sleep(ms(2)).wait();
                theirs.add();
            });
            forever();
        });
        settle().await;
        Hub::current().close().await;
        assert_eq!(done.get(), 1);
        assert!(fiber.join().await.unwrap_err().is_cancelled());
    });
}

#[test]
fn destructors_that_wait_during_a_close_complete() {
    in_async(|| async {
        let all: Vec<_> = (0..10).map(|_| InDrop::new()).collect();
        for marks in &all {
            let theirs = marks.clone();
            drop(spawn(move || {
                let _guard = theirs.guard(|| sleep(ms(2)).wait());
                forever();
            }));
        }
        settle().await;
        Hub::current().close().await;
        all.iter().for_each(InDrop::assert_completed);
    });
}

#[test]
fn fibers_that_were_not_started_end_with_the_close() {
    in_async(|| async {
        let (drops, runs) = (Drops::new(), Count::new());
        let (token, ran) = (drops.token(), runs.clone());
        let fiber = Fiber::new(move || {
            let _token = token;
            ran.add();
        });
        Hub::current().close().await;
        assert_eq!((drops.count(), runs.get()), (1, 0));
        assert!(!fiber.start());
        assert!(fiber.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn fibers_that_were_started_and_have_not_run_end_with_the_close() {
    in_async(|| async {
        let (drops, runs) = (Drops::new(), Count::new());
        let (token, ran) = (drops.token(), runs.clone());
        let fiber = spawn(move || {
            let _token = token;
            ran.add();
        });
        Hub::current().close().await;
        assert_eq!((drops.count(), runs.get()), (1, 0));
        assert!(fiber.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_result_that_is_done_survives_the_close() {
    in_async(|| async {
        let fiber = spawn(|| 42);
        settle().await;
        Hub::current().close().await;
        assert_eq!(fiber.await.unwrap(), 42);
    });
}

#[test]
fn the_root_is_cancelled_by_a_close_that_it_does_not_wait_for() {
    watched(|| {
        let error = switchback::run(|| {
            let hub = Hub::current();
            tokio::task::spawn_local(async move { hub.close().await });
            forever();
        })
        .unwrap_err();
        assert_eq!(
            error.cancelled().unwrap().message(),
            Some("the hub is closing")
        );
    });
}

// Twice, half way, in time.

#[test]
fn closes_share_one_close() {
    in_async(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        drop(spawn(move || {
            let _guard = theirs.guard(|| sleep(ms(2)).wait());
            forever();
        }));
        settle().await;
        let hub = Hub::current();
        let first = async {
            hub.close().await;
            marks.assert_completed();
        };
        let second = async {
            hub.close().await;
            marks.assert_completed();
        };
        tokio::join!(first, second);
        hub.close().await;
        assert_eq!(hub.close().now_or_never(), Some(()));
        hub.close_within(Duration::ZERO).await.unwrap();
    });
}

#[test]
fn a_close_that_is_dropped_half_way_goes_on() {
    in_async(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let fiber = spawn(move || {
            let _guard = theirs.guard(|| sleep(ms(2)).wait());
            forever();
        });
        settle().await;
        let mut close = Box::pin(Hub::current().close());
        assert!(poll_once(close.as_mut()).is_pending());
        drop(close);
        assert!(fiber.await.unwrap_err().is_cancelled());
        marks.assert_completed();
    });
}

#[test]
fn a_close_that_is_never_polled_closes_nothing() {
    in_async(|| async {
        drop(Hub::current().close());
        assert_eq!(spawn(|| 42).await.unwrap(), 42);
    });
}

#[test]
fn close_within_names_the_fibers_that_did_not_end() {
    in_paused(|| async {
        let go_on = Rc::new(Notify::new());
        for name in ["stubborn", "obstinate"] {
            let gate = go_on.clone();
            let body = move || shield(|| gate.notified().wait());
            drop(Builder::new().name(name).spawn(body).unwrap());
        }
        drop(Builder::new().name("docile").spawn(forever).unwrap());
        settle().await;
        let hub = Hub::current();
        let error = hub.close_within(ms(10)).await.unwrap_err();
        let mut names = error.fibers().to_vec();
        names.sort();
        assert_eq!(names, ["obstinate", "stubborn"]);
        assert!(error.to_string().contains("stubborn"));
        let error = std::io::Error::from(error);
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        // The close goes on.
        go_on.notify_waiters();
        hub.close_within(ms(10)).await.unwrap();
    });
}

#[test]
fn close_within_by_the_root_does_not_name_the_root() {
    in_root_fiber(|| {
        let go_on = Rc::new(Notify::new());
        let gate = go_on.clone();
        let body = move || shield(|| gate.notified().wait());
        drop(Builder::new().name("stubborn").spawn(body).unwrap());
        yield_now().wait();
        let error = Hub::current().close_within(ms(1)).wait().unwrap_err();
        assert_eq!(error.fibers(), ["stubborn"]);
        go_on.notify_one();
    });
}

#[test]
fn close_within_returns_when_all_have_ended() {
    in_paused(|| async {
        let before = tokio::time::Instant::now();
        drop(spawn(forever));
        settle().await;
        Hub::current().close_within(ms(1000)).await.unwrap();
        assert!(before.elapsed() < ms(10));
    });
}

#[test]
fn close_within_may_be_cancelled_by_a_deadline_of_the_root() {
    in_root_fiber(|| {
        let go_on = Rc::new(Notify::new());
        let gate = go_on.clone();
        drop(spawn(move || shield(|| gate.notified().wait())));
        yield_now().wait();
        let hub = Hub::current();
        assert!(switchback::with_timeout(ms(2), || hub.close().wait()).is_err());
        go_on.notify_one();
        hub.close().wait();
    });
}

// After it.

#[test]
fn spawn_is_refused_while_and_after_the_hub_closes() {
    in_async(|| async {
        let go_on = Rc::new(Notify::new());
        let gate = go_on.clone();
        drop(spawn(move || shield(|| gate.notified().wait())));
        settle().await;
        let mut close = Box::pin(Hub::current().close());
        assert!(poll_once(close.as_mut()).is_pending());
        assert_eq!(panic_of(|| spawn(|| ())).message, CLOSED);
        go_on.notify_one();
        close.await;
        let panic = panic_of(|| spawn(|| ()));
        assert_eq!(
            (panic.message.as_str(), panic.file.as_str()),
            (CLOSED, file!())
        );
        assert_eq!(panic_of(|| Fiber::new(|| ())).message, CLOSED);
        let error = Builder::new().spawn(|| ()).unwrap_err();
        assert_eq!(error.to_string(), CLOSED);
        assert_eq!(
            Builder::new().create(|| ()).unwrap_err().to_string(),
            CLOSED
        );
    });
}

#[test]
fn the_current_hub_is_the_closed_one() {
    in_async(|| async {
        let hub = Hub::current();
        hub.close().await;
        assert!(Hub::try_current().is_some());
        assert_eq!(Hub::current().runtime().id(), hub.runtime().id());
        assert!(Builder::new().spawn(|| ()).is_err());
    });
}

#[test]
fn another_runtime_gets_a_new_hub() {
    watched(|| {
        runtime().block_on(async { Hub::current().close().await });
        runtime().block_on(async { assert_eq!(spawn(|| 42).await.unwrap(), 42) });
        assert_eq!(switchback::run(|| 42).unwrap(), 42);
    });
}

#[test]
fn run_until_after_a_close_makes_a_new_hub() {
    in_async(|| async {
        let hub = Hub::current();
        hub.close().await;
        let out = Hub::run_until(async { spawn(|| 42).await.unwrap() }).await;
        assert_eq!(out, 42);
        let out = Hub::run_until(async { spawn(|| 43).await.unwrap() }).await;
        assert_eq!(out, 43);
    });
}

#[test]
fn run_until_while_another_is_closing_does_not_keep_that_from_its_end() {
    in_paused(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let first = Hub::run_until(async {
            drop(spawn(move || {
                let _guard = theirs.guard(|| sleep(ms(5)).wait());
                forever();
            }));
            settle().await;
        });
        let second = async {
            tokio::time::sleep(ms(2)).await;
            Hub::run_until(async { spawn(|| 42).await.unwrap() }).await
        };
        let ((), out) = tokio::join!(first, second);
        assert_eq!(out, 42);
        marks.assert_completed();
    });
}

#[test]
fn run_until_while_another_is_closing_on_a_multi_thread_runtime_disturbs_neither() {
    watched(|| {
        multi_thread_runtime().block_on(async {
            let marks = InDrop::new();
            let theirs = marks.clone();
            let first = Hub::run_until(async {
                drop(spawn(move || {
                    let _guard = theirs.guard(|| sleep(ms(5)).wait());
                    forever();
                }));
                settle().await;
            });
            let second = async {
                tokio::time::sleep(ms(2)).await;
                Hub::run_until(async { spawn(|| 42).await.unwrap() }).await
            };
            let ((), out) = tokio::join!(first, second);
            assert_eq!(out, 42);
            marks.assert_completed();
        });
    });
}

#[test]
fn run_until_while_a_hub_made_on_first_need_is_closing_does_not_keep_that_from_its_end() {
    in_paused(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        drop(spawn(move || {
            let _guard = theirs.guard(|| sleep(ms(5)).wait());
            forever();
        }));
        settle().await;
        let hub = Hub::current();
        let second = async {
            tokio::time::sleep(ms(2)).await;
            Hub::run_until(async { spawn(|| 42).await.unwrap() }).await
        };
        let ((), out) = tokio::join!(hub.close(), second);
        assert_eq!(out, 42);
        marks.assert_completed();
    });
}

#[test]
fn the_last_of_two_that_drive_a_hub_closes_it() {
    watched(|| {
        let local = LocalSet::new();
        local.block_on(&paused_runtime(), async {
            let log = Log::new();
            let (one, two) = (log.clone(), log.clone());
            let first = Hub::run_until(async move {
                let mut fiber = spawn(|| sleep(ms(1)).wait());
                fiber.join().await.unwrap();
                one.push("first");
            });
            let second = Hub::run_until(async move {
                tokio::time::sleep(ms(10)).await;
                // Still open: the first to end has not closed it.
                spawn(|| ()).await.unwrap();
                two.push("second");
            });
            tokio::join!(first, second);
            assert_eq!(log.take(), ["first", "second"]);
        });
    });
}

#[test]
fn a_yield_of_async_code_that_is_in_the_queue_ends_with_the_hub() {
    in_async(|| async {
        let hub = Hub::current();
        settle().await;
        tokio::join!(yield_now(), hub.close());
    });
}

#[test]
fn a_sleep_of_zero_of_async_code_ends_with_the_hub() {
    in_async(|| async {
        let hub = Hub::current();
        settle().await;
        tokio::join!(sleep(Duration::ZERO), async {
            tokio::task::yield_now().await;
            hub.close().await;
        });
        sleep(Duration::ZERO).await;
        yield_now().await;
    });
}

// Spawning in destructors.

#[test]
fn a_spawn_in_a_destructor_that_unwinds_on_a_closed_hub_is_a_cancelled_fiber() {
    let child = in_child(|| {
        runtime().block_on(async {
            let drops = Drops::new();
            let token = drops.token();
            let joined = Rc::new(Cell::new(None));
            let theirs = joined.clone();
            let mut token = Some(token);
            drop(spawn(move || {
                let _guard = OnDrop(|| {
                    let token = token.take();
                    let mut fiber = spawn(move || drop(token));
                    theirs.set(Some(fiber.join().wait().unwrap_err().is_cancelled()));
                    assert!(!fiber.start() && !fiber.cancel() && !fiber.is_alive());
                });
                forever();
            }));
            settle().await;
            Hub::current().close().await;
            assert_eq!(joined.get(), Some(true));
            assert_eq!(drops.count(), 1);
        });
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_spawn_in_a_destructor_when_the_runtime_is_dropped_does_not_abort() {
    let child = in_child(|| {
        let rt = runtime();
        rt.block_on(async {
            drop(spawn(|| {
                let _guard = OnDrop(|| drop(spawn(|| ())));
                forever();
            }));
            settle().await;
        });
        drop(rt);
        println!("survived");
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.stdout.contains("survived"));
    }
}

#[test]
fn a_bridge_in_a_destructor_during_a_close_completes() {
    in_async(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        drop(spawn(move || {
            let _guard = theirs.guard(|| bridge(|| sleep(ms(1)).wait()).wait());
            forever();
        }));
        settle().await;
        Hub::current().close().await;
        marks.assert_completed();
    });
}

// Closes that nobody would complete.

#[test]
fn a_wait_for_a_close_that_would_block_the_hubs_own_thread_panics() {
    watched(|| {
        let rt = runtime();
        let hub = rt.block_on(async {
            drop(spawn(forever));
            settle().await;
            Hub::current()
        });
        let panic = panic_of(|| hub.close().wait());
        assert!(
            panic.message.contains("it would wait for ever"),
            "{panic:?}"
        );
        rt.block_on(hub.close());
    });
}

#[test]
fn the_close_of_a_hub_that_has_failed_ends_its_fibers_and_is_done() {
    in_thread_with_failed_hub(|hub, drops| {
        assert_eq!(drops.count(), 0);
        runtime().block_on(hub.close());
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn the_close_of_a_hub_that_has_failed_is_done_on_a_plain_thread_too() {
    in_thread_with_failed_hub(|hub, drops| {
        hub.close().wait();
        assert_eq!(drops.count(), 1);
    });
}

/// Calls `body` with a hub whose runtime was dropped on another thread, and with
/// the drops of a token that its fiber holds.
#[track_caller]
fn in_thread_with_failed_hub(body: impl FnOnce(Hub, Drops) + Send + 'static) {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        let hub = rt.block_on(async {
            drop(spawn(move || {
                let _token = token;
                forever();
            }));
            settle().await;
            Hub::current()
        });
        thread::spawn(move || drop(rt)).join().unwrap();
        body(hub, drops);
    });
}

// Closes that race with the end of the hub.

/// A waker whose clone calls a closure, and which counts its wakes.
struct OnClone {
    f: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    wakes: AtomicUsize,
}

#[allow(unsafe_code)]
fn on_clone(this: &Arc<OnClone>) -> Waker {
    fn borrow<'a>(p: *const ()) -> &'a OnClone {
        // SAFETY: `p` is that of an `Arc` which the waker that calls holds.
        unsafe { &*p.cast() }
    }
    fn own(p: *const ()) -> Arc<OnClone> {
        // SAFETY: as above, and the waker that calls gives it up.
        unsafe { Arc::from_raw(p.cast()) }
    }
    fn clone(p: *const ()) -> RawWaker {
        let f = borrow(p).f.lock().unwrap().take();
        if let Some(f) = f {
            f();
        }
        // SAFETY: as above; this is the count of the clone.
        unsafe { Arc::increment_strong_count(p.cast::<OnClone>()) };
        RawWaker::new(p, &TABLE)
    }
    fn wake(p: *const ()) {
        own(p).wakes.fetch_add(1, Ordering::SeqCst);
    }
    fn wake_by_ref(p: *const ()) {
        borrow(p).wakes.fetch_add(1, Ordering::SeqCst);
    }
    fn let_go(p: *const ()) {
        drop(own(p));
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, let_go);
    let p = Arc::into_raw(this.clone()).cast::<()>();
    // SAFETY: the table counts as an `Arc` does, from any thread.
    unsafe { Waker::from_raw(RawWaker::new(p, &TABLE)) }
}

#[test]
fn whoever_waits_for_a_close_is_woken_if_the_hub_fails_just_then() {
    watched(|| {
        let rt = runtime();
        let hub = rt.block_on(async {
            drop(spawn(|| pending::<()>().wait()));
            settle().await;
            Hub::current()
        });
        let state = Arc::new(OnClone {
            f: Mutex::new(Some(Box::new(move || {
                thread::spawn(move || drop(rt)).join().unwrap();
            }))),
            wakes: AtomicUsize::new(0),
        });
        let waker = on_clone(&state);
        let mut close = pin!(hub.close());
        let polled = close.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            assert!(
                state.wakes.load(Ordering::SeqCst) > 0,
                "nobody wakes the one who waits"
            );
            assert!(close.poll(&mut Context::from_waker(&waker)).is_ready());
        }
    });
}

#[test]
fn a_task_gives_way_although_the_hub_finds_just_then_that_it_was_closed() {
    in_async(|| async {
        let hub = Hub::current().handle();
        drop(spawn(|| {}));
        settle().await;
        thread::spawn(move || {
            let mut close = pin!(hub.close());
            let _ = close.as_mut().poll(&mut Context::from_waker(&noop_waker()));
        })
        .join()
        .unwrap();
        let state = Arc::new(OnClone {
            f: Mutex::new(None),
            wakes: AtomicUsize::new(0),
        });
        let waker = on_clone(&state);
        let mut gives_way = pin!(yield_now());
        let polled = gives_way.as_mut().poll(&mut Context::from_waker(&waker));
        settle().await;
        assert!(
            polled.is_ready() || state.wakes.load(Ordering::SeqCst) > 0,
            "it waits in the queue of a hub that has ended"
        );
    });
}

#[test]
fn a_hub_that_is_closing_is_not_replaced() {
    paused_local_runtime().block_on(async {
        let mut fiber = spawn(|| {
            shield(|| sleep(ms(10)).wait());
            1
        });
        sleep(ms(1)).await;
        {
            // The close begins, and goes on without being polled.
            let mut close = pin!(Hub::current().close());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(close.as_mut().poll(&mut cx).is_pending());
        }
        let again = tokio::task::spawn_local(Hub::run_until(async {}));
        let _ = again.await;
        assert_eq!(fiber.join().await.unwrap(), 1);
    });
}
